"""A face that the detector framed badly: turned, shifted, too small, too large.

What lies outside the picture repeats its edge. Pixels are interpolated bilinearly and rounded.
"""

from collections.abc import Sequence

import numpy as np

from bench.perturb.kernels import loops
from bench.perturb.kernels.pictures import checked
from bench.perturb.kernels.words import uniforms

#: Constants at severities 1-5.
FRAMING: dict[str, tuple[dict[str, float], ...]] = {
    "misaligned_rotation": tuple({"degrees": angle} for angle in (8, 16, 24, 32, 40)),
    "misaligned_shift": tuple({"share": share} for share in (0.06, 0.12, 0.18, 0.24, 0.3)),
    "misaligned_scale": tuple({"size": size} for size in (0.9, 0.8, 0.7, 0.6, 0.5)),
    "head_crop": tuple({"zoom": zoom} for zoom in (1.12, 1.24, 1.38, 1.54, 1.72)),
}


def misaligned_rotation(
    pictures: np.ndarray, degrees: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Turn about the centre, to a drawn side.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        degrees: By how much.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    angles = [np.copysign(np.radians(degrees), uniforms(one, 1)[0] - 0.5) for one in draws]
    return _framed(pictures, [np.exp(1j * angle) for angle in angles], [0j] * len(pictures))


def misaligned_shift(
    pictures: np.ndarray, share: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Move in a drawn direction.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        share: How far, as a share of the shorter side.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    far = share * min(pictures.shape[1:3])
    shifts = [far * np.exp(2j * np.pi * uniforms(one, 1)[0]) for one in draws]
    return _framed(pictures, [1.0 + 0j] * len(pictures), shifts)


def misaligned_scale(pictures: np.ndarray, size: float) -> np.ndarray:
    """Make the face smaller, as when the detector's box is too large.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        size: Size of the face, 1 being as it was.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    return _framed(pictures, [1.0 / size + 0j] * len(pictures), [0j] * len(pictures))


def head_crop(pictures: np.ndarray, zoom: float) -> np.ndarray:
    """Enlarge the middle, as when the detector's box is too small.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        zoom: Size of the face, 1 being as it was.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    return _framed(pictures, [1.0 / zoom + 0j] * len(pictures), [0j] * len(pictures))


def _framed(
    pictures: np.ndarray, factors: Sequence[complex], shifts: Sequence[complex]
) -> np.ndarray:
    """Give the pixel at z from the centre what was at factor x z + shift, z being x + iy."""
    _, height, width, _ = pictures.shape
    centre = complex((width - 1) / 2, (height - 1) / 2)
    y, x = np.indices((height, width))
    place = x + 1j * y
    out = np.empty(pictures.shape, np.uint8)
    for picture, factor, shift, result in zip(pictures, factors, shifts, out, strict=True):
        source = centre + factor * (place - centre) + shift
        down = (source.imag.clip(0, height - 1) - y).astype(np.float32)
        right = (source.real.clip(0, width - 1) - x).astype(np.float32)
        loops.warp(picture, down, right, 0.5, result)
    return out
