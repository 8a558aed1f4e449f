"""Defocus blur: correlation with an antialiased disk, identical to the double-precision reference.

The disk's rows are constant but for a few weights at the rim. The constant parts are sums of runs,
which are differences of two running sums of a row, in integers; only the rim is multiplied, in
single precision. As in `gaussian`, values within the rounding error of an integer are computed
again in double, and pictures with many of them are left to the reference.
"""

import cv2
import numpy as np
from numba import njit

from bench.perturb.kernels.pictures import checked

_UNIT = np.arange(256) / 255.0
_DOUBTFUL_SHARE = 0.02  # of values, beyond which the reference is faster than single values
_WINDOW = 8  # the least half-width of the disk's grid


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
    runs, rim = _runs_and_rim(disk)
    tolerance = _rounding_error(disk, runs, rim)
    half = len(disk) // 2
    rows, columns = (_mirrored(side, half) for side in pictures.shape[1:3])
    result = np.empty_like(pictures)
    doubtful = np.empty(max(1, int(_DOUBTFUL_SHARE * pictures[:1].size)), np.int64)
    for picture, blurred in zip(pictures, result, strict=True):
        if not _blur(picture, rows, columns, disk, runs, rim, tolerance, doubtful, blurred):
            blurred[:] = _reference(picture, disk)
    return result


def antialiased_disk(radius: float, alias_blur: float) -> np.ndarray:
    """The disk's weights, float32 (2 h + 1, 2 h + 1), of sum 1 but for rounding.

    h is 8, or the radius where that is larger. A disk that reaches the edge of its grid is softened
    within the grid.
    """
    half = max(_WINDOW, int(np.ceil(radius)))
    offsets = np.arange(-half, half + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.float32)
    disk /= disk.sum()
    side = 3 if radius <= _WINDOW else 5
    softened: np.ndarray = cv2.GaussianBlur(disk, ksize=(side, side), sigmaX=alias_blur)
    return softened


