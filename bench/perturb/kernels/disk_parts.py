"""What the two ways of blurring with a disk share: the disk, padded rows, and truncation."""

import cv2
import numpy as np
from numba import njit

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
