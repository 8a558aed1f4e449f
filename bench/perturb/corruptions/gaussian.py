"""Gaussian blur, identical to scipy's in double precision at the speed of single precision.

A truncated result can differ from the double's only where the single's is within its rounding
error of an integer. Such values, less than one in a thousand, are computed again in double. In
pictures with large flat areas they are many, because a mean of equal values is an integer; there
scipy's own filter decides, whose last bit makes the difference between v and v - 1.
"""

import numpy as np
from numba import njit
from scipy import ndimage

from bench.perturb.corruptions.pictures import checked

_UNIT = np.arange(256) / 255.0
_DOUBTFUL_SHARE = 0.02  # of values, beyond which scipy's filter is faster than single values


def gaussian_blur(pictures: np.ndarray, sigma: float) -> np.ndarray:
    """Blur every channel with a Gaussian; the border repeats the edge pixel.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        sigma: Standard deviation in pixels, above 0; the kernel ends at 4 sigma.

    Returns:
        uint8 (N, H, W, 3), truncated.

    Raises:
        ValueError: Sigma is not above 0, or the batch is none.
    """
    pictures = checked(pictures)
    if not 0 < sigma < np.inf:
        raise ValueError(f"The sigma of Gaussian blur is a finite number above 0, not {sigma}.")
    weights = _half_kernel(sigma)
    tolerance = _rounding_error(weights)
    result = np.empty_like(pictures)
    doubtful = np.empty(max(1, int(_DOUBTFUL_SHARE * pictures[:1].size)), np.int64)
    for i in np.flatnonzero(_blur_each(pictures, weights, tolerance, doubtful, result)):
        result[i] = _reference(pictures[i], sigma)
    return result


