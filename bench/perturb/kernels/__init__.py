"""Corruptions as pure functions on batches: pixels, constants and generators in, pixels out.

- `noise`          gaussian, shot, impulse and speckle noise
- `transitions`    noise of independent pixels as one table look-up per value
- `blur`           the constants of the blurs, and their names in one place
- `gaussian`, `disk`, `motion`, `zoom`, `glass`   one blur each
- `pictures`       what is asked of a batch

The constants at severities 1-5 and the rounding (truncation to uint8) are those of the
`imagecorruptions` package (Michaelis et al. 2019, arXiv 1907.07484), which follows Hendrycks and
Dietterich (2019, arXiv 1903.12261). A picture's result depends on nothing but its own pixels, the
constants and its generator. Loops release the interpreter's lock, so threads may share a batch.
"""
