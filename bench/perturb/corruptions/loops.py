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

_DIGITS, _HALF = np.uint32(22), np.uint32(1 << 21)


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
    rows: NDArray[np.uint32],
    columns: NDArray[np.uint32],
    row_of: NDArray[np.uint32],
    column_of: NDArray[np.uint32],
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
    blocks = columns.shape[0]
    narrow = _column_means(picture, columns).reshape(picture.shape[0], 3 * blocks)
    totals, line = np.empty(3 * blocks, np.uint32), np.empty((blocks, 3), np.uint8)
    weights, flat = _mean_weights(rows), line.reshape(3 * blocks)
    for y in range(picture.shape[0]):
        block = row_of[y]
        if y > 0 and block == row_of[y - 1]:
            out[y] = out[y - 1]
            continue
        totals[:] = 0
        for i in range(rows[block, 0], rows[block, 1]):
            for x in range(3 * blocks):
                totals[x] += narrow[i, x]
        for x in range(3 * blocks):
            flat[x] = (totals[x] * weights[block] + _HALF) >> _DIGITS
        for x in range(picture.shape[1]):
            source = line[column_of[x]]
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = source[0], source[1], source[2]


@compiled
def _column_means(picture: Picture, columns: NDArray[np.uint32]) -> Picture:
    weights = _mean_weights(columns)
    means = np.empty((picture.shape[0], columns.shape[0], 3), np.uint8)
    for y in range(picture.shape[0]):
        for x in range(columns.shape[0]):
            red = green = blue = np.uint32(0)
            for i in range(columns[x, 0], columns[x, 1]):
                red += picture[y, i, 0]
                green += picture[y, i, 1]
                blue += picture[y, i, 2]
            means[y, x, 0] = (red * weights[x] + _HALF) >> _DIGITS
            means[y, x, 1] = (green * weights[x] + _HALF) >> _DIGITS
            means[y, x, 2] = (blue * weights[x] + _HALF) >> _DIGITS
    return means


@compiled
def _mean_weights(blocks: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """1 / length in 22 binary digits: as in Pillow, they decide which way halves are rounded."""
    return (float(1 << 22) / (blocks[:, 1] - blocks[:, 0]) + 0.5).astype(np.uint32)


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
