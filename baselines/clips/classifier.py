"""The door to clip networks: `ClipClassifier("x3d", classes)`, their checkpoints and training.

| name | network |
|---|---|
| x3d | X3D; with the option `dam`, HDF's DAM stands behind each stage |
| r3d_18, mc3_18 | torchvision's 3D ResNets (Tran et al. 2018, arXiv 1711.11248) |
| m3dfel | M3DFEL |
| frame_transformer | a transformer over ResNet-18 features of frames |
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import video

from baselines.clips.hdf import (
    Balance,
    DistributionalAttention,
    ScalingConfig,
    balance,
    scaled_loss,
    start,
)
from baselines.clips.m3dfel import M3DFEL
from baselines.clips.x3d import X3D
from baselines.train import BaselineTrainConfig, BaselineTrainer, frozen_statistics


class FrameTransformer(nn.Module):
    """ResNet-18 features of each frame, two transformer layers over time, their mean, a linear map.

    After Former-DFER (Zhao and Liu 2021, ACM MM).

    Args:
        num_classes: K.
        frames: Longest T. Shorter clips use the first of the learned position embeddings.
    """

    def __init__(self, num_classes: int, frames: int = 16) -> None:
        super().__init__()
        self.trunk = timm.create_model("resnet18", num_classes=0)
        self.positions = nn.Parameter(0.02 * torch.randn(frames, 512))
        layer = nn.TransformerEncoderLayer(
            512, 8, 1024, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(512)
        self.classify = nn.Linear(512, num_classes)

    def features(self, clips: Tensor) -> Tensor:
        """The mean token (B, 512) of clips (B, 3, T, H, W), T at most `frames`.

        Raises:
            ValueError: If a clip is longer.
        """
        count = clips.shape[2]
        if count > len(self.positions):
            raise ValueError(
                f"frame_transformer takes at most {len(self.positions)} frames, not {count}"
            )
        frames = clips.transpose(1, 2)
        tokens = self.trunk(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        mean: Tensor = self.norm(self.encoder(tokens + self.positions[:count])).mean(1)
        return mean

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, K) of clips (B, 3, T, H, W)."""
        logits: Tensor = self.classify(self.features(clips))
        return logits


class ClipCheckpointError(ValueError):
    """A checkpoint folder of a network of clips that is incomplete or damaged."""


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


def _x3d(
    num_classes: int, frames: int, dam: Mapping[str, Any] | None = None, **options: Any
) -> X3D:
    if dam is None:
        return X3D(num_classes, **options)
    attention = partial(DistributionalAttention, frames, **dam)
    return X3D(num_classes, attach=lambda channels: attention(), **options)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "x3d": _x3d,
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
        options: Arguments of the network: of x3d `width`, `depth`, `dropout` and `dam`, which is a
            mapping of `DistributionalAttention`'s.

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
        for weight in self.network.parameters():
            if weight.dim() == 5:  # twice as fast on CPUs as the usual order of memory
                weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)

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
        clips = (clips - 0.45) / 0.225  # as X3D's published weights expect
        return clips.contiguous(memory_format=torch.channels_last_3d)


def save(classifier: ClipClassifier, folder: Path) -> None:
    """Write weights as safetensors beside a JSON card that says what the network is."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: own.contiguous() for name, own in classifier.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    card = {
        "architecture": classifier.architecture,
        "classes": classifier.classes,
        "frames": classifier.frames,
        "size": classifier.size,
        "options": classifier.options,
    }
    (folder / "classifier.json").write_text(json.dumps(card, indent=2) + "\n")


def load(folder: Path) -> ClipClassifier:
    """Read a folder written by `save`.

    Raises:
        ClipCheckpointError: If a file is missing, damaged or does not fit the other.
    """
    try:
        card = json.loads((folder / "classifier.json").read_text())
        classifier = ClipClassifier(
            card["architecture"],
            tuple(card["classes"]),
            card["frames"],
            card["size"],
            **card["options"],
        )
        classifier.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ClipCheckpointError(f"{folder} is no readable network of clips: {error}") from error
    return classifier.eval()


# ------------------------------------------------------------------------------------------------
# Training them as the baselines of pictures are, optionally with HDF's DSM and SAM.


@dataclass(frozen=True)
class ClipTrainConfig(BaselineTrainConfig):
    """How a clip network is trained.

    Attributes:
        scaling: DSM's constants; None trains with cross-entropy alone. Its weights follow the norm
            of the gradient: of SAM's first pass, or without SAM of the previous step.
    """

    scaling: ScalingConfig | None = None


class ClipTrainer(BaselineTrainer[ClipClassifier]):
    """Optimiser, best weights, balance and position of one run.

    Args:
        classifier: Trained in place.
        config: The run.
        validation: uint8 clips (N, 3, T, H, W) and int64 labels (N,).
    """

    config: ClipTrainConfig
    rows_at_once = 8  # of 16 x 112 pixels, whose maps take 100 MB each

    def __init__(
        self,
        classifier: ClipClassifier,
        config: ClipTrainConfig,
        validation: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__(classifier, config, validation)
        self._balance = start(config.scaling) if config.scaling else None

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        return super().state_dict() | {"balance": list(self._balance) if self._balance else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        super().load_state_dict(state)
        self._balance = Balance(*state["balance"]) if state["balance"] else None

    def _update(self, images: Tensor, labels: Tensor) -> float:
        loss = self._loss(images, labels)
        loss.backward()
        if self._sharpness is None:
            if self.config.scaling is not None:
                grads = [w.grad for w in self.classifier.parameters() if w.grad is not None]
                self._rebalance(torch.nn.utils.get_total_norm(grads).item())
            self._optimizer.step()
        else:
            self._rebalance(self._sharpness.ascend())
            with frozen_statistics(self.classifier):
                self._loss(images, labels).backward()
            self._sharpness.descend()
        return loss.item()

    def _loss(self, clips: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(clips.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            logits, features = self.classifier.logits_and_features(clips)
        entropy = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        if self._balance is None or self.config.scaling is None:
            return entropy
        return scaled_loss(entropy, features, labels, self._balance, self.config.scaling)

    def _rebalance(self, gradient_norm: float) -> None:
        if self.config.scaling is not None:
            self._balance = balance(gradient_norm, self.config.scaling)
