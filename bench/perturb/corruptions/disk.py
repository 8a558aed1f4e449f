"""Defocus blur: the mean under a soft-edged disk."""

import functools
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit

from bench.perturb.corruptions.loops import checked

#: imagecorruptions' constants at severities 1-5: radius, alias_blur
DEFOCUS_BLUR = ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5))

WINDOW = 8
"""The least half-width of the disk's grid, and the largest radius softened with three taps."""

_UNIT = np.arange(256) / 255.0


def antialiased_disk(radius: float, alias_blur: float) -> np.ndarray:
    """The disk's weights, float32 (2 h + 1, 2 h + 1), of sum 1 but for rounding.

    h is 8, or the radius where that is larger. A disk that reaches the edge of its grid is softened
    within the grid.
    """
    half = max(WINDOW, int(np.ceil(radius)))
    offsets = np.arange(-half, half + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.float32)
    disk /= disk.sum()
    side = 3 if radius <= WINDOW else 5
    softened: np.ndarray = cv2.GaussianBlur(disk, ksize=(side, side), sigmaX=alias_blur)
    return softened


def mirrored(side: int, half: int) -> np.ndarray:
    """Indices of a side padded by `half` at both ends, mirrored about its first and last pixel."""
    period = max(1, 2 * (side - 1))
    folded = np.abs(np.arange(-half, side + half)) % period
    return np.minimum(folded, period - folded) if side > 1 else np.zeros_like(folded)


@njit(cache=True, nogil=True)
def pad(row: np.ndarray, columns: np.ndarray, padded: np.ndarray) -> None:
    """A row (W, 3), padded at both ends."""
    half = (len(columns) - len(row)) // 2
    flat, middle = row.reshape(-1), padded[3 * half :]
    for x in range(half):
        for c in range(3):
            padded[3 * x + c] = row[columns[x], c]
            padded[3 * (half + len(row) + x) + c] = row[columns[half + len(row) + x], c]
    for x in range(len(flat)):
        middle[x] = flat[x]


@njit(cache=True, nogil=True)
def truncate(
    total: np.ndarray,
    unit: float,
    tolerance: float,
    first: int,
    doubtful: np.ndarray,
    found: int,
    result: np.ndarray,
) -> int:
    """Scale and truncate a row; list the values too near an integer, and count them."""
    differ = np.int32(0)
    for x in range(len(total)):
        value = total[x] * unit
        low, high = np.int32(value - tolerance), np.int32(value + tolerance)
        result[x] = np.uint8(high if high < 255 else 255)
        differ |= low ^ high
    if differ == 0:
        return found
    for x in range(len(total)):
        value = total[x] * unit
        if np.int32(value - tolerance) != np.int32(value + tolerance):
            if found < len(doubtful):
                doubtful[found] = first + x
            found += 1
    return found


@njit(cache=True, nogil=True)
def value(
    picture: np.ndarray, index: int, rows: np.ndarray, columns: np.ndarray, disk: np.ndarray
) -> np.uint8:
    """One blurred value in double precision."""
    width = picture.shape[1]
    y, x, c = index // (3 * width), index // 3 % width, index % 3
    total = 0.0
    for i in range(len(disk)):
        for j in range(len(disk)):
            if disk[i, j] > 0:
                total += disk[i, j] * _UNIT[picture[rows[y + i], columns[x + j], c]]
    return np.uint8(min(max(total, 0.0), 1.0) * 255)


# ------------------------------------------------------------------------------------------------
# Correlation with a disk as a sum over its columns.
#
# A disk has few different columns: those of equal height are added up horizontally, and a column
# is a run of ones with a softened end, a difference of two running sums. In units of the disk's
# middle weight the runs are integers, exact in single precision. Softening may reach the edge of
# the disk's grid, where it is folded back.


class DiskFactors(NamedTuple):
    """A disk as a sum over its column heights, in units of its middle weight.

    Attributes:
        runs: int64 (heights,): half-length of the run of ones at a column's middle; -1 if none.
        ends: float32 (heights, 4): a column's weights at the four distances after the run; that at
            distance 0 is halved, because rows are added in pairs.
        sweeps: int64 (sweeps, 2): a height's index and the first of four distances from the middle
            column, in ascending order of heights' indices.
        weights: float32 (sweeps, 4): of the columns at these distances, likewise.
        unit: The middle weight.
    """

    runs: np.ndarray
    ends: np.ndarray
    sweeps: np.ndarray
    weights: np.ndarray
    unit: float


