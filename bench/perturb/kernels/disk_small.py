"""Correlation with a disk well inside its grid: a sum of integers, softened by three taps each way.

Softening the sums over a sharp disk is softening the disk. The sums are counted in 16 bits, which
makes twice as many of them at a time as single precision does; they never overflow, and running
sums may.
"""

import functools
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit

from bench.perturb.kernels.disk_parts import antialiased_disk, pad, truncate, value
from bench.perturb.kernels.gaussian import truncate_levels


class Factors(NamedTuple):
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
def factored(radius: float, alias_blur: float) -> tuple[Factors, float]:
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
    factors = Factors(np.array(heights), np.array(groups), side, middle, unit, reach)
    return factors, 255 * float(missed + rounding) + 1e-9


@njit(cache=True, nogil=True)
def blur_each(
    pictures: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    disk: np.ndarray,
    factors: Factors,
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
    factors: Factors,
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
    factors: Factors,
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
