"""What several kernels need: checks of a batch, random fields, loops over pixels, smoothing.

Every pixel's sums have one fixed order and no operation is fused or reordered (`fastmath` stays
off), so results are equal to the last bit on every machine. numba keeps compiled loops on disk.
Random fields come from raw 16-bit words: numpy promises that a bit generator's raw words stay the
same in its future versions; of the distributions drawn from them it promises nothing, and it takes
longer over them.
"""

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import special


def checked(pictures: np.ndarray, draws: Sequence[np.random.Generator] | None = None) -> np.ndarray:
    """The batch in C order, if it is one.

    Args:
        pictures: uint8 RGB (N, H, W, 3), no side empty.
        draws: One generator per picture, where the corruption is random.

    Returns:
        The same pictures, contiguous in memory.

    Raises:
        ValueError: The shape or type is another, or generators and pictures differ in number.
    """
    shape = pictures.shape
    if pictures.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
        raise ValueError(
            f"Corruptions take uint8 RGB pictures of shape (N, H, W, 3); these are "
            f"{pictures.dtype} {shape}. Convert grey to RGB and stack pictures of one size."
        )
    if draws is not None and len(draws) != len(pictures):
        raise ValueError(
            f"There are {len(pictures)} pictures but {len(draws)} generators: one each is needed."
        )
    return np.ascontiguousarray(pictures)


def rounded(pixels: np.ndarray) -> np.ndarray:
    """[0, 1] as the nearest of 256 levels; values outside are clipped."""
    return np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)


# ------------------------------------------------------------------------------------------------
# Random fields from raw words
# ------------------------------------------------------------------------------------------------

LEVELS = 1 << 16


