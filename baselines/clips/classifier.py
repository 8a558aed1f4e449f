"""The door to clip networks: `ClipClassifier("x3d_dam", classes)`.

| name | network |
|---|---|
| x3d | X3D |
| x3d_dam | X3D with HDF's DAM behind each stage |
| r3d_18, mc3_18 | torchvision's 3D ResNets (Tran et al. 2018, arXiv 1711.11248) |
| m3dfel | M3DFEL |
| frame_transformer | a transformer over ResNet-18 features of frames |
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import video

from baselines.clips.dam import DistributionalAttention
from baselines.clips.frames import FrameTransformer
from baselines.clips.m3dfel import M3DFEL
from baselines.clips.x3d import X3D


class _Torchvision(nn.Module):
    """A video ResNet of torchvision that also returns its pooled features."""

    def __init__(self, make: Callable[..., nn.Module], num_classes: int) -> None:
        super().__init__()
        trunk: Any = make(weights=None)
        trunk.fc = nn.Identity()
        self.trunk = trunk
        self.classify = nn.Linear(512, num_classes)

    def features(self, clips: Tensor) -> Tensor:
        pooled: Tensor = self.trunk(clips)
        return pooled

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.features(clips))
        return logits


def _x3d_dam(num_classes: int, frames: int, **options: Any) -> X3D:
    attention = partial(DistributionalAttention, frames, **options)
    return X3D(num_classes, attach=lambda channels: attention())


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "x3d": lambda num_classes, frames: X3D(num_classes),
    "x3d_dam": _x3d_dam,
    "r3d_18": lambda num_classes, frames: _Torchvision(video.r3d_18, num_classes),
    "mc3_18": lambda num_classes, frames: _Torchvision(video.mc3_18, num_classes),
    "m3dfel": lambda num_classes, frames: M3DFEL(num_classes),
    "frame_transformer": FrameTransformer,
}


class ClipClassifier(nn.Module):
    """A network that takes clips in [0, 1] of any size and returns logits.

    Args:
        architecture: A name of `NETWORKS`.
        classes: Class names in logit order.
        frames: T of the clips.
        size: Side in pixels that frames are resized to.
        options: Arguments of the network; those of x3d_dam are `DistributionalAttention`'s.

    Raises:
        ValueError: If the architecture is unknown.
    """

    def __init__(
        self,
        architecture: str,
        classes: tuple[str, ...],
        frames: int = 16,
        size: int = 112,
        **options: Any,
    ) -> None:
        super().__init__()
        if architecture not in NETWORKS:
            raise ValueError(f"{architecture!r} is none of {', '.join(NETWORKS)}")
        self.architecture, self.classes = architecture, classes
        self.frames, self.size, self.options = frames, size, options
        self.network: Any = NETWORKS[architecture](len(classes), frames=frames, **options)

    def features(self, clips: Tensor) -> Tensor:
        """Pooled features (B, D) of clips (B, 3, T, H, W) in [0, 1]."""
        pooled: Tensor = self.network.features(self._prepared(clips))
        return pooled.float()

    def forward(self, clips: Tensor) -> Tensor:
        """Logits float32 (B, K) of float32 clips (B, 3, T, H, W) in [0, 1]."""
        logits: Tensor = self.network(self._prepared(clips))
        return logits.float()

    def logits_and_features(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """`forward(clips)` and `features(clips)` from one pass."""
        pooled = self.network.features(self._prepared(clips))
        dropout = getattr(self.network, "dropout", nn.Identity())
        return self.network.classify(dropout(pooled)).float(), pooled.float()

    def _prepared(self, clips: Tensor) -> Tensor:
        if clips.shape[-2:] != (self.size, self.size):
            frames = clips.transpose(1, 2)
            resized = F.interpolate(
                frames.flatten(0, 1), (self.size, self.size), mode="bilinear", antialias=True
            )
            clips = resized.unflatten(0, frames.shape[:2]).transpose(1, 2)
        return (clips - 0.45) / 0.225  # as X3D's published weights expect
