"""Gaussian, motion, zoom and glass blur, with imagecorruptions' constants at severities 1-5.

Defocus blur is in `disk`. Hendrycks and Dietterich (2019, arXiv 1903.12261); Michaelis et al.
(2019, arXiv 1907.07484).
"""

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from scipy import ndimage

from bench.perturb.corruptions.loops import checked, rounded, truncate_levels

GAUSSIAN_BLUR_SIGMA = (1.0, 2.0, 3.0, 4.0, 6.0)

#: radius, sigma
MOTION_BLUR = ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0))

#: sigma, max_delta, iterations
GLASS_BLUR = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))

#: factors; how many a step gives, and their last bits, are numpy's
ZOOM_BLUR_FACTORS = tuple(
    tuple(np.arange(1.0, stop, step).tolist())
    for stop, step in ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
)


# ------------------------------------------------------------------------------------------------
# Gaussian blur, identical to scipy's in double precision at the speed of single precision
#
# A truncated result can differ from the double's only where the single's is within its rounding
# error of an integer. Such values, less than one in a thousand, are computed again in double. In
# pictures with large flat areas they are many, because a mean of equal values is an integer; there
# scipy's own filter decides, whose last bit makes the difference between v and v - 1.
# ------------------------------------------------------------------------------------------------

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


#: The side of a face, in pixels, that the standard deviations of `scaled_blur` are meant for.
FACE_SIDE = 100


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
    scaled = sigma * min(pictures.shape[1:3]) / FACE_SIDE
    blurred = ndimage.gaussian_filter(
        pictures / 255.0, sigma=(0.0, scaled, scaled, 0.0), mode="nearest"
    )
    return rounded(blurred)


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


# ------------------------------------------------------------------------------------------------
# Motion blur: a weighted sum of shifted pictures, identical to the double-precision reference
# ------------------------------------------------------------------------------------------------

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


# ------------------------------------------------------------------------------------------------
# Zoom blur: the mean of a picture and its enlargements, identical to the reference
# ------------------------------------------------------------------------------------------------

_SINGLE_UNIT = (np.arange(256) / 255.0).astype(np.float32)


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
                    value = np.float64(_SINGLE_UNIT[picture[top, left, channel]]) * a * c
                    value += np.float64(_SINGLE_UNIT[picture[top, after, channel]]) * a * d
                    value += np.float64(_SINGLE_UNIT[picture[bottom, left, channel]]) * b * c
                    value += np.float64(_SINGLE_UNIT[picture[bottom, after, channel]]) * b * d
                    total[x, channel] += np.float32(value)
        for x in range(width):
            for channel in range(3):
                mean = _SINGLE_UNIT[picture[y, x, channel]] + total[x, channel]
                mean /= np.float32(len(tops) + 1)
                result[y, x, channel] = np.uint8(min(mean, np.float32(1)) * np.float32(255))


# ------------------------------------------------------------------------------------------------
# Glass blur: pixels copied from random neighbours between two Gaussian blurs
# ------------------------------------------------------------------------------------------------


def glass_blur(
    pictures: np.ndarray,
    sigma: float,
    max_delta: int,
    iterations: int,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """Blur, scatter pixels over their neighbourhood, and blur again.

    The published codes mean to swap neighbours, but swap views of an array: the pixel is
    overwritten and its neighbour stays. What is published is what is computed here.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        sigma: Standard deviation of both blurs in pixels, above 0.
        max_delta: A neighbour is from -max_delta to max_delta - 1 away, along each axis.
        iterations: How often all pixels are visited; 1 or more.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3), truncated.

    Raises:
        ValueError: A constant is outside its range, or the batch is none.
    """
    pictures = checked(pictures, draws)
    if not (1 <= max_delta <= 127 and iterations >= 1):
        raise ValueError(
            "Glass blur takes a max_delta from 1 to 127 pixels and 1 iteration or more, not "
            f"{max_delta} and {iterations}."
        )
    height, width = pictures.shape[1:3]
    visits = max(0, height - 2 * max_delta) * max(0, width - 2 * max_delta)
    blurred = gaussian_blur(pictures, sigma)
    for picture, generator in zip(blurred, draws, strict=True):
        words = generator.bit_generator.random_raw((iterations * visits + 1) // 2)
        _scatter(picture, max_delta, iterations, words.view(np.uint32))
    return gaussian_blur(blurred, sigma)


@njit(cache=True, nogil=True)
def _scatter(picture: np.ndarray, max_delta: int, iterations: int, words: np.ndarray) -> None:
    """Overwrite each pixel away from the border by a neighbour, from the last pixel to the first.

    Half a word makes one coordinate: multiplied by their number and shifted, it is uneven by less
    than their number in 65,536.
    """
    height, width, _ = picture.shape
    choices = np.uint32(2 * max_delta)
    used = 0
    for _ in range(iterations):
        for y in range(height - max_delta, max_delta, -1):
            for x in range(width - max_delta, max_delta, -1):
                word = words[used]
                used += 1
                right = np.int64(((word & np.uint32(0xFFFF)) * choices) >> np.uint32(16))
                down = np.int64(((word >> np.uint32(16)) * choices) >> np.uint32(16))
                source = picture[y + down - max_delta, x + right - max_delta]
                for c in range(3):
                    picture[y, x, c] = source[c]
