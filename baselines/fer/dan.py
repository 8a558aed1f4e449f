"""DAN: Distract Your Attention Network, Wen et al. 2021 (arXiv 2109.07270).

Origin: yaoing/DAN at 3872eef, MIT. Written from the paper and the names in its released files.

    x = a ResNet-18's last maps              h_1 .. h_H = heads of spatial and channel attention
    logits = BN(W sum over heads of log_softmax across heads of h + b)
    loss = cross-entropy + affinity_loss + partition_loss, each with weight 1

Differs from the original: there are as many centres as classes. The RAF-DB script has one more,
which nothing moves and which still enters the variance.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from baselines.fer.base import RESNET_FEATURES, PublishedNetwork, register, resnet, width_of


class SpatialAttention(nn.Module):
    """Maps multiplied by one map of weights that three shapes of convolutions agree on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 2

        def convolution(before: int, after: int, height: int, wide: int) -> nn.Sequential:
            padding = (height // 2, wide // 2)
            return nn.Sequential(
                nn.Conv2d(before, after, (height, wide), padding=padding), nn.BatchNorm2d(after)
            )

        self.conv1x1 = convolution(width, inner, 1, 1)
        self.conv_3x3 = convolution(inner, width, 3, 3)
        self.conv_1x3 = convolution(inner, width, 1, 3)
        self.conv_3x1 = convolution(inner, width, 3, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        inner = self.conv1x1(maps)
        agreed = self.conv_3x3(inner) + self.conv_1x3(inner) + self.conv_3x1(inner)
        weights: Tensor = agreed.relu().sum(dim=1, keepdim=True)
        return maps * weights


class ChannelAttention(nn.Module):
    """Pooled maps multiplied by a weight of each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.Linear(width, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Linear(32, width),
            nn.Sigmoid(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C)."""
        pooled = maps.mean(dim=(2, 3))
        weights: Tensor = self.attention(pooled)
        return pooled * weights


class Head(nn.Module):
    """Spatial, then channel attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sa, self.ca = SpatialAttention(width), ChannelAttention(width)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C)."""
        attended: Tensor = self.ca(self.sa(maps))
        return attended


@register
class DAN(PublishedNetwork):
    """A ResNet-18 with heads of attention.

    Args:
        classes: Number of classes.
        trunk: Another network without a head, (B, 3, H, W) -> (B, C, h, w).
        heads: Number of heads.
    """

    name = "dan"
    title = "Distract Your Attention Network"
    paper = "Wen et al. 2021 (arXiv 2109.07270)"
    licence = "MIT"
    renames: ClassVar = {**RESNET_FEATURES, **{f"cat_head{n}.": f"heads.{n}." for n in range(4)}}

    def __init__(self, classes: int, trunk: nn.Module | None = None, heads: int = 4) -> None:
        super().__init__(classes)
        self.trunk = trunk or resnet()
        width = width_of(self.trunk)
        self.heads = nn.ModuleList(Head(width) for _ in range(heads))
        self.fc, self.bn = nn.Linear(width, classes), nn.BatchNorm1d(classes)
        for module in self.heads.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1e-3)
                nn.init.zeros_(module.bias)

    def attended(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the losses need.

        Args:
            images: Prepared, (B, 3, S, S).

        Returns:
            Logits (B, K), the trunk's pooled features (B, C), and the heads across which a softmax
            was taken, (B, H, C).
        """
        maps = self.trunk(images)
        heads = torch.stack([head(maps) for head in self.heads], dim=1)
        if len(self.heads) > 1:
            heads = heads.log_softmax(dim=1)
        return self.bn(self.fc(heads.sum(dim=1))), maps.mean(dim=(2, 3)), heads

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        return self.attended(images)[0]


def affinity_loss(features: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """How far features lie from their class's centre, over how far the centres lie apart.

    Args:
        features: (B, C).
        labels: int64 (B,).
        centres: (K, C), learned with the network.

    Returns:
        The mean squared distance over the sum of the centres' variances in each dimension.
    """
    distance = (features - centres[labels]).square().sum(dim=1)
    return distance.mean() / centres.var(dim=0).sum()


def partition_loss(heads: Tensor) -> Tensor:
    """Lower where heads (B, H, C) differ: log(1 + H / mean variance across heads)."""
    return torch.log1p(heads.shape[1] / heads.var(dim=1).mean())
