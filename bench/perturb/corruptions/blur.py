"""The five blurs and imagecorruptions' constants for them at severities 1-5.

Hendrycks and Dietterich (2019, arXiv 1903.12261); Michaelis et al. (2019, arXiv 1907.07484).
"""

import numpy as np

from bench.perturb.corruptions.disk import defocus_blur
from bench.perturb.corruptions.gaussian import gaussian_blur
from bench.perturb.corruptions.glass import glass_blur
from bench.perturb.corruptions.motion import motion_blur
from bench.perturb.corruptions.zoom import zoom_blur

__all__ = ["defocus_blur", "gaussian_blur", "glass_blur", "motion_blur", "zoom_blur"]

GAUSSIAN_BLUR_SIGMA = (1.0, 2.0, 3.0, 4.0, 6.0)

#: radius, alias_blur
DEFOCUS_BLUR = ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5))

#: radius, sigma
MOTION_BLUR = ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0))

#: sigma, max_delta, iterations
GLASS_BLUR = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))

#: factors; how many a step gives, and their last bits, are numpy's
ZOOM_BLUR_FACTORS = tuple(
    tuple(np.arange(1.0, stop, step).tolist())
    for stop, step in ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
)
