"""Does this denoiser denoise? Measurements, and what is concluded from them."""
