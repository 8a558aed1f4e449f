"""Colour, pixelation, JPEG, elastic warps (Hendrycks & Dietterich 2019, arXiv 1903.12261).

Negative brightness offsets and contrast factors above 1 make the two directions of RAF-DB-C
(Greco et al. 2023, doi 10.1007/s11042-022-12790-7).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from bench.perturb.corruptions import loops
from bench.perturb.corruptions.loops import LEVELS, checked, smoothed, uniform_words


def brightness(pictures: np.ndarray, offset: float) -> np.ndarray:
    """Raise (or lower) the value of HSV by `offset`, a share of full scale; hues stay.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        offset: In [-1, 1].

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    return _with_hsv(pictures, 1.0, 0.0, offset)


def saturate(pictures: np.ndarray, gain: float, offset: float) -> np.ndarray:
    """Make the saturation of HSV `gain` times itself plus `offset`.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        gain: At least 0; below 1 towards grey.
        offset: In [0, 1]; it makes greys reddish, because their hue is 0.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    return _with_hsv(pictures, gain, offset, 0.0)


def contrast(pictures: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the distance of each channel from its mean over the picture.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        factor: At least 0; below 1 flattens, above 1 steepens and clips.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    grey = (np.arange(256) / 255.0)[:, None]  # (256, 1)
    out = np.empty_like(pictures)
    for picture, result in zip(pictures, out, strict=True):
        mean = loops.channel_sums(picture.reshape(-1, 3)) / (picture.size // 3)
        curve = np.clip((grey - mean) * factor + mean, 0.0, 1.0) * 255.0  # (256, 3)
        cv2.LUT(picture, curve.astype(np.uint8)[None], dst=result)
    return out


def _with_hsv(pictures: np.ndarray, gain: float, offset: float, value: float) -> np.ndarray:
    out = np.empty(pictures.shape, np.uint8)
    flat = pictures.reshape(-1, 3)
    loops.shift_hsv(flat, float(gain), float(offset), float(value), out.reshape(-1, 3))
    return out


#: The constants of the package imagecorruptions at severities 1-5.
IMAGECORRUPTIONS: dict[str, tuple[dict[str, float], ...]] = {
    "brightness": tuple({"offset": offset} for offset in (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": tuple({"factor": factor} for factor in (0.4, 0.3, 0.2, 0.1, 0.05)),
    "saturate": tuple(
        {"gain": gain, "offset": offset}
        for gain, offset in ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))
    ),
    "pixelate": tuple({"share": share} for share in (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": tuple({"quality": quality} for quality in (25, 18, 15, 10, 7)),
    "elastic_transform": tuple(
        {"amplitude": 250 * factor, "sigma": 0.01, "reach": 0.005}
        for factor in (0.05, 0.065, 0.085, 0.1, 0.12)
    ),
}

#: RAF-DB-C's constants at severities 1-5: keyword arguments of the kernels.
RAF_DB_C: dict[str, tuple[dict[str, float], ...]] = {
    "brightness_up": tuple({"offset": offset} for offset in (0.1, 0.2, 0.3, 0.4, 0.5)),
    "brightness_down": tuple({"offset": -offset} for offset in (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast_up": tuple({"factor": factor} for factor in (1.5, 1.9, 2.6, 3.3, 5.0)),
    "contrast_down": tuple({"factor": factor} for factor in (0.4, 0.33, 0.24, 0.16, 0.1)),
    "pixelate": tuple({"share": share} for share in (0.6, 0.5, 0.41, 0.3, 0.25)),
    "jpeg_compression": IMAGECORRUPTIONS["jpeg_compression"],
}


def pixelate(pictures: np.ndarray, share: float) -> np.ndarray:
    """Shrink each side to `share` of itself by means of blocks, and enlarge it again.

    Pillow's BOX, and then NEAREST.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        share: In (0, 1]. A side never becomes less than one block.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    _, height, width, _ = pictures.shape
    small = max(1, int(width * share)), max(1, int(height * share))
    return resampled(pictures, small, Image.Resampling.BOX, Image.Resampling.NEAREST)


def resampled(
    pictures: np.ndarray, small: tuple[int, int], down: Image.Resampling, up: Image.Resampling
) -> np.ndarray:
    """Shrink pictures (N, H, W, 3) to (width, height), and enlarge them again, with Pillow."""
    size = pictures.shape[2], pictures.shape[1]
    out = np.empty(pictures.shape, np.uint8)
    for picture, result in zip(pictures, out, strict=True):
        result[:] = np.asarray(Image.fromarray(picture).resize(small, down).resize(size, up))
    return out


def jpeg_compression(pictures: np.ndarray, quality: int) -> np.ndarray:
    """Save as JPEG with 4:2:0 colour and read again.

    OpenCV is twice as fast as Pillow; both bring libjpeg-turbo, and files and pixels are the same.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        quality: 1-95, as in libjpeg.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    out = np.empty(pictures.shape, np.uint8)
    for picture, result in zip(pictures, out, strict=True):
        settings = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
        _, file = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)
        cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB, dst=result)
    return out


def elastic_transform(
    pictures: np.ndarray,
    amplitude: float,
    sigma: float,
    reach: float,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """Displace pixels along two smooth random fields.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        amplitude: Factor of the smoothed fields.
        sigma: Standard deviation of the smoothing, as a share of each side.
        reach: The fields are uniform on +-`reach` x height pixels before smoothing.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3); the border mirrors the picture.
    """
    pictures = checked(pictures, draws)
    _, height, width, _ = pictures.shape
    scale = np.float32(2 * reach * height * amplitude / LEVELS)
    out = np.empty(pictures.shape, np.uint8)
    for picture, generator, result in zip(pictures, draws, out, strict=True):
        words = uniform_words(generator, 2 * height * width).astype(np.float32)
        fields = (words - np.float32((LEVELS - 1) / 2)) * scale
        right, down = (
            smoothed(field, (sigma * height, sigma * width), truncate=3, border="mirror")
            for field in fields.reshape(2, height, width)
        )
        loops.warp(picture, down, right, 0.0, result)
    return out