@functools.lru_cache(maxsize=32)
def factored(radius: float, alias_blur: float) -> tuple[DiskFactors, float]:
    """The factors of a disk, and a bound of the error they bring about, in levels."""
    disk = antialiased_disk(radius, alias_blur)
    half = len(disk) // 2
    distances = np.arange(half + 1)
    soften = _softener(len(disk), 3 if radius <= WINDOW else 5, alias_blur)
    heights = np.where(distances <= radius, np.sqrt(np.maximum(0, radius**2 - distances**2)), -1)
    heights = np.floor(heights).astype(np.int64)
    distinct = np.unique(heights[heights >= 0])
    columns = soften @ (np.abs(np.arange(-half, half + 1)) <= distinct[:, None]).T
    across = soften @ (heights[np.abs(np.arange(-half, half + 1))] == distinct[:, None]).T
    columns, across = columns[half:].T, across[half:].T  # (heights, half + 1), symmetric
    columns[columns < 1e-12], across[across < 1e-12] = 0, 0
    unit = float(disk[half, half]) / (columns[:, 0] @ across[:, 0])

    runs = (columns > 1 - 1e-12).sum(1) - 1
    ends = np.zeros((len(distinct), 4))
    sweeps, weights = [], []
    for i, run in enumerate(runs):
        end = columns[i, run + 1 : run + 5]
        ends[i, : len(end)] = end
        ends[i, 0] /= 2 if run < 0 else 1
        left = across[i].copy()
        left[0] /= 2
        while left.any():
            first = min(int(np.flatnonzero(left)[0]), half - 3)
            sweeps.append((i, first))
            weights.append(left[first : first + 4].copy())
            left[first : first + 4] = 0
    factors = DiskFactors(
        runs, ends.astype(np.float32), np.array(sweeps), np.array(weights, np.float32), unit
    )
    quarter = disk[half:, half:].astype(np.float64)
    missed = 4 * np.abs(quarter - unit * (columns.T @ across)).sum()
    return factors, 255 * (missed + _rounding(factors, columns)) + 1e-9


