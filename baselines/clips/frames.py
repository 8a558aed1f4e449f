"""A classifier of clips that starts from single frames.

A plain transformer encoder over ResNet-18 features of the frames, after Former-DFER (Zhao and Liu
2021, ACM MM). The mean over frames of any classifier of pictures is `bench.classifiers.clips`.
"""

import timm
import torch
from torch import Tensor, nn


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
