"""Snow, frost, fog and spatter, with their loops over pixels compiled by numba (see `loops`)."""

import importlib.util
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.perturb.corruptions.loops import (
    Field,
    Picture,
    checked,
    compiled,
    normals,
    smoothed,
    truncated,
    uniform_words,
    uniforms,
)
from bench.util.errors import UserError


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


# ------------------------------------------------------------------------------------------------
# Weather: snow, frost, fog, spatter (Hendrycks & Dietterich 2019, arXiv 1903.12261).


_SNOW = ("mean", "scale", "zoom", "threshold", "radius", "sigma", "keep")
_SPATTER = ("mean", "scale", "sigma", "threshold", "liquid", "amount")

#: The constants of the package imagecorruptions at severities 1-5.
IMAGECORRUPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "snow": tuple(
        dict(zip(_SNOW, row, strict=True))
        for row in (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        )
    ),
    "frost": tuple(
        {"keep": keep, "frost_share": share}
        for keep, share in ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
    ),
    "fog": tuple(
        {"amount": amount, "decay": decay}
        for amount, decay in ((1.5, 2), (2.0, 2), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))
    ),
    "spatter": tuple(
        dict(zip(_SPATTER, row, strict=True))
        for row in (
            (0.65, 0.3, 4, 0.69, "water", 0.6),
            (0.65, 0.3, 3, 0.68, "water", 0.6),
            (0.65, 0.3, 2, 0.68, "water", 0.5),
            (0.65, 0.3, 1, 0.65, "mud", 1.5),
            (0.67, 0.4, 1, 0.65, "mud", 1.5),
        )
    ),
}

_WATER = np.array((175, 238, 238)) / 255.0
_MUD = np.array((63, 42, 20)) / 255.0
_FROST_FILES = tuple(f"frost{n}.{'png' if n <= 3 else 'jpg'}" for n in range(1, 7))


