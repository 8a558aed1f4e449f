"""Colour: brightness, contrast, saturation (Hendrycks & Dietterich 2019, arXiv 1903.12261).

Negative brightness offsets and contrast factors above 1 make the two directions of RAF-DB-C
(Greco et al. 2023, doi 10.1007/s11042-022-12790-7).
"""

import cv2
import numpy as np

from bench.perturb.corruptions import loops
from bench.perturb.corruptions.loops import checked

#: The constants of the package imagecorruptions at severities 1-5.
IMAGECORRUPTIONS: dict[str, tuple[dict[str, float], ...]] = {
    "brightness": tuple({"offset": offset} for offset in (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": tuple({"factor": factor} for factor in (0.4, 0.3, 0.2, 0.1, 0.05)),
    "saturate": tuple(
        {"gain": gain, "offset": offset}
        for gain, offset in ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))
    ),
}

#: RAF-DB-C's constants at severities 1-5: keyword arguments of `brightness` and `contrast`.
RAF_DB_C: dict[str, tuple[dict[str, float], ...]] = {
    "brightness_up": tuple({"offset": offset} for offset in (0.1, 0.2, 0.3, 0.4, 0.5)),
    "brightness_down": tuple({"offset": -offset} for offset in (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast_up": tuple({"factor": factor} for factor in (1.5, 1.9, 2.6, 3.3, 5.0)),
    "contrast_down": tuple({"factor": factor} for factor in (0.4, 0.33, 0.24, 0.16, 0.1)),
}


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
