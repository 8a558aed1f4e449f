"""How a face was taken and kept: in low light, from far away, saved again and again."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from bench.perturb.kernels.digital import jpeg_compression
from bench.perturb.kernels.pictures import checked
from bench.perturb.kernels.words import normals

#: Constants at severities 1-5. The sides of `low_resolution` are those of a face of 100 px.
CAPTURE: dict[str, tuple[dict[str, float], ...]] = {
    "low_light": tuple(
        {"gamma": 2.2, "gain": gain, "photons": 300, "read_noise": 0.004}
        for gain in (0.45, 0.27, 0.16, 0.1, 0.06)
    ),
    "low_resolution": tuple({"share": share} for share in (0.48, 0.32, 0.22, 0.16, 0.12)),
    "jpeg_resave": tuple(
        {"quality": quality, "times": times}
        for quality, times in ((50, 2), (35, 3), (25, 4), (18, 5), (13, 6))
    ),
}

_STEPS = 4096  # of light between black and full scale


def low_light(
    pictures: np.ndarray,
    gamma: float,
    gain: float,
    photons: float,
    read_noise: float,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """Less light on the sensor, with the noise of photons and of reading it out.

    Pixels are decoded to light (x ** gamma), multiplied by `gain`, given normal noise of variance
    light / photons + read_noise ** 2, and encoded again.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        gamma: Exponent from pixel values to light.
        gain: Share of the light that is left.
        photons: Photons of a pixel at full scale.
        read_noise: Standard deviation of the read-out, full scale being 1.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    light = gain * (np.arange(256) / 255.0) ** gamma
    spread = np.sqrt(light / photons + read_noise**2).astype(np.float32) * np.float32(_STEPS)
    level = light.astype(np.float32) * np.float32(_STEPS) + np.float32(0.5)
    codes = np.rint(255.0 * (np.arange(_STEPS + 1) / _STEPS) ** (1.0 / gamma)).astype(np.uint8)
    out = np.empty(pictures.shape, np.uint8)
    for picture, generator, result in zip(pictures, draws, out, strict=True):
        noise = normals(generator, picture.size).reshape(picture.shape)
        steps = level[picture] + spread[picture] * noise
        result[:] = codes[steps.clip(0, _STEPS).astype(np.int32)]
    return out


def low_resolution(pictures: np.ndarray, share: float) -> np.ndarray:
    """Shrink with antialiasing, and enlarge to the old size (Pillow's BILINEAR, then BICUBIC).

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        share: Size of the small picture's sides, in (0, 1]; at least one pixel.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    _, height, width, _ = pictures.shape
    small = max(1, round(width * share)), max(1, round(height * share))
    out = np.empty(pictures.shape, np.uint8)
    for picture, result in zip(pictures, out, strict=True):
        shrunk = Image.fromarray(picture).resize(small, Image.Resampling.BILINEAR)
        result[:] = np.asarray(shrunk.resize((width, height), Image.Resampling.BICUBIC))
    return out


def jpeg_resave(pictures: np.ndarray, quality: int, times: int) -> np.ndarray:
    """Save as JPEG several times, the grid of blocks lying elsewhere each time.

    So it happens to pictures that are cropped and sent on; saved on the same grid again, they
    would hardly change.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        quality: 1-95, as in libjpeg.
        times: How often.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    for number in range(times):
        edge = 3 * number % 8
        wider = np.pad(pictures, ((0, 0), (edge, 0), (edge, 0), (0, 0)), mode="edge")
        pictures = jpeg_compression(wider, quality)[:, edge:, edge:]
    return pictures
