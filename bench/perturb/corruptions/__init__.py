"""Corruptions as pure functions on batches: pixels, constants and generators in, pixels out.

A kernel takes uint8 RGB pictures (N, H, W, 3) of one size, its constants by name and, where it is
random, one generator per picture (`draws`); it returns uint8 (N, H, W, 3). What becomes of a
picture depends on its own pixels, constants and generator alone, whatever the batch or the number
of threads. The constants at severities 1-5 stand beside the kernels. Compiled loops release the
interpreter's lock, so threads may share a batch.

- `noise`      noise of independent pixels, as one table look-up per value; the default run's noise
- `blur`, `disk`   the blurs: defocus is a disk, the others are in `blur`
- `weather`    snow, frost, fog, spatter
- `colour`     brightness, contrast, saturation
- `digital`    pixelation, JPEG, elastic warps
- `face`       patch, mask, sunglasses, hand; a face badly framed; low light, low resolution, JPEG
               saved again and again
- `loops`      what several of them need

Rounding (truncation to uint8) and constants are those of the `imagecorruptions` package (Michaelis
et al. 2019, arXiv 1907.07484), which follows Hendrycks and Dietterich (2019, arXiv 1903.12261).
"""
