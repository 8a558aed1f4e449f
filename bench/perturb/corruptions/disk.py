"""Defocus blur: the mean under a soft-edged disk, in two ways, for small and for large disks."""

import functools
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit

from bench.perturb.corruptions.loops import checked, truncate_levels

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
# Correlation with a disk well inside its grid: a sum of integers, softened by three taps each way.
#
# Softening the sums over a sharp disk is softening the disk. The sums are counted in 16 bits, which
# makes twice as many of them at a time as single precision does; they never overflow, and running
# sums may.


class SmallFactors(NamedTuple):
    """A softened disk as columns of ones and a Gaussian of three taps.

    Attributes:
        heights: int64 (heights, 3): half-length of columns, and their first and last of `groups`.
        groups: int64 (groups, 4): places of columns of one height, from the left of the disk. A
            group is four, two or one; the others are -1.
        side: Weight of the outer taps, float32.
        middle: Weight of the middle tap, float32.
        unit: What is left to multiply by: 1 but where the sums are not softened, and so integers.
        radius: Half-width of the sharp disk.
    """

    heights: np.ndarray
    groups: np.ndarray
    side: np.float32
    middle: np.float32
    unit: float
    radius: int


@functools.lru_cache(maxsize=32)
def factored_small(radius: float, alias_blur: float) -> tuple[SmallFactors, float]:
    """The factors of a disk of radius below 8, and a bound of the error they cause, in levels."""
    disk = antialiased_disk(radius, alias_blur).astype(np.float64)
    half, reach = len(disk) // 2, int(radius)
    distances = np.abs(np.arange(-reach, reach + 1))
    lengths = np.floor(np.sqrt(radius**2 - distances**2)).astype(np.int64)
    heights: list[tuple[int, int, int]] = []
    groups: list[list[int]] = []
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length).tolist()
        first = len(groups)
        while places:
            size = max(size for size in (1, 2, 4) if size <= len(places))
            groups.append(places[:size] + [-1] * (4 - size))
            places = places[size:]
        heights.append((int(length), first, len(groups)))
    taps = cv2.getGaussianKernel(3, alias_blur)[:, 0]
    exact = taps[0] < 1e-12
    taps = np.array([0.0, 1.0, 0.0]) if exact else taps
    sharp = np.zeros_like(disk)
    sharp[half - reach : half + reach + 1, half - reach : half + reach + 1] = (
        distances <= lengths[:, None]
    )
    unit = disk[half, half] / cv2.sepFilter2D(sharp, cv2.CV_64F, taps, taps)[half, half]
    taps = taps if exact else (np.sqrt(unit) * taps).astype(np.float32).astype(np.float64)
    unit = float(unit) if exact else 1.0
    missed = np.abs(disk - unit * cv2.sepFilter2D(sharp, cv2.CV_64F, taps, taps)).sum()
    # Two roundings down, of a product and the sum; three across, a pair's besides; one at the end.
    rounding = 0.0 if exact else 6 * 2.0**-24
    side, middle = np.float32(taps[0]), np.float32(taps[1])
    factors = SmallFactors(np.array(heights), np.array(groups), side, middle, unit, reach)
    return factors, 255 * float(missed + rounding) + 1e-9


