"""Corruptions as pure functions on batches: pixels, constants and generators in, pixels out.

- `weather`        snow, frost, fog, spatter (`weather_loops`: compiled)
- `colour`         brightness, contrast, saturation
- `digital`        pixelation, JPEG, elastic warps
- `face`           patch, mask, sunglasses, hand (`paint`: areas and lines)
- `framing`        a face turned, shifted, too small, too large
- `capture`        low light, low resolution, JPEG saved again and again
- `mixes`          RAF-DB-C's mixes, as lists of other corruptions
- `loops`, `smoothing`, `words`   compiled loops, Gaussian filters, random fields
- `pictures`       what is asked of a batch

Constants at severities 1-5 stand beside the kernels, in tables of keyword arguments. A picture's
result depends on nothing but its own pixels, the constants and its generator. Loops release the
interpreter's lock, so threads may share a batch.
"""
