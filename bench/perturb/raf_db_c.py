"""RAF-DB-C: 18 corruptions of aligned faces of about 100 px, with the constants of its authors.

A. Greco et al., "Benchmarking deep networks for facial emotion recognition in the wild", Multimedia
Tools and Applications, 2023 (doi 10.1007/s11042-022-12790-7), and its public code. Lengths of
defocus and motion blur are scaled by the picture's height over 48 px there, and so they are here.

Between two parts of a mix pixels are bytes here, and unrounded in the authors' code; the severities
of the parts are those of the code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.perturb.base import Corruption, Kernel
from bench.perturb.corruptions import blur, colour, digital, disk, noise, weather

#: Per severity 1-5 of a mix: its parts in order, as (corruption of RAF-DB-C, its severity).
MIXES: dict[str, tuple[tuple[tuple[str, int], ...], ...]] = {
    name: tuple(tuple(zip(parts, severities, strict=True)) for severities in rows)
    for name, parts, rows in (
        (
            "contrast_brightness_up",
            ("brightness_up", "contrast_down"),
            ((1, 1), (2, 1), (2, 2), (2, 3), (3, 4)),
        ),
        (
            "contrast_brightness_down",
            ("brightness_down", "contrast_down"),
            ((1, 1), (2, 1), (2, 2), (2, 3), (3, 4)),
        ),
        (
            "noise_low_light_low_contrast",
            ("gaussian_noise", "brightness_down", "contrast_down"),
            ((1, 1, 1), (2, 2, 1), (2, 2, 2), (3, 2, 3), (3, 2, 4)),
        ),
        (
            "motion_blur_low_light_low_contrast",
            ("motion_blur", "brightness_down", "contrast_down"),
            ((2, 1, 1), (3, 1, 1), (4, 2, 2), (5, 2, 1), (5, 2, 3)),
        ),
        (
            "pixelate_low_light_low_contrast",
            ("pixelate", "brightness_down", "contrast_down"),
            ((1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 1), (4, 3, 3)),
        ),
    )
}


REFERENCE_HEIGHT = 48
"""The height of a picture, in pixels, that radii and deviations are meant for."""

Part = tuple[str, Mapping[str, Any]]
"""One corruption of a mix: its name below, and its constants."""


def scaled_defocus_blur(pictures: np.ndarray, radius: float, alias_blur: float) -> np.ndarray:
    """`disk.defocus_blur` with both lengths scaled by the height; a radius is at least 1 px.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        radius: Of the disk, in pixels of a 48 px face.
        alias_blur: Standard deviation of the softening, likewise.

    Returns:
        uint8 (N, H, W, 3).
    """
    scale = pictures.shape[1] / REFERENCE_HEIGHT
    return disk.defocus_blur(pictures, max(1.0, radius * scale), alias_blur * scale)


def scaled_motion_blur(
    pictures: np.ndarray, radius: int, sigma: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """`blur.motion_blur` with a third of both lengths, scaled by the height.

    Whole pixels, as the authors' code has them; at least 1.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        radius: Of the line, in thirds of a pixel of a 48 px face.
        sigma: Standard deviation of the weights along it, likewise.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    scale = pictures.shape[1] / REFERENCE_HEIGHT
    length, spread = (max(1, int(value * scale // 3)) for value in (radius, sigma))
    return blur.motion_blur(pictures, length, float(spread), draws)


def mixed(
    pictures: np.ndarray,
    parts: Sequence[Part],
    draws: Sequence[np.random.Generator] | None = None,
) -> np.ndarray:
    """One corruption after the other; at most one of them is random.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        parts: In order.
        draws: One generator per picture, for the part that is random.

    Returns:
        uint8 (N, H, W, 3).
    """
    for name, constants in parts:
        kernel, random, _ = _SINGLE[name]
        pictures = kernel(pictures, **constants, **({"draws": draws} if random else {}))
    return pictures


def _levels(*names: str) -> Any:
    return lambda *rows: tuple(dict(zip(names, row, strict=True)) for row in rows)


_sigma, _photons, _scale = (_levels(name) for name in ("sigma", "photons", "scale"))

#: Kernel, whether it draws, constants at severities 1-5.
_SINGLE: dict[str, tuple[Kernel, bool, tuple[Mapping[str, Any], ...]]] = {
    "gaussian_blur": (blur.gaussian_blur, False, _sigma((1.0,), (1.8,), (2.6,), (3.4,), (4.0,))),
    "defocus_blur": (
        scaled_defocus_blur,
        False,
        _levels("radius", "alias_blur")((1.5, 0.1), (2.0, 0.2), (2.0, 0.3), (2.5, 0.4), (3.0, 0.4)),
    ),
    "zoom_blur": (
        blur.zoom_blur,
        False,
        tuple(
            {"factors": tuple(np.arange(1.0, stop, step).tolist())}
            for stop, step in ((1.11, 0.01), (1.18, 0.01), (1.26, 0.02), (1.32, 0.02), (1.40, 0.03))
        ),
    ),
    "motion_blur": (
        scaled_motion_blur,
        True,
        _levels("radius", "sigma")((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)),
    ),
    "gaussian_noise": (
        noise.gaussian_noise,
        True,
        _scale((0.08,), (0.12,), (0.18,), (0.24,), (0.30,)),
    ),
    "shot_noise": (noise.shot_noise, True, _photons((60.0,), (29.0,), (15.0,), (8.0,), (5.0,))),
    "contrast_up": (colour.contrast, False, colour.RAF_DB_C["contrast_up"]),
    "contrast_down": (colour.contrast, False, colour.RAF_DB_C["contrast_down"]),
    "brightness_up": (colour.brightness, False, colour.RAF_DB_C["brightness_up"]),
    "brightness_down": (colour.brightness, False, colour.RAF_DB_C["brightness_down"]),
    "spatter": (weather.spatter, True, weather.IMAGECORRUPTIONS["spatter"]),
    "pixelate": (digital.pixelate, False, digital.RAF_DB_C["pixelate"]),
    "jpeg_compression": (digital.jpeg_compression, False, digital.RAF_DB_C["jpeg_compression"]),
}


def _constants(parts: Sequence[tuple[str, int]]) -> tuple[Part, ...]:
    """The parts of a mix at one severity, with their constants."""
    return tuple((name, _SINGLE[name][2][severity - 1]) for name, severity in parts)


#: By full name.
CORRUPTIONS: dict[str, Corruption] = {
    f"raf_db_c.{name}": Corruption(f"raf_db_c.{name}", kernel, levels, random)
    for name, (kernel, random, levels) in _SINGLE.items()
} | {
    f"raf_db_c.{name}": Corruption(
        f"raf_db_c.{name}",
        mixed,
        tuple({"parts": _constants(parts)} for parts in levels),
        any(_SINGLE[part][1] for part, _ in levels[0]),
    )
    for name, levels in MIXES.items()
}
