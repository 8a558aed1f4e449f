"""Classifiers of clips that start from single frames.

`FrameMean` averages the outputs of any classifier of pictures over the frames. It is the control: a
network of clips that is no better does not use motion. `FrameTransformer` is a plain transformer
encoder over ResNet-18 features of the frames, after Former-DFER (Zhao and Liu 2021, ACM MM).
"""

from math import log
from typing import Literal, get_args

import timm
import torch
from torch import Tensor, nn

Average = Literal["probabilities", "logits"]


class FrameMean(nn.Module):
    """The mean over frames of a classifier of pictures; the order of the frames does not count.

    Args:
        classifier: Images (B, 3, H, W) in [0, 1] -> logits (B, K); may have `classes`.
        average: What is averaged. "probabilities" returns their logarithm.

    Raises:
        ValueError: If `average` is unknown.
    """

    def __init__(self, classifier: nn.Module, average: Average = "probabilities") -> None:
        super().__init__()
        if average not in get_args(Average):
            raise ValueError(f"{average!r} is none of {', '.join(get_args(Average))}")
        self.classifier, self.average = classifier, average

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, K) of clips (B, 3, T, H, W) in [0, 1]."""
        frames = clips.transpose(1, 2)
        logits = self.classifier(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        if self.average == "logits":
            mean: Tensor = logits.mean(1)
            return mean
        log_mean: Tensor = logits.log_softmax(2).logsumexp(1) - log(frames.shape[1])
        return log_mean


class FrameTransformer(nn.Module):
    """ResNet-18 features of each frame, two transformer layers over time, their mean, a linear map.

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