def _softener(side: int, taps: int, alias_blur: float) -> np.ndarray:
    """The Gaussian of a few taps, mirrored at the ends of the grid, as a matrix (side, side)."""
    matrix = np.zeros((side, side))
    padded = mirrored(side, taps // 2)
    for offset, tap in enumerate(cv2.getGaussianKernel(taps, alias_blur)[:, 0]):
        matrix[np.arange(side), padded[offset : offset + side]] += tap
    return matrix


def _rounding(factors: DiskFactors, columns: np.ndarray) -> float:
    """A bound of what single precision loses, as a share of the sum; 0 where all are integers.

    Each sum of a sweep is rounded at what is summed by then, each pair of columns and each of its
    four softened ends at what they weigh.
    """
    if not factors.ends.any() and np.isin(factors.weights, (0, 0.5, 1)).all():
        return 0.0
    column_sums = 2 * columns.sum(1) - columns[:, 0]
    shares = 2 * factors.weights * column_sums[factors.sweeps[:, 0], None]
    shares = shares[shares > 0] / shares.sum()
    return 2.0**-24 * float((np.cumsum(shares) + 8 * shares).sum())


@njit(cache=True, nogil=True)
def _blur_each(
    pictures: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    disk: np.ndarray,
    factors: DiskFactors,
    tolerance: float,
    doubtful: np.ndarray,
    result: np.ndarray,
) -> np.ndarray:
    """Blur pictures one by one; bool (N,): which are left to the reference."""
    refused = np.empty(len(pictures), np.bool_)
    for i in range(len(pictures)):
        refused[i] = not _blur(
            pictures[i], rows, columns, disk, factors, tolerance, doubtful, result[i]
        )
    return refused


@njit(cache=True, nogil=True, fastmath={"contract"})
def _blur(
    picture: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    disk: np.ndarray,
    factors: DiskFactors,
    tolerance: float,
    doubtful: np.ndarray,
    result: np.ndarray,
) -> bool:
    """Blur one picture; False if more values are doubtful than `doubtful` has room for.

    Fused products are allowed: they change nothing beyond the tolerance, so nothing in the result.
    """
    height, width, _ = picture.shape
    count, half = 3 * width, len(disk) // 2
    out = result.reshape(height, count)
    padded = np.empty((height, 3 * len(columns)), np.float32)
    for y in range(height):
        pad(picture[y], columns, padded[y])
    sums = np.zeros((len(rows) + 1, 3 * len(columns)), np.float32)
    for y in range(len(rows)):
        row, last, new = padded[rows[y]], sums[y], sums[y + 1]
        for x in range(len(row)):
            new[x] = last[x] + row[x]
    column_sums = np.empty(3 * len(columns), np.float32)
    total = np.empty(count, np.float32)
    found = 0
    for y in range(height):
        total[:] = 0
        known = -1
        for k in range(len(factors.sweeps)):
            i, first = factors.sweeps[k]
            if i != known:
                run, known = factors.runs[i], i
                _sum_columns(sums, padded, rows, y + half, run, factors.ends[i], column_sums)
            _add_columns(column_sums, half, first, factors.weights[k], total)
        found = truncate(total, factors.unit, tolerance, y * count, doubtful, found, out[y])
        if found > len(doubtful):
            return False
    for index in doubtful[:found]:
        out[index // count, index % count] = value(picture, index, rows, columns, disk)
    return True


@njit(cache=True, nogil=True, fastmath={"contract"})
def _sum_columns(
    sums: np.ndarray,
    padded: np.ndarray,
    rows: np.ndarray,
    y: int,
    run: int,
    ends: np.ndarray,
    column_sums: np.ndarray,
) -> None:
    """What a column of the disk sums up around every pixel of row y of the padded picture."""
    above, below = sums[min(y - run, y + run + 1)], sums[y + run + 1]  # the same if there is none
    if ends[0] == 0:
        for x in range(len(column_sums)):
            column_sums[x] = below[x] - above[x]
        return
    last, d = len(rows) - 1, run + 1
    # Two distances a sweep: with more rows the compiler gives up on vectors.
    w_0, a_0, b_0 = ends[0], padded[rows[max(y - d, 0)]], padded[rows[min(y + d, last)]]
    d += 1
    w_1, a_1, b_1 = ends[1], padded[rows[max(y - d, 0)]], padded[rows[min(y + d, last)]]
    for x in range(len(column_sums)):
        pairs = (a_0[x] + b_0[x]) * w_0 + (a_1[x] + b_1[x]) * w_1
        column_sums[x] = (below[x] - above[x]) + pairs
    if ends[2] == 0:
        return
    d += 1
    w_0, a_0, b_0 = ends[2], padded[rows[max(y - d, 0)]], padded[rows[min(y + d, last)]]
    d += 1
    w_1, a_1, b_1 = ends[3], padded[rows[max(y - d, 0)]], padded[rows[min(y + d, last)]]
    for x in range(len(column_sums)):
        column_sums[x] += (a_0[x] + b_0[x]) * w_0 + (a_1[x] + b_1[x]) * w_1


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_columns(
    column_sums: np.ndarray, half: int, first: int, weights: np.ndarray, total: np.ndarray
) -> None:
    """Add the weighted columns at four distances to either side."""
    w_0, w_1, w_2, w_3 = weights[0], weights[1], weights[2], weights[3]
    a, b = column_sums[3 * (half - first - 3) :], column_sums[3 * (half + first) :]
    for x in range(len(total)):
        total[x] = (
            total[x]
            + (a[x + 9] + b[x]) * w_0
            + (a[x + 6] + b[x + 3]) * w_1
            + (a[x + 3] + b[x + 6]) * w_2
            + (a[x] + b[x + 9]) * w_3
        )


# ------------------------------------------------------------------------------------------------
# Defocus blur: correlation with an antialiased disk, identical to the double-precision reference.
#
# The sum above is quick, and its error is known. As in Gaussian blur, values within it of an
# integer are computed again in double, and pictures with many of them are left to the reference.


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
    factors, tolerance = factored(radius, alias_blur)
    half = len(disk) // 2
    rows, columns = (mirrored(side, half) for side in pictures.shape[1:3])
    result = np.empty_like(pictures)
    doubtful = np.empty(max(1, int(_DOUBTFUL_SHARE * pictures[:1].size)), np.int64)
    refused = _blur_each(pictures, rows, columns, disk, factors, tolerance, doubtful, result)
    for i in np.flatnonzero(refused):
        result[i] = _reference(pictures[i], disk)
    return result


def _reference(picture: np.ndarray, disk: np.ndarray) -> np.ndarray:
    """The blur of one picture (H, W, 3) in double precision, as imagecorruptions calls it."""
    unit = picture / 255.0
    blurred = np.stack([cv2.filter2D(unit[..., c], -1, disk) for c in range(3)], axis=-1)
    result: np.ndarray = (np.clip(blurred, 0, 1) * 255).astype(np.uint8)
    return result
