"""The two corruptions of the default run, in double precision and rounded to the nearest level.

Their levels are RAF-DB-C's, for aligned faces of about 100 px (Greco et al. 2023,
doi 10.1007/s11042-022-12790-7).
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

REFERENCE_SIDE = 100
"""The side of a face, in pixels, that the standard deviations of the blur are meant for."""


def white_noise(
    pictures: np.ndarray, sigma: float | np.ndarray, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Add white noise.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        sigma: Standard deviation on the scale [0, 1]; one for all, or of each, (N, 1, 1, 1).
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    noise = np.stack([own.standard_normal(pictures.shape[1:]) for own in draws])
    return _rounded(pictures / 255.0 + sigma * noise)


def scaled_blur(pictures: np.ndarray, sigma: float) -> np.ndarray:
    """Blur with a Gaussian that is scaled by the picture's shorter side; the border is repeated.

    So the same severity hides the same features of a face drawn at 64 px and of one photographed
    at 224 px.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        sigma: Standard deviation in pixels of a 100 px face.

    Returns:
        uint8 (N, H, W, 3).
    """
    scaled = sigma * min(pictures.shape[1:3]) / REFERENCE_SIDE
    blurred = ndimage.gaussian_filter(
        pictures / 255.0, sigma=(0.0, scaled, scaled, 0.0), mode="nearest"
    )
    return _rounded(blurred)


def _rounded(pixels: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
