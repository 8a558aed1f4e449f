"""Loops over pixels for weather, compiled by numba: see `loops`."""

import numpy as np
from numpy.typing import NDArray

from bench.perturb.kernels.loops import Field, Picture, compiled, truncated


@compiled
def fractal(words: NDArray[np.uint16], size: int, decay: float) -> Field:
    """A plasma fractal on a torus by midpoint displacement (diamond-square).

    Args:
        words: size x size uniform words, of which the last is not used.
        size: Side, a power of two.
        decay: Factor by which the amplitude's root shrinks from one scale to the next.

    Returns:
        (size, size), from 0 to 1.
    """
    surface = np.zeros((size, size), np.float32)
    mask, used, step, root = size - 1, 0, size, 100.0
    while step >= 2:
        half = step // 2
        unit = np.float32(2.0 * root * root / 65536.0)
        for y in range(half, size, step):
            for x in range(half, size, step):
                up, down = y - half, (y + half) & mask
                left, right = x - half, (x + half) & mask
                corners = surface[up, left] + surface[up, right]
                corners += surface[down, left] + surface[down, right]
                noise = (np.float32(words[used]) - np.float32(32767.5)) * unit
                surface[y, x] = np.float32(0.25) * corners + noise
                used += 1
        for y in range(0, size, half):
            for x in range(half if y % step == 0 else 0, size, step):
                sides = surface[(y - half) & mask, x] + surface[(y + half) & mask, x]
                sides += surface[y, (x - half) & mask] + surface[y, (x + half) & mask]
                noise = (np.float32(words[used]) - np.float32(32767.5)) * unit
                surface[y, x] = np.float32(0.25) * sides + noise
                used += 1
        step = half
        root /= decay
    lowest, highest = surface.min(), surface.max()
    return (surface - lowest) / max(highest - lowest, np.float32(1e-20))


@compiled
def cover_with_fog(picture: Picture, fog: Field, amount: float, out: Picture) -> None:
    """Add fog to a picture and scale the sum so that its largest value stays where it was."""
    brightest = picture.max() / 255.0
    scale = brightest / (brightest + amount)
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            for c in range(3):
                share = picture[y, x, c] / 255.0 + amount * fog[y, x]
                out[y, x, c] = truncated(share * scale)


@compiled
def drift(
    flakes: Field,
    layer_shape: tuple[int, int],
    threshold: float,
    path: NDArray[np.int64],
    weights: Field,
    shape: tuple[int, int],
) -> NDArray[np.uint8]:
    """Enlarge flakes between pixels, drop the faint ones and draw the rest out along a path.

    Args:
        flakes: (h, w).
        layer_shape: Height and width that they are enlarged to, corner pixels on corner pixels.
        threshold: Enlarged values below it become 0; values above 1 become 1.
        path: Rows down and columns to the right of each point, (taps, 2).
        weights: Weight of each point, (taps,).
        shape: Height and width of the part of the layer that is wanted.

    Returns:
        The layer of `shape`, rounded to bytes; the border repeats the edge.
    """
    reach = np.abs(path).max()
    large = _enlarged(flakes, layer_shape, threshold, reach, shape)
    line = np.empty(shape[1], np.float32)
    out = np.empty(shape, np.uint8)
    for y in range(shape[0]):
        line[:] = 0.0
        for k in range(weights.size):
            start = reach - path[k, 1]
            source = large[y + reach - path[k, 0], start : start + shape[1]]
            weight = weights[k]
            for x in range(shape[1]):
                line[x] += weight * source[x]
        for x in range(shape[1]):
            out[y, x] = int(line[x] * np.float32(255.0) + np.float32(0.5))
    return out


@compiled
def _enlarged(
    flakes: Field,
    layer_shape: tuple[int, int],
    threshold: float,
    reach: int,
    shape: tuple[int, int],
) -> Field:
    """The layer, and `reach` more pixels on each side, (shape[0] + 2 reach, shape[1] + 2 reach)."""
    large = np.empty((shape[0] + 2 * reach, shape[1] + 2 * reach), np.float32)
    step_y = (flakes.shape[0] - 1) / max(layer_shape[0] - 1, 1)
    step_x = (flakes.shape[1] - 1) / max(layer_shape[1] - 1, 1)
    line = np.empty(flakes.shape[1], np.float32)
    for i in range(large.shape[0]):
        position = min(max(i - reach, 0), layer_shape[0] - 1) * step_y
        first = min(int(position), flakes.shape[0] - 1)
        rest = np.float32(position - first)
        upper, lower = flakes[first], flakes[min(first + 1, flakes.shape[0] - 1)]
        for x in range(line.size):
            line[x] = upper[x] + rest * (lower[x] - upper[x])
        for j in range(large.shape[1]):
            position = min(max(j - reach, 0), layer_shape[1] - 1) * step_x
            first = min(int(position), flakes.shape[1] - 1)
            right = line[min(first + 1, flakes.shape[1] - 1)]
            value = line[first] + np.float32(position - first) * (right - line[first])
            large[i, j] = 0.0 if value < threshold else min(max(value, 0.0), 1.0)
    return large


@compiled
def cover_with_snow(picture: Picture, layer: NDArray[np.uint8], keep: float, out: Picture) -> None:
    """Whiten a picture, and lay snow over it once as it is and once turned by half a turn."""
    height, width, _ = picture.shape
    for y in range(height):
        for x in range(width):
            red, green, blue = picture[y, x]
            white = (0.299 * red + 0.587 * green + 0.114 * blue) / 255.0 * 1.5 + 0.5
            snow = (int(layer[y, x]) + int(layer[height - 1 - y, width - 1 - x])) / 255.0
            for c in range(3):
                share = picture[y, x, c] / 255.0
                out[y, x, c] = truncated(keep * share + (1.0 - keep) * max(share, white) + snow)


@compiled
def cover_with_liquid(
    picture: Picture, layer: Field, colour: NDArray[np.float64], opacity: float, out: Picture
) -> None:
    """Add a colour in proportion to a layer, which takes away `opacity` of what is behind it."""
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            thickness = layer[y, x]
            for c in range(3):
                behind = picture[y, x, c] / 255.0 * (1.0 - opacity * thickness)
                out[y, x, c] = truncated(behind + thickness * colour[c])
