"""Defocus blur: correlation with an antialiased disk, identical to the double-precision reference.

`disk_small` and `disk_large` sum it up quickly, and with an error that is known. As in `gaussian`,
values within it of an integer are computed again in double, and pictures with many of them are left
to the reference.
"""

import cv2
import numpy as np

from bench.perturb.kernels import disk_large, disk_small
from bench.perturb.kernels.disk_parts import WINDOW, antialiased_disk, mirrored
from bench.perturb.kernels.pictures import checked

_DOUBTFUL_SHARE = 0.02  # of values, beyond which the reference is faster than single values


def defocus_blur(pictures: np.ndarray, radius: float, alias_blur: float) -> np.ndarray:
    """Blur every channel with a disk; the border mirrors the picture about its edge pixels.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        radius: Of the disk in pixels, at least 1.
        alias_blur: Standard deviation in pixels of the Gaussian that softens the rim, above 0.

    Returns:
        uint8 (N, H, W, 3), truncated.

    Raises:
        ValueError: The radius is below 1, the softening is not above 0, or the batch is none.
    """
    pictures = checked(pictures)
    if not (1 <= radius < np.inf and 0 < alias_blur < np.inf):
        raise ValueError(
            "Defocus blur takes a radius of 1 pixel or more and an alias blur above 0, not "
            f"{radius} and {alias_blur}."
        )
    disk = antialiased_disk(radius, alias_blur)
    way = disk_small if radius < WINDOW else disk_large
    factors, tolerance = way.factored(radius, alias_blur)
    half = len(disk) // 2
    rows, columns = (mirrored(side, half) for side in pictures.shape[1:3])
    result = np.empty_like(pictures)
    doubtful = np.empty(max(1, int(_DOUBTFUL_SHARE * pictures[:1].size)), np.int64)
    refused = way.blur_each(pictures, rows, columns, disk, factors, tolerance, doubtful, result)
    for i in np.flatnonzero(refused):
        result[i] = _reference(pictures[i], disk)
    return result


def _reference(picture: np.ndarray, disk: np.ndarray) -> np.ndarray:
    """The blur of one picture (H, W, 3) in double precision, as imagecorruptions calls it."""
    unit = picture / 255.0
    blurred = np.stack([cv2.filter2D(unit[..., c], -1, disk) for c in range(3)], axis=-1)
    result: np.ndarray = (np.clip(blurred, 0, 1) * 255).astype(np.uint8)
    return result