def uniform_words(draws: np.random.Generator, count: int) -> NDArray[np.uint16]:
    """The next `count` words, each value of 0..65535 equally likely."""
    raw = draws.bit_generator.random_raw((count + 3) // 4)
    return np.asarray(raw).astype("<u8", copy=False).view("<u2")[:count]


def uniforms(draws: np.random.Generator, count: int) -> NDArray[np.float64]:
    """`count` numbers from the 65,536 centres of equal cells of (0, 1)."""
    return (uniform_words(draws, count) + 0.5) / LEVELS


def normals(draws: np.random.Generator, count: int) -> NDArray[np.float32]:
    """`count` standard normal numbers, from 65,536 quantiles.

    Their mean is 0, their variance 1 to within 1e-4, and none lies beyond 4.33.
    """
    return _quantiles()[uniform_words(draws, count)]


@cache
def _quantiles() -> NDArray[np.float32]:
    table: NDArray[np.float32] = special.ndtri((np.arange(LEVELS) + 0.5) / LEVELS).astype("f4")
    table.flags.writeable = False
    return table


# ------------------------------------------------------------------------------------------------
# Loops over pixels
# ------------------------------------------------------------------------------------------------

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@compiled
def truncated(value: float) -> int:
    """[0, 1] as a byte, cut off as a cast would; values outside are clipped."""
    return int(min(max(value, 0.0), 1.0) * 255.0)


@compiled
def shift_hsv(
    pixels: NDArray[np.uint8],
    saturation_gain: float,
    saturation_offset: float,
    value_offset: float,
    out: NDArray[np.uint8],
) -> None:
    """Change saturation and value of pixels (M, 3); the hue stays.

    Hexcone model (Smith 1978): value is the largest channel, saturation the range over it, hue the
    position on the hexagon of pure colours, in sixths.
    """
    for i in range(pixels.shape[0]):
        red, green, blue = pixels[i, 0] / 255.0, pixels[i, 1] / 255.0, pixels[i, 2] / 255.0
        value = max(red, green, blue)
        spread = value - min(red, green, blue)
        hue = saturation = 0.0
        if spread > 0.0:
            saturation = spread / value
            # The last of equal channels decides, and sixths go through turns: both to the last
            # bit of what the reference computes.
            if blue == value:
                hue = (4.0 + (red - green) / spread) / 6.0
            elif green == value:
                hue = (2.0 + (blue - red) / spread) / 6.0
            else:
                hue = (green - blue) / spread / 6.0
            hue = (hue + 1.0 if hue < 0.0 else hue) * 6.0
        saturation = min(max(saturation * saturation_gain + saturation_offset, 0.0), 1.0)
        value = min(max(value + value_offset, 0.0), 1.0)
        sector = math.floor(hue)
        rest = hue - sector
        low = truncated(value * (1.0 - saturation))
        falling = truncated(value * (1.0 - rest * saturation))
        rising = truncated(value * (1.0 - (1.0 - rest) * saturation))
        high = truncated(value)
        if sector == 0 or sector == 6:
            out[i, 0], out[i, 1], out[i, 2] = high, rising, low
        elif sector == 1:
            out[i, 0], out[i, 1], out[i, 2] = falling, high, low
        elif sector == 2:
            out[i, 0], out[i, 1], out[i, 2] = low, high, rising
        elif sector == 3:
            out[i, 0], out[i, 1], out[i, 2] = low, falling, high
        elif sector == 4:
            out[i, 0], out[i, 1], out[i, 2] = rising, low, high
        else:
            out[i, 0], out[i, 1], out[i, 2] = high, low, falling


@compiled
def channel_sums(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sums over pixels (M, 3) of each channel's share of 255, in order."""
    shares = np.arange(256) / 255.0
    red = green = blue = 0.0
    for i in range(pixels.shape[0]):
        red += shares[pixels[i, 0]]
        green += shares[pixels[i, 1]]
        blue += shares[pixels[i, 2]]
    return np.array([red, green, blue])


@compiled
def filtered(
    field: Field,
    row_weights: Field,
    column_weights: Field,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> Field:
    """A separable symmetric filter.

    Args:
        field: (H, W).
        row_weights: Weights at distance 0..r between rows, (r + 1,).
        column_weights: The same between columns, (s + 1,).
        rows: Which row stands at -r..H+r-1, (H + 2r,): the border, spelt out.
        columns: The same for columns, (W + 2s,).
    """
    height, width = field.shape
    reach, side = row_weights.size - 1, column_weights.size - 1
    out = np.empty((height, width), np.float32)
    line = np.empty(width, np.float32)
    wide = np.empty(width + 2 * side, np.float32)
    for y in range(height):
        middle = field[rows[y + reach]]
        for x in range(width):
            line[x] = row_weights[0] * middle[x]
        for k in range(1, reach + 1):
            above, below = field[rows[y + reach - k]], field[rows[y + reach + k]]
            weight = row_weights[k]
            for x in range(width):
                line[x] += weight * (above[x] + below[x])
        for x in range(width + 2 * side):
            wide[x] = line[columns[x]]
        for x in range(width):
            out[y, x] = column_weights[0] * wide[x + side]
        for k in range(1, side + 1):
            weight = column_weights[k]
            for x in range(width):
                out[y, x] += weight * (wide[x + side - k] + wide[x + side + k])
    return out


@compiled
def warp(picture: Picture, down: Field, right: Field, offset: float, out: Picture) -> None:
    """Give each pixel what lies `down` and `right` of it, between pixels; mirrored at the border.

    Channels are interpolated as shares of 255 in single precision; as bytes they get `offset`
    added and are cut off, so 0.5 rounds.
    """
    height, width, _ = picture.shape
    shares = (np.arange(256) / 255.0).astype(np.float32)
    for y in range(height):
        for x in range(width):
            source_y, source_x = y + np.float64(down[y, x]), x + np.float64(right[y, x])
            top, left = math.floor(source_y), math.floor(source_x)
            v, u = source_y - top, source_x - left
            y0, y1 = _mirrored(top, height), _mirrored(top + 1, height)
            x0, x1 = _mirrored(left, width), _mirrored(left + 1, width)
            for c in range(3):
                share = (
                    shares[picture[y0, x0, c]] * (1.0 - v) * (1.0 - u)
                    + shares[picture[y0, x1, c]] * (1.0 - v) * u
                    + shares[picture[y1, x0, c]] * v * (1.0 - u)
                    + shares[picture[y1, x1, c]] * v * u
                )
                level = np.float32(share) * np.float32(255.0) + np.float32(offset)
                out[y, x, c] = int(min(max(level, np.float32(0.0)), np.float32(255.0)))


@compiled
def _mirrored(index: int, length: int) -> int:
    if 0 <= index < length:
        return index
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index


@numba.njit(cache=True, nogil=True)
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


# ------------------------------------------------------------------------------------------------
# Gaussian smoothing of fields
# ------------------------------------------------------------------------------------------------

Border = Literal["edge", "mirror"]


def smoothed(
    field: NDArray[np.float32], sigmas: tuple[float, float], truncate: float, border: Border
) -> NDArray[np.float32]:
    """A Gaussian filter in single precision.

    Args:
        field: (H, W).
        sigmas: Standard deviations between rows and between columns, in pixels.
        truncate: The filter ends after so many standard deviations.
        border: "edge" repeats the last pixel, "mirror" reflects including it.

    Returns:
        (H, W).
    """
    weights = [_gaussian(sigma, truncate) for sigma in sigmas]
    rows, columns = (
        _indices(length, half.size - 1, border)
        for length, half in zip(field.shape, weights, strict=True)
    )
    return filtered(field, weights[0], weights[1], rows, columns)


@lru_cache(maxsize=64)
def _gaussian(sigma: float, truncate: float) -> NDArray[np.float32]:
    """Weights at distance 0, 1, ...; with both sides they add up to 1."""
    distance = np.arange(int(truncate * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return (weights / (2 * weights.sum() - weights[0])).astype(np.float32)


@lru_cache(maxsize=64)
def _indices(length: int, reach: int, border: Border) -> NDArray[np.int64]:
    """What stands at -reach..length+reach-1."""
    places = np.arange(-reach, length + reach)
    if border == "edge":
        return places.clip(0, length - 1)
    places %= 2 * length
    return np.minimum(places, 2 * length - 1 - places)
