"""Motion blur: a weighted sum of shifted pictures, identical to the double-precision reference."""

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from bench.perturb.corruptions.pictures import checked

_LARGEST_ANGLE = 45.0  # degrees to either side of horizontal


def motion_blur(
    pictures: np.ndarray, radius: int, sigma: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Smear each picture along a line of random direction, up to 45 degrees from horizontal.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        radius: The line has 2 radius + 1 points, the pixel's own first; at least 1.
        sigma: Standard deviation of the weights along the line, in points; above 0.
        draws: One generator per picture; one number of each is the angle.

    Returns:
        uint8 (N, H, W, 3), truncated.

    Raises:
        ValueError: The radius is below 1, sigma is not above 0, or the batch is none.
    """
    angles = [generator.uniform(-_LARGEST_ANGLE, _LARGEST_ANGLE) for generator in draws]
    pictures = checked(pictures, draws)
    if not (radius >= 1 and 0 < sigma < np.inf):
        raise ValueError(
            "Motion blur takes a radius of 1 point or more and a sigma above 0, not "
            f"{radius} and {sigma}."
        )
    result = np.empty_like(pictures)
    for picture, blurred, angle in zip(pictures, result, angles, strict=True):
        smear(picture, radius, sigma, angle, blurred)
    return result


def smear(picture: np.ndarray, radius: int, sigma: float, angle: float, result: np.ndarray) -> None:
    """Blur one picture (H, W, 3) into `result` along `angle`, in degrees."""
    shifts, weights = _line(radius, sigma, angle, picture.shape)
    low, high = shifts.min(0), shifts.max(0)  # at most 0, at least 0: the line begins at the pixel
    rows = np.clip(np.arange(low[0], len(picture) + high[0]), 0, len(picture) - 1)
    _smear(picture, rows, -low[1], high[1], shifts - low, weights, result)


def _line(
    radius: int, sigma: float, angle: float, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Where the points of the line are, int64 (points, 2) as (dy, dx), and their weights.

    The line ends before it is as long as the picture is high or wide; what is cut off is lost.
    """
    points = np.arange(2 * radius + 1)
    weights = np.exp(-(points**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    weights /= weights.sum()
    # The direction's length is not 1 but the number of points, which rounding can tell.
    radians = np.deg2rad(angle)
    rise, run = len(points) * np.sin(radians), len(points) * np.cos(radians)
    direction = np.array([rise, run])
    shifts = np.ceil(points[:, None] * direction / math.hypot(rise, run) - 0.5).astype(np.int64)
    outside = (np.abs(shifts) >= shape[:2]).any(1)
    end = int(outside.argmax()) if outside.any() else len(points)
    return shifts[:end], weights[:end]


@njit(cache=True, nogil=True)
def _smear(
    picture: np.ndarray,
    rows: np.ndarray,
    left: int,
    right: int,
    shifts: np.ndarray,
    weights: np.ndarray,
    result: np.ndarray,
) -> None:
    """Add shifted rows of the padded picture in the line's order, which decides the last bit."""
    height, width, _ = picture.shape
    padded = np.empty((height, 3 * (left + width + right)))
    for y in range(height):
        flat, row = picture[y].reshape(-1), padded[y]
        for x in range(3 * left):
            row[x] = flat[x % 3]
        middle, end = row[3 * left :], row[3 * (left + width) :]
        for x in range(3 * width):
            middle[x] = flat[x]
        for x in range(3 * right):
            end[x] = flat[3 * width - 3 + x % 3]
    total = np.empty(3 * width)
    out = result.reshape(height, 3 * width)
    points = len(weights)
    for y in range(height):
        total[:] = 0
        for k in range(0, points - 3, 4):
            w_0, w_1, w_2, w_3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            a_0 = padded[rows[y + shifts[k, 0]], 3 * shifts[k, 1] :]
            a_1 = padded[rows[y + shifts[k + 1, 0]], 3 * shifts[k + 1, 1] :]
            a_2 = padded[rows[y + shifts[k + 2, 0]], 3 * shifts[k + 2, 1] :]
            a_3 = padded[rows[y + shifts[k + 3, 0]], 3 * shifts[k + 3, 1] :]
            for x in range(len(total)):
                total[x] = (((total[x] + w_0 * a_0[x]) + w_1 * a_1[x]) + w_2 * a_2[x]) + w_3 * a_3[
                    x
                ]
        for k in range(points - points % 4, points):
            w_0, a_0 = weights[k], padded[rows[y + shifts[k, 0]], 3 * shifts[k, 1] :]
            for x in range(len(total)):
                total[x] += w_0 * a_0[x]
        for x in range(len(total)):
            out[y, x] = np.uint8(np.int32(min(total[x], 255.0)))