def _runs_and_rim(disk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is constant in a disk and what is not; both by distance from its middle row.

    Returns:
        Half-widths of the runs of the middle's weight, int64 (h + 1,), -1 where there is none; and
        float32 (h + 1, h + 1), the other weights by distance from the middle column. The weights
        of the middle column are halved, because columns are added in pairs.
    """
    half = len(disk) // 2
    quarter = disk[half:, half:]
    constant = np.abs(quarter / disk[half, half] - 1) < 1e-6  # a few units in the last place
    runs = np.where(constant.all(1), half + 1, np.argmin(constant, axis=1)) - 1
    rim = np.where(np.arange(half + 1) > runs[:, None], quarter, 0).astype(np.float32)
    rim[rim < 1e-12] = 0  # exp(-50) and the like: far below the last place of the sum
    rim[:, 0] /= 2
    return runs, rim


def _rounding_error(disk: np.ndarray, runs: np.ndarray, rim: np.ndarray) -> float:
    """A bound, in levels, of the error in single precision.

    Each of the rim's products and sums is rounded once, at most at the rim's share of the sum. The
    constant part is exact; weights taken as constant are off by their difference. Without a rim
    there is what double precision leaves.
    """
    half = len(disk) // 2
    quarter = disk[half:, half:].astype(np.float64)
    inside = np.arange(half + 1) <= runs[:, None]
    unequal = 4 * np.abs(quarter - quarter[0, 0])[inside].sum()
    dropped = 4 * quarter[~inside & (rim == 0)].sum()
    roundings = (2 * np.count_nonzero(rim) + 2) * 4 * float(rim.sum())
    return 255 * (2.0**-24 * roundings + float(unequal + dropped)) + 1e-9


def _mirrored(side: int, half: int) -> np.ndarray:
    """Indices of a side padded by `half` at both ends, mirrored about its first and last pixel."""
    period = max(1, 2 * (side - 1))
    folded = np.abs(np.arange(-half, side + half)) % period
    return np.minimum(folded, period - folded) if side > 1 else np.zeros_like(folded)


def _reference(picture: np.ndarray, disk: np.ndarray) -> np.ndarray:
    """The blur of one picture (H, W, 3) in double precision, as imagecorruptions calls it."""
    unit = picture / 255.0
    blurred = np.stack([cv2.filter2D(unit[..., c], -1, disk) for c in range(3)], axis=-1)
    result: np.ndarray = (np.clip(blurred, 0, 1) * 255).astype(np.uint8)
    return result


@njit(cache=True, nogil=True, fastmath={"contract"})
def _blur(
    picture: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    disk: np.ndarray,
    runs: np.ndarray,
    rim: np.ndarray,
    tolerance: float,
    doubtful: np.ndarray,
    result: np.ndarray,
) -> bool:
    """Blur one picture; False if more values are doubtful than `doubtful` has room for.

    Fused products are allowed: they change nothing beyond the tolerance, so nothing in the result.
    """
    height, width, _ = picture.shape
    count, half = 3 * width, len(runs) - 1
    out = result.reshape(height, count)
    padded = np.empty((height, 3 * len(columns)), np.float32)
    for y in range(height):
        _pad(picture[y], columns, padded[y])
    sums = np.zeros((len(rows) + 1, 3 * len(columns)), np.float32)
    for y in range(len(rows)):
        row, last, new = padded[rows[y]], sums[y], sums[y + 1]
        for x in range(len(row)):
            new[x] = last[x] + row[x]
    inside = np.empty(count, np.float32)
    folded = np.empty(3 * len(columns), np.float32)
    total = np.empty(count, np.float32)
    found = 0
    for y in range(height):
        _sum_runs(sums[y:], runs, inside)
        total[:] = 0
        for d in range(half + 1):
            if rim[d].any():
                above, below = padded[rows[y + half - d]], padded[rows[y + half + d]]
                _fold_rows(above, below, d > 0, folded)
                _add_rim(folded, rim[d], total)
        found = _truncate(
            total, inside, disk[half, half], tolerance, y * count, doubtful, found, out[y]
        )
        if found > len(doubtful):
            return False
    for index in doubtful[:found]:
        out[index // count, index % count] = _value(picture, index, rows, columns, disk)
    return True


@njit(cache=True, nogil=True)
def _pad(row: np.ndarray, columns: np.ndarray, padded: np.ndarray) -> None:
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
def _sum_runs(sums: np.ndarray, runs: np.ndarray, inside: np.ndarray) -> None:
    """Sums over the constant part of the disk whose uppermost row follows the first of `sums`."""
    half, count = len(runs) - 1, len(inside)
    above, below = sums[half - runs[0], 3 * half :], sums[half + runs[0] + 1, 3 * half :]
    for x in range(count):
        inside[x] = below[x] - above[x]
    for d in range(1, half + 1):
        if runs[d] >= 0:
            top, bottom = sums[half - runs[d]], sums[half + runs[d] + 1]
            a_0, b_0 = top[3 * (half - d) :], top[3 * (half + d) :]
            a_1, b_1 = bottom[3 * (half - d) :], bottom[3 * (half + d) :]
            for x in range(count):
                inside[x] += (a_1[x] - a_0[x]) + (b_1[x] - b_0[x])


@njit(cache=True, nogil=True)
def _fold_rows(above: np.ndarray, below: np.ndarray, two: bool, folded: np.ndarray) -> None:
    """The sum of two rows, or the one row where they are the same."""
    if two:
        for x in range(len(folded)):
            folded[x] = above[x] + below[x]
    else:
        folded[:] = above


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_rim(folded: np.ndarray, weights: np.ndarray, total: np.ndarray) -> None:
    """Add the weighted pairs of columns, four neighbouring distances in one sweep."""
    half, count = len(weights) - 1, len(total)
    d = 0
    while d <= half:
        if weights[d] == 0:
            d += 1
        elif d + 3 <= half:
            w_0, w_1, w_2, w_3 = weights[d], weights[d + 1], weights[d + 2], weights[d + 3]
            a, b = folded[3 * (half - d - 3) :], folded[3 * (half + d) :]
            for x in range(count):
                total[x] = (
                    total[x]
                    + (a[x + 9] + b[x]) * w_0
                    + (a[x + 6] + b[x + 3]) * w_1
                    + (a[x + 3] + b[x + 6]) * w_2
                    + (a[x] + b[x + 9]) * w_3
                )
            d += 4
        else:
            a, b, w_0 = folded[3 * (half - d) :], folded[3 * (half + d) :], weights[d]
            for x in range(count):
                total[x] += (a[x] + b[x]) * w_0
            d += 1


@njit(cache=True, nogil=True, fastmath={"contract"})
def _truncate(
    rim: np.ndarray,
    inside: np.ndarray,
    weight: np.float32,
    tolerance: float,
    first: int,
    doubtful: np.ndarray,
    found: int,
    result: np.ndarray,
) -> int:
    """Add the constant part and truncate a row; list the values too near an integer, count them."""
    differ = np.int32(0)
    for x in range(len(rim)):
        value = min(rim[x] + inside[x] * np.float64(weight), 255.0)
        low, high = np.int32(value - tolerance), np.int32(value + tolerance)
        result[x] = np.uint8(high)
        differ |= low ^ high
    if differ == 0:
        return found
    for x in range(len(rim)):
        value = min(rim[x] + inside[x] * np.float64(weight), 255.0)
        if np.int32(value - tolerance) != np.int32(value + tolerance):
            if found < len(doubtful):
                doubtful[found] = first + x
            found += 1
    return found


@njit(cache=True, nogil=True)
def _value(
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
