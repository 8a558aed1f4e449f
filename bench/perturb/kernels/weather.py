"""Weather: snow, frost, fog, spatter (Hendrycks & Dietterich 2019, arXiv 1903.12261)."""

import importlib.util
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.perturb.kernels import weather_loops as loops
from bench.perturb.kernels.pictures import checked
from bench.perturb.kernels.smoothing import smoothed
from bench.perturb.kernels.words import normals, uniform_words, uniforms

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
        layer = loops.drift(
            flakes, layer_shape, threshold, path, fading[: len(path)], (height, width)
        )
        loops.cover_with_snow(picture, layer, keep, result)
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


@lru_cache(maxsize=18)
def _frost_photograph(number: int, scale: float) -> NDArray[np.uint8]:
    spec = importlib.util.find_spec("imagecorruptions")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "The corruption 'frost' needs the photographs of the package imagecorruptions, which "
            "is not installed: run `pip install --no-deps imagecorruptions-imaug`, or leave frost "
            "out."
        )
    file = Path(spec.submodule_search_locations[0]) / "frost" / _FROST_FILES[number]
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
        surface = loops.fractal(uniform_words(generator, size * size), size, float(decay))
        loops.cover_with_fog(picture, surface, float(amount), result)
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
            loops.cover_with_liquid(picture, layer, _WATER, 0.0, result)
        else:
            layer = smoothed((noise > threshold).astype(np.float32), (amount, amount), 4, "edge")
            layer[layer < 0.8] = 0.0
            loops.cover_with_liquid(picture, layer, _MUD, 1.0, result)
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
