"""The forward process, its addressed noise, and how errors of a denoiser are measured."""
