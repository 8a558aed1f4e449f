"""Pictures into tensors, and onto the size that a network was made for."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

#: One picture: uint8 (H, W, 3) or (H, W), or whatever PIL opens.
Picture = np.ndarray | Image.Image


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (B, 3, H, W) at another (height, width): bilinear, smoothed where they shrink."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def as_tensors(images: Tensor | Sequence[Picture]) -> list[Tensor]:
    """Pictures of any sizes as float32 (3, H, W) in [0, 1].

    Args:
        images: float (B, 3, H, W) in [0, 1], or pictures; PIL's are turned upright.

    Raises:
        ValueError: If a picture has another shape or type.
    """
    if isinstance(images, Tensor):
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"expected a float tensor (B, 3, H, W) in [0, 1], got {images.dtype} "
                f"{tuple(images.shape)}"
            )
        return list(images.float())
    return [_as_tensor(picture) for picture in images]


def pixel_address(image: Tensor) -> str:
    """A name that only this picture has: a digest of its pixels (3, H, W)."""
    total = hashlib.blake2b(repr(tuple(image.shape)).encode(), digest_size=16)
    total.update(image.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _as_tensor(picture: Picture) -> Tensor:
    if isinstance(picture, Image.Image):
        picture = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    pixels = np.asarray(picture)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"expected uint8 pictures (H, W, 3), got {pixels.dtype} {tuple(pixels.shape)}"
        )
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255.0
