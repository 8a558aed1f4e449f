"""Noise."""

import numpy as np

from bench.perturb.base import Corruption


class GaussianNoise(Corruption):
    """White noise; `levels` are its standard deviation on the scale [0, 1].

    The levels are RAF-DB-C's, for aligned faces of about 100 px (Greco et al. 2023,
    doi 10.1007/s11042-022-12790-7).
    """

    name = "gaussian_noise"
    levels = (0.08, 0.12, 0.18, 0.24, 0.30)

    def corrupt(self, pixels: np.ndarray, level: float, draws: np.random.Generator) -> np.ndarray:
        """Add the noise."""
        return pixels + level * draws.standard_normal(pixels.shape)