def snow(
    pictures: np.ndarray,
    mean: float,
    scale: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    keep: float,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """Falling snow: enlarged, thresholded noise drawn out in one direction, on a whitened picture.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        mean: Mean of the noise, full scale being 1.
        scale: Its standard deviation.
        zoom: Factor by which the noise is enlarged.
        threshold: Noise below it is no snow.
        radius: The trace of a flake has 2 x radius + 1 points, one pixel apart.
        sigma: A flake fades along its trace as one side of a Gaussian of this width in pixels.
        keep: Share of the picture that is not whitened.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    _, height, width, _ = pictures.shape
    crop = math.ceil(height / zoom), math.ceil(width / zoom)
    layer_shape = round(crop[0] * zoom), round(crop[1] * zoom)
    fading = np.exp(-0.5 * (np.arange(2 * radius + 1) / sigma) ** 2)
    fading = (fading / fading.sum()).astype(np.float32)
    out = np.empty(pictures.shape, np.uint8)
    for picture, generator, result in zip(pictures, draws, out, strict=True):
        angle = math.radians(-135.0 + 90.0 * float(uniforms(generator, 1)[0]))
        noise = normals(generator, crop[0] * crop[1]).reshape(crop)
        flakes = np.float32(mean) + np.float32(scale) * noise
        path = _path(angle, fading.size, layer_shape)
        layer = drift(flakes, layer_shape, threshold, path, fading[: len(path)], (height, width))
        cover_with_snow(picture, layer, keep, result)
    return out


def _path(angle: float, points: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Points one pixel apart, as rows down and columns right, up to the first outside `shape`."""
    distance = np.arange(points)
    down = -np.ceil(distance * math.sin(angle) - 0.5)
    right = -np.ceil(distance * math.cos(angle) - 0.5)
    outside = (abs(down) >= shape[0]) | (abs(right) >= shape[1])
    inside = int(outside.argmax()) if outside.any() else points
    return np.stack([down, right], axis=-1).astype(np.int64)[:inside]


def frost(
    pictures: np.ndarray,
    keep: float,
    frost_share: float,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """A part of one of six photographs of frost, added to the picture.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        keep: Factor of the picture.
        frost_share: Factor of the photograph.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).

    Raises:
        UserError: If the package imagecorruptions, which holds the photographs, is not installed.
    """
    pictures = checked(pictures, draws)
    _, height, width, _ = pictures.shape
    out = np.empty(pictures.shape, np.uint8)
    for picture, generator, result in zip(pictures, draws, out, strict=True):
        which, down, right = uniforms(generator, 3)
        photograph = frost_photograph(int(which * len(_FROST_FILES)), height, width)
        y = int(down * (photograph.shape[0] - height))
        x = int(right * (photograph.shape[1] - width))
        total = keep * picture + frost_share * photograph[y : y + height, x : x + width]
        result[:] = np.minimum(total, 255.0, out=total)
    return out


def frost_photograph(number: int, height: int, width: int) -> NDArray[np.uint8]:
    """Photograph 0-5 of frost, uint8 RGB, a tenth or more larger than (height, width)."""
    original = _frost_photograph(number, 1.0)
    return _frost_photograph(
        number, 1.1 * max(1.0, height / original.shape[0], width / original.shape[1])
    )


def _frost_folder() -> Path:
    spec = importlib.util.find_spec("imagecorruptions")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "The corruption 'frost' needs the photographs of the package imagecorruptions, which "
            "is not installed: run `pip install --no-deps imagecorruptions-imaug`, or leave frost "
            "out."
        )
    return Path(spec.submodule_search_locations[0]) / "frost"


def frost_missing() -> str:
    """Why frost has no photographs here, in a sentence; empty if it has."""
    try:
        folder = _frost_folder()
    except UserError as error:
        return str(error)
    lost = next((name for name in _FROST_FILES if not (folder / name).is_file()), None)
    return "" if lost is None else f"{folder / lost} is not there: install imagecorruptions-imaug."


@lru_cache(maxsize=18)
def _frost_photograph(number: int, scale: float) -> NDArray[np.uint8]:
    file = _frost_folder() / _FROST_FILES[number]
    photograph = cv2.imread(str(file)) if file.is_file() else None
    if photograph is None:
        raise UserError(
            f"The corruption 'frost' cannot read {file}: install imagecorruptions-imaug anew."
        )
    height, width = photograph.shape[:2]
    size = math.ceil(width * scale), math.ceil(height * scale)
    resized = cv2.resize(photograph, size, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(resized[..., ::-1])


def fog(
    pictures: np.ndarray,
    amount: float,
    decay: float,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """Fog in the shape of a plasma fractal.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        amount: Fog at its thickest, full scale being 1.
        decay: Factor by which the root of the fractal's amplitude shrinks from scale to scale;
            less than 2 makes the fog uneven at fine scales.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    size = 1 << (max(pictures.shape[1:]) - 1).bit_length()
    out = np.empty(pictures.shape, np.uint8)
    for picture, generator, result in zip(pictures, draws, out, strict=True):
        surface = fractal(uniform_words(generator, size * size), size, float(decay))
        cover_with_fog(picture, surface, float(amount), result)
    return out


def spatter(
    pictures: np.ndarray,
    mean: float,
    scale: float,
    sigma: float,
    threshold: float,
    liquid: str,
    amount: float,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """Drops of water or splashes of mud where smoothed noise exceeds a threshold.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        mean: Mean of the noise, full scale being 1.
        scale: Its standard deviation.
        sigma: Standard deviation of the smoothing in pixels.
        threshold: Noise below it is no liquid.
        liquid: "water", which adds light, or "mud", which covers.
        amount: Water: its brightness where it is brightest. Mud: softness of its edge, the
            standard deviation in pixels.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3). A picture that no drop hits stays as it is.
    """
    pictures = checked(pictures, draws)
    _, height, width, _ = pictures.shape
    out = np.empty(pictures.shape, np.uint8)
    for picture, generator, result in zip(pictures, draws, out, strict=True):
        noise = normals(generator, height * width).reshape(height, width)
        noise = np.float32(mean) + np.float32(scale) * smoothed(noise, (sigma, sigma), 4, "edge")
        if liquid == "water":
            drops = np.where(noise < threshold, np.float32(0.0), noise)
            layer = np.float32(amount) * _water((drops * 255).astype(np.uint8))
            cover_with_liquid(picture, layer, _WATER, 0.0, result)
        else:
            layer = smoothed((noise > threshold).astype(np.float32), (amount, amount), 4, "edge")
            layer[layer < 0.8] = 0.0
            cover_with_liquid(picture, layer, _MUD, 1.0, result)
    return out


def _water(drops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Light that drops catch, up to 1: bright towards their lower right, dark at the other edge."""
    away_from_edges = cv2.distanceTransform(255 - cv2.Canny(drops, 50, 150), cv2.DIST_L2, 5)
    relief = cv2.blur(np.minimum(away_from_edges, 20), (3, 3)).astype(np.uint8)
    slope = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    relief = cv2.filter2D(cv2.equalizeHist(relief), cv2.CV_8U, slope)
    light = drops * cv2.blur(relief, (3, 3)).astype(np.float32)
    brightest = light.max()
    return light / brightest if brightest > 0 else light
