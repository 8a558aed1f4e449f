"""Zoom blur: the mean of a picture and its enlargements, identical to the reference."""

from collections.abc import Sequence

import numpy as np
from numba import njit

from bench.perturb.corruptions.pictures import checked

_UNIT = (np.arange(256) / 255.0).astype(np.float32)


def zoom_blur(pictures: np.ndarray, factors: Sequence[float]) -> np.ndarray:
    """Average each picture with enlargements of its middle.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        factors: Of the enlargements, at least 1 each; at least one.

    Returns:
        uint8 (N, H, W, 3), truncated.

    Raises:
        ValueError: There is no factor or one is below 1, or the batch is none.
    """
    pictures = checked(pictures)
    if len(factors) == 0 or not all(1 <= factor < np.inf for factor in factors):
        raise ValueError(f"Zoom blur takes enlarging factors of at least 1, not {list(factors)}.")
    height, width = pictures.shape[1:3]
    tops, down = _sampled(height, factors)
    lefts, right = _sampled(width, factors)
    result = np.empty_like(pictures)
    for picture, blurred in zip(pictures, result, strict=True):
        _zoom(picture, tops, down, lefts, right, blurred)
    return result


def _sampled(side: int, factors: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Where each enlargement's first `side` pixels along an axis are read.

    The ceil(side / factor) pixels in the middle are stretched over round(factor x that many), the
    first onto the first and the last onto the last, by linear interpolation.

    Returns:
        Index of the pixel at or before the point, int64 (factors, side), and the distance beyond
        it, float64; the index is -1 where rounding puts the point beyond the last pixel, which the
        reference leaves black.
    """
    before = np.empty((len(factors), side), np.int64)
    beyond = np.empty((len(factors), side))
    for i, factor in enumerate(factors):
        cropped = int(np.ceil(side / float(factor)))
        enlarged = round(cropped * float(factor))
        step = (cropped - 1) / (enlarged - 1) if enlarged > 1 else 1.0
        at = np.arange(side) * (step if factor != 1 else 1.0)
        floor = np.floor(at).astype(np.int64)
        beyond[i] = at - floor
        before[i] = np.where(at > cropped - 1, -1, floor + (side - cropped) // 2)
    return before, beyond


@njit(cache=True, nogil=True)
def _zoom(
    picture: np.ndarray,
    tops: np.ndarray,
    down: np.ndarray,
    lefts: np.ndarray,
    right: np.ndarray,
    result: np.ndarray,
) -> None:
    """Interpolate in double, add up in single precision, in the reference's order."""
    height, width, _ = picture.shape
    total = np.empty((width, 3), np.float32)
    for y in range(height):
        total[:] = 0
        for i in range(len(tops)):
            top = tops[i, y]
            if top < 0:
                continue
            bottom = min(top + 1, height - 1)
            b = down[i, y]
            a = 1.0 - b
            for x in range(width):
                left = lefts[i, x]
                if left < 0:
                    continue
                after = min(left + 1, width - 1)
                d = right[i, x]
                c = 1.0 - d
                for channel in range(3):
                    value = np.float64(_UNIT[picture[top, left, channel]]) * a * c
                    value += np.float64(_UNIT[picture[top, after, channel]]) * a * d
                    value += np.float64(_UNIT[picture[bottom, left, channel]]) * b * c
                    value += np.float64(_UNIT[picture[bottom, after, channel]]) * b * d
                    total[x, channel] += np.float32(value)
        for x in range(width):
            for channel in range(3):
                mean = _UNIT[picture[y, x, channel]] + total[x, channel]
                mean /= np.float32(len(tops) + 1)
                result[y, x, channel] = np.uint8(min(mean, np.float32(1)) * np.float32(255))