def _half_kernel(sigma: float) -> np.ndarray:
    """The weights at distances r, ..., 1, 0 (float64, r + 1), as scipy computes them."""
    radius = int(4.0 * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    half: np.ndarray = (weights / weights.sum())[: radius + 1]
    return half


def _rounding_error(weights: np.ndarray) -> float:
    """A bound, in levels, of the error of two passes in single precision.

    Partial sums are rounded from the outermost pair of weights inwards, so the pair at distance d
    takes part in d + 1 roundings, each of at most 2^-24 of a sum; two more are the weight's own
    and the pair's.
    """
    distances = np.arange(len(weights) - 1, -1, -1)
    roundings = float((2 * weights * (distances + 3)).sum())
    return 2 * 255 * 2.0**-24 * roundings


def _reference(picture: np.ndarray, sigma: float) -> np.ndarray:
    """The blur of one picture (H, W, 3) in double precision."""
    blurred = ndimage.gaussian_filter(picture / 255.0, (sigma, sigma, 0), mode="nearest")
    result: np.ndarray = (np.clip(blurred, 0, 1) * 255).astype(np.uint8)
    return result


@njit(cache=True, nogil=True)
def _blur_each(
    pictures: np.ndarray,
    weights: np.ndarray,
    tolerance: float,
    doubtful: np.ndarray,
    result: np.ndarray,
) -> np.ndarray:
    """Blur pictures one by one; bool (N,): which are left to scipy."""
    refused = np.empty(len(pictures), np.bool_)
    for i in range(len(pictures)):
        refused[i] = not _blur(pictures[i], weights, tolerance, doubtful, result[i])
    return refused


@njit(cache=True, nogil=True, fastmath={"contract"})
def _blur(
    picture: np.ndarray,
    weights: np.ndarray,
    tolerance: float,
    doubtful: np.ndarray,
    result: np.ndarray,
) -> bool:
    """Blur one picture; False if more values are doubtful than `doubtful` has room for.

    Fused products are allowed: they change nothing beyond the tolerance, so nothing in the result.
    """
    height, width, _ = picture.shape
    count, radius = 3 * width, len(weights) - 1
    rows = picture.reshape(height, count)
    out = result.reshape(height, count)
    plane = np.empty((height, count), np.float32)
    for y in range(height):
        for x in range(count):
            plane[y, x] = rows[y, x]
    single = weights.astype(np.float32)
    padded = np.empty(count + 6 * radius, np.float32)
    middle = padded[3 * radius : 3 * radius + count]
    total = np.empty(count, np.float32)
    found = 0
    for y in range(height):
        _fold_rows(plane, y, single, middle)
        for x in range(3 * radius):
            padded[x] = middle[x % 3]
            padded[3 * radius + count + x] = middle[count - 3 + x % 3]
        _fold_columns(padded, single, total)
        found = truncate_levels(total, np.float32(tolerance), y * count, doubtful, found, out[y])
        if found > len(doubtful):
            return False
    for index in doubtful[:found]:
        out[index // count, index % count] = _value(rows, index, weights)
    return True


@njit(cache=True, nogil=True, fastmath={"contract"})
def _fold_rows(plane: np.ndarray, y: int, weights: np.ndarray, total: np.ndarray) -> None:
    """The vertical pass of row y: pairs of rows, four pairs in one sweep over the row."""
    last, radius, count = len(plane) - 1, len(weights) - 1, len(total)
    centre = plane[y]
    for x in range(count):
        total[x] = centre[x] * weights[radius]
    for k in range(0, radius - 3, 4):
        w_0, w_1, w_2, w_3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        d = radius - k
        a_0, b_0 = plane[max(y - d, 0)], plane[min(y + d, last)]
        a_1, b_1 = plane[max(y - d + 1, 0)], plane[min(y + d - 1, last)]
        a_2, b_2 = plane[max(y - d + 2, 0)], plane[min(y + d - 2, last)]
        a_3, b_3 = plane[max(y - d + 3, 0)], plane[min(y + d - 3, last)]
        for x in range(count):
            total[x] = (
                total[x]
                + (a_0[x] + b_0[x]) * w_0
                + (a_1[x] + b_1[x]) * w_1
                + (a_2[x] + b_2[x]) * w_2
                + (a_3[x] + b_3[x]) * w_3
            )
    for k in range(radius - radius % 4, radius):
        d = radius - k
        a_0, b_0, w_0 = plane[max(y - d, 0)], plane[min(y + d, last)], weights[k]
        for x in range(count):
            total[x] += (a_0[x] + b_0[x]) * w_0


@njit(cache=True, nogil=True, fastmath={"contract"})
def _fold_columns(padded: np.ndarray, weights: np.ndarray, total: np.ndarray) -> None:
    """The horizontal pass of a row padded by the kernel's radius; three channels a column."""
    radius, count = len(weights) - 1, len(total)
    for x in range(count):
        total[x] = padded[3 * radius + x] * weights[radius]
    for k in range(0, radius - 3, 4):
        w_0, w_1, w_2, w_3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        a, b = padded[3 * k :], padded[3 * (2 * radius - k - 3) :]
        for x in range(count):
            total[x] = (
                total[x]
                + (a[x] + b[x + 9]) * w_0
                + (a[x + 3] + b[x + 6]) * w_1
                + (a[x + 6] + b[x + 3]) * w_2
                + (a[x + 9] + b[x]) * w_3
            )
    for k in range(radius - radius % 4, radius):
        a, b, w_0 = padded[3 * k :], padded[3 * (2 * radius - k) :], weights[k]
        for x in range(count):
            total[x] += (a[x] + b[x]) * w_0


@njit(cache=True, nogil=True)
def truncate_levels(
    values: np.ndarray,
    tolerance: np.float32,
    first: int,
    doubtful: np.ndarray,
    found: int,
    result: np.ndarray,
) -> int:
    """Truncate a row; list the indices of values too near an integer, and count them.

    Near zero nothing is in doubt: what is below it is truncated to it as well.
    """
    differ = np.int32(0)
    for x in range(len(values)):
        low, high = np.int32(values[x] - tolerance), np.int32(values[x] + tolerance)
        result[x] = np.uint8(high)
        differ |= low ^ high
    if differ == 0:
        return found
    for x in range(len(values)):
        if np.int32(values[x] - tolerance) != np.int32(values[x] + tolerance):
            if found < len(doubtful):
                doubtful[found] = first + x
            found += 1
    return found


@njit(cache=True, nogil=True)
def _value(rows: np.ndarray, index: int, weights: np.ndarray) -> np.uint8:
    """One blurred value in double precision, in scipy's order of operations."""
    height, count = rows.shape
    y, x, radius = index // count, index % count, len(weights) - 1
    channel, last = x % 3, count - 3 + x % 3
    column = np.empty(2 * radius + 1)
    for i in range(2 * radius + 1):
        at = min(max(x + 3 * (i - radius), channel), last)
        column[i] = _UNIT[rows[y, at]] * weights[radius]
        for k in range(radius):
            d = radius - k
            above, below = rows[max(y - d, 0), at], rows[min(y + d, height - 1), at]
            column[i] += (_UNIT[above] + _UNIT[below]) * weights[k]
    value = column[radius] * weights[radius]
    for k in range(radius):
        value += (column[k] + column[2 * radius - k]) * weights[k]
    return np.uint8(min(max(value, 0.0), 1.0) * 255)
