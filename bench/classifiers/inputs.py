"""How published networks want their pictures, as differentiable torch."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Inputs:
    """What is done to a picture before a network sees it.

    Attributes:
        size: Height and width that it is resized to; (S,) resizes its shorter side to S.
        crop: Height and width of the centre that is kept; None keeps all.
        interpolation: "nearest", "bilinear" or "bicubic"; the latter two with antialiasing.
        mean: Of the channels, subtracted.
        std: Of the channels, divided by.
        scale: Values of pixels in [0, 1] are multiplied by it first.
    """

    size: tuple[int, ...] | None
    crop: tuple[int, int] | None
    interpolation: str
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0

    def __call__(self, images: Tensor) -> Tensor:
        """PreparedNetwork float32 images, of images (B, 3, H, W) in [0, 1]."""
        if self.size is not None:
            height, width = images.shape[-2:]
            ratio = self.size[0] / min(height, width)
            sizes = [int(height * ratio), int(width * ratio)] if len(self.size) == 1 else self.size
            if tuple(sizes) != (height, width):
                smooth = self.interpolation != "nearest"
                images = F.interpolate(
                    images, tuple(sizes), mode=self.interpolation, antialias=smooth
                ).clamp(0, 1)
        if self.crop is not None:
            images = _centre(images, *self.crop)
        mean, std = (torch.tensor(v).to(images).view(-1, 1, 1) for v in (self.mean, self.std))
        return (images * self.scale - mean) / std


class PreparedNetwork(nn.Module):
    """A network behind its inputs: images in [0, 1] of any size in, logits out.

    Args:
        network: The network.
        inputs: What it wants.
        logits: Its logits in what it returns.
    """

    def __init__(
        self, network: nn.Module, inputs: Inputs, logits: Callable[..., Tensor] = lambda x: x
    ) -> None:
        super().__init__()
        self.network, self.inputs, self.logits = network, inputs, logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, K) of float32 RGB images (B, 3, H, W) in [0, 1]."""
        return self.logits(self.network(self.inputs(images))).float()

    def digest(self, *about: object) -> str:
        """Of what it is, as names and numbers, of its inputs and of its weights."""
        total = hashlib.sha256(json.dumps([*about, repr(self.inputs)]).encode())
        for key, tensor in sorted(self.network.state_dict().items()):
            total.update(key.encode() + tensor.detach().cpu().double().numpy().tobytes())
        return total.hexdigest()[:16]


def _centre(images: Tensor, height: int, width: int) -> Tensor:
    """The centre; pictures that are smaller get a black frame."""
    missing = max(0, height - images.shape[-2]), max(0, width - images.shape[-1])
    if any(missing):
        top, left = missing[0] // 2, missing[1] // 2
        images = F.pad(images, (left, missing[1] - left, top, missing[0] - top))
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]
