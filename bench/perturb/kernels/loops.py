"""Loops over pixels, compiled once by numba and then kept on disk.

Every pixel's sums have one fixed order and no operation is fused or reordered (`fastmath` stays
off), so results are equal to the last bit on every machine.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

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
def fill_blocks(
    picture: Picture,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    row_of: NDArray[np.int64],
    column_of: NDArray[np.int64],
    out: Picture,
) -> None:
    """Give every pixel the mean of a block: of its columns, rounded to bytes, then of its rows.

    Args:
        picture: (H, W, 3).
        rows: Where each block of rows starts and stops, (blocks, 2).
        columns: The same for columns.
        row_of: The block that row y of the result shows, (H,).
        column_of: The same for columns, (W,).
        out: (H, W, 3).
    """
    height, width, _ = picture.shape
    narrow = np.empty((height, columns.shape[0], 3), np.uint8)
    for x in range(columns.shape[0]):
        start, stop = columns[x]
        for y in range(height):
            for c in range(3):
                total = 0
                for i in range(start, stop):
                    total += picture[y, i, c]
                narrow[y, x, c] = _rounded_mean(total, stop - start)
    line = np.empty((columns.shape[0], 3), np.uint8)
    shown = -1
    for y in range(height):
        if row_of[y] != shown:
            shown = row_of[y]
            start, stop = rows[shown]
            for x in range(columns.shape[0]):
                for c in range(3):
                    total = 0
                    for i in range(start, stop):
                        total += narrow[i, x, c]
                    line[x, c] = _rounded_mean(total, stop - start)
        for x in range(width):
            for c in range(3):
                out[y, x, c] = line[column_of[x], c]


@compiled
def _rounded_mean(total: int, count: int) -> int:
    """A weight of 22 binary digits, as in Pillow, decides which way halves are rounded."""
    return (total * int((1 << 22) / count + 0.5) + (1 << 21)) >> 22


@compiled
def smoothed(
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
def warp(picture: Picture, down: Field, right: Field, out: Picture) -> None:
    """Give each pixel what lies `down` and `right` of it, between pixels; mirrored at the border.

    Channels are interpolated as shares of 255, kept in single precision and cut off to bytes.
    """
    height, width, _ = picture.shape
    for y in range(height):
        for x in range(width):
            source_y, source_x = y + np.float64(down[y, x]), x + np.float64(right[y, x])
            top, left = math.floor(source_y), math.floor(source_x)
            v, u = source_y - top, source_x - left
            y0, y1 = _mirrored(top, height), _mirrored(top + 1, height)
            x0, x1 = _mirrored(left, width), _mirrored(left + 1, width)
            for c in range(3):
                share = (
                    np.float32(picture[y0, x0, c] / 255.0) * (1.0 - v) * (1.0 - u)
                    + np.float32(picture[y0, x1, c] / 255.0) * (1.0 - v) * u
                    + np.float32(picture[y1, x0, c] / 255.0) * v * (1.0 - u)
                    + np.float32(picture[y1, x1, c] / 255.0) * v * u
                )
                out[y, x, c] = int(min(max(np.float32(share), 0.0), 1.0) * np.float32(255.0))


@compiled
def _mirrored(index: int, length: int) -> int:
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index