@njit(cache=True, nogil=True)
def blur_each_small(
    pictures: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    disk: np.ndarray,
    factors: SmallFactors,
    tolerance: float,
    doubtful: np.ndarray,
    result: np.ndarray,
) -> np.ndarray:
    """Blur pictures one by one; bool (N,): which have more doubtful values than there is room."""
    refused = np.empty(len(pictures), np.bool_)
    sums = np.zeros((len(rows) + 1, 3 * len(columns)), np.uint16)
    padded = np.empty((pictures.shape[1], 3 * len(columns)), np.uint8)
    for i in range(len(pictures)):
        for y in range(len(padded)):
            pad(pictures[i, y], columns, padded[y])
        for y in range(len(rows)):
            row, last, new = padded[rows[y]], sums[y], sums[y + 1]
            for x in range(len(row)):
                new[x] = np.uint16(last[x] + row[x])
        found = _soften(sums, len(disk) // 2, factors, tolerance, doubtful, result[i])
        refused[i] = found > len(doubtful)
        if not refused[i]:
            width = pictures.shape[2]
            for index in doubtful[:found]:
                y, x, c = index // (3 * width), index // 3 % width, index % 3
                result[i, y, x, c] = value(pictures[i], index, rows, columns, disk)
    return refused


@njit(cache=True, nogil=True, fastmath={"contract"})
def _soften(
    sums: np.ndarray,
    half: int,
    factors: SmallFactors,
    tolerance: float,
    doubtful: np.ndarray,
    result: np.ndarray,
) -> int:
    """Blur from the running sums of the padded picture; the number of doubtful values.

    Fused products are allowed: they change nothing beyond the tolerance, so nothing in the result.
    """
    height, width, _ = result.shape
    count = 3 * width
    out = result.reshape(height, count)
    sharp = np.empty((3, count + 6), np.uint16)  # of three rows in turn
    column_sums = np.empty(sums.shape[1], np.uint16)
    mixed, total = np.empty(count + 6, np.float32), np.empty(count, np.float32)
    side, middle = factors.side, factors.middle
    found = 0
    for y in range(-1, height + 1):
        _sum_disk(sums, y + half, half, factors, column_sums, sharp[(y + 1) % 3])
        if y < 1:
            continue
        a, b, c = sharp[(y - 1) % 3], sharp[y % 3], sharp[(y + 1) % 3]
        for x in range(count + 6):
            pair = np.float32(np.int32(a[x]) + np.int32(c[x]))
            mixed[x] = pair * side + np.float32(np.int32(b[x])) * middle
        for x in range(count):
            total[x] = (mixed[x] + mixed[x + 6]) * side + mixed[x + 3] * middle
        first = (y - 1) * count
        if side == 0:
            found = truncate(total, factors.unit, tolerance, first, doubtful, found, out[y - 1])
        else:
            single = np.float32(tolerance)
            found = truncate_levels(total, single, first, doubtful, found, out[y - 1])
    return found


@njit(cache=True, nogil=True)
def _sum_disk(
    sums: np.ndarray,
    y: int,
    half: int,
    factors: SmallFactors,
    column_sums: np.ndarray,
    total: np.ndarray,
) -> None:
    """Sums over the sharp disk around row y of the padded picture, from one pixel left of it."""
    total[:] = 0
    left = 3 * (half - 1 - factors.radius)
    for length, begin, end in factors.heights:
        below, above = sums[y + length + 1], sums[y - length]
        for x in range(len(column_sums)):
            column_sums[x] = np.uint16(below[x] - above[x])
        for p, q, r, s in factors.groups[begin:end]:
            a, b = column_sums[left + 3 * p :], column_sums[left + 3 * max(q, 0) :]
            c, d = column_sums[left + 3 * max(r, 0) :], column_sums[left + 3 * max(s, 0) :]
            if s >= 0:
                for x in range(len(total)):
                    total[x] = np.uint16(total[x] + a[x] + b[x] + c[x] + d[x])
            elif q >= 0:
                for x in range(len(total)):
                    total[x] = np.uint16(total[x] + a[x] + b[x])
            else:
                for x in range(len(total)):
                    total[x] = np.uint16(total[x] + a[x])


# ------------------------------------------------------------------------------------------------
# Correlation with a disk that reaches the edge of its grid, where softening folds back its rim.
#
# A disk is few different columns: those of equal height are added up horizontally, and a column
# is a
# run of ones with a softened end, a difference of two running sums. In units of the disk's middle
# weight the runs are integers, exact in single precision.


class LargeFactors(NamedTuple):
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
def factored_large(radius: float, alias_blur: float) -> tuple[LargeFactors, float]:
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
    factors = LargeFactors(
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


def _rounding(factors: LargeFactors, columns: np.ndarray) -> float:
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
def blur_each_large(
    pictures: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    disk: np.ndarray,
    factors: LargeFactors,
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
    factors: LargeFactors,
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
# The two ways above sum it up quickly, and with an error that is known. As in
# `gaussian`,
# values within it of an integer are computed again in double, and pictures with many of them are
# left to the reference.


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
    small = radius < WINDOW
    factored = factored_small if small else factored_large
    factors, tolerance = factored(radius, alias_blur)
    half = len(disk) // 2
    rows, columns = (mirrored(side, half) for side in pictures.shape[1:3])
    result = np.empty_like(pictures)
    doubtful = np.empty(max(1, int(_DOUBTFUL_SHARE * pictures[:1].size)), np.int64)
    blur_each = blur_each_small if small else blur_each_large
    refused = blur_each(pictures, rows, columns, disk, factors, tolerance, doubtful, result)
    for i in np.flatnonzero(refused):
        result[i] = _reference(pictures[i], disk)
    return result


def _reference(picture: np.ndarray, disk: np.ndarray) -> np.ndarray:
    """The blur of one picture (H, W, 3) in double precision, as imagecorruptions calls it."""
    unit = picture / 255.0
    blurred = np.stack([cv2.filter2D(unit[..., c], -1, disk) for c in range(3)], axis=-1)
    result: np.ndarray = (np.clip(blurred, 0, 1) * 255).astype(np.uint8)
    return result
