"""Blur."""

import numpy as np
from scipy import ndimage

from bench.perturb.base import Corruption


class GaussianBlur(Corruption):
    """Gaussian blur; `levels` are the standard deviation in pixels of a 100 px face.

    The levels are RAF-DB-C's (Greco et al. 2023, doi 10.1007/s11042-022-12790-7). They are scaled
    by the picture's shorter side, so that the same severity hides the same features of a face
    drawn at 64 px and of one photographed at 224 px.
    """

    name = "gaussian_blur"
    levels = (1.0, 1.8, 2.6, 3.4, 4.0)
    reference_side = 100

    def corrupt(self, pixels: np.ndarray, level: float, draws: np.random.Generator) -> np.ndarray:
        """Blur each channel; the border repeats the edge pixel."""
        sigma = level * min(pixels.shape[:2]) / self.reference_side
        return ndimage.gaussian_filter(pixels, sigma=(sigma, sigma, 0.0), mode="nearest")
