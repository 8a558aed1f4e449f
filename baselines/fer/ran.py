"""RAN: Region Attention Network, Wang et al. 2020 (TIP, arXiv 1905.04075).

Origin: kaiwang960112/Challenge-condition-FER-dataset, which states no licence. Written from the
paper and the names in its released files.

    f_i = average of a ResNet-18's last maps of five crops and, last, of the whole picture
    alpha = softmax_i sigmoid(w . f_i)             F = sum alpha_i f_i / sum alpha_i
    beta = softmax_i sigmoid(v . [f_i; F])
    logits = W (sum alpha_i beta_i [f_i; F] / sum alpha_i beta_i) + b

The softmax over regions is the code's; the paper has the sigmoid alone.

Differs from the original: its code reads the six pictures of a face from files, and how they were
cut is told in the paper alone. Here the crops are made of the picture: three of 75 % of its side
(upper left, upper right, lower middle) and the central 90 % and 85 %, each resized.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from baselines.fer.base import PublishedNetwork, register, resnet

#: Side of each crop, and where its left and upper ends lie in what is left over, as shares.
CROPS = (
    (0.75, 0.0, 0.0),
    (0.75, 1.0, 0.0),
    (0.75, 0.5, 1.0),
    (0.9, 0.5, 0.5),
    (0.85, 0.5, 0.5),
)


@register
class RAN(PublishedNetwork):
    """A ResNet-18 that weighs regions of a face."""

    name = "ran"
    title = "Region Attention Network"
    paper = "Wang et al. 2020 (TIP, arXiv 1905.04075)"
    licence = "none stated"
    order = "ferplus"
    size = None  # regions are cut from the picture as it is
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    renames: ClassVar = {
        "conv1.": "trunk.conv1.",
        "bn1.": "trunk.bn1.",
        "layer": "trunk.layer",
    }

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.trunk = resnet()
        self.alpha = nn.Sequential(nn.Linear(512, 1), nn.Sigmoid())
        self.beta = nn.Sequential(nn.Linear(1024, 1), nn.Sigmoid())
        self.fc = nn.Linear(1024, classes)

    def weighted(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and weights alpha (B, R) of regions (B, R, 3, S, S), the whole one last."""
        count = regions.shape[1]
        features = self.trunk(regions.flatten(0, 1)).mean(dim=(2, 3)).unflatten(0, (-1, count))
        alpha = self.alpha(features).softmax(dim=1)
        whole = (alpha * features).sum(1, keepdim=True) / alpha.sum(1, keepdim=True)
        joined = torch.cat([features, whole.expand_as(features)], dim=2)
        weights = alpha * self.beta(joined).softmax(dim=1)
        pooled = (weights * joined).sum(1) / weights.sum(1)
        return self.fc(pooled), alpha.squeeze(2)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W) in [0, 1]."""
        return self.weighted(regions(images))[0]


def regions(images: Tensor, size: int = 224) -> Tensor:
    """The five crops of images (B, 3, H, W) and, last, the whole, (B, 6, 3, size, size)."""
    height, width = images.shape[-2:]
    cut = []
    for share, across, down in (*CROPS, (1.0, 0.0, 0.0)):
        tall, wide = round(share * height), round(share * width)
        top, left = round(down * (height - tall)), round(across * (width - wide))
        cut.append(images[..., top : top + tall, left : left + wide])
    return torch.stack(
        [
            part
            if part.shape[-2:] == (size, size)
            else F.interpolate(part, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
            for part in cut
        ],
        dim=1,
    )
