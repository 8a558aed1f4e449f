"""ARM: Amend Representation Module, Shi et al. 2021 (arXiv 2103.10189).

Origin: JiaweiShiCV/Amend-Representation-Module at fb8a155, MIT. Written from the paper and
the names in its released files.

    x = a ResNet-18's last maps (512x7x7), rearranged as two maps of 112x112
    m = BN(one 32x32 convolution with stride 8 of each): two maps of 11x11
    logits = W (mean of the two m + a G) + b        G = mean of m over the batch and the two maps

G is taken over the *evaluation* batch in the original, so a picture's class depends on which
pictures stand beside it.

Differs from the original: at test time G is frozen (`freeze`): its mean over reference pictures,
such as those of training. Accuracies are therefore not those of the paper.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from typing_extensions import override

from baselines.fer.base import RESNET_FEATURES, PublishedNetwork, register, resnet


class Amendment(nn.Module):
    """From rearranged maps to two small ones; `alpha` weighs the batch's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.de_albino = nn.Conv2d(1, 1, 32, stride=8, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.alpha = nn.Parameter(torch.ones(1))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, 2, 112, 112) -> (B, 2, 11, 11)."""
        filtered = self.de_albino(maps.flatten(0, 1).unsqueeze(1))
        amended: Tensor = self.bn(filtered.view(len(maps), 2, *filtered.shape[-2:]))
        return amended


@register
class ARM(PublishedNetwork):
    """A ResNet-18 with an amended head, its batch statistic frozen."""

    name = "arm"
    title = "Amend Representation Module"
    paper = "Shi et al. 2021 (arXiv 2103.10189)"
    licence = "MIT"
    renames = RESNET_FEATURES
    unreleased = ("statistic",)
    needs_reference = True
    statistic: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.trunk, self.arm = resnet(), Amendment()
        self.rearrange = nn.PixelShuffle(16)
        self.fc = nn.Linear(121, classes)
        self.register_buffer("statistic", torch.zeros(11, 11))
        self._frozen = False

    def amended(self, images: Tensor) -> Tensor:
        """Two maps of each prepared image (B, 3, 224, 224), (B, 2, 11, 11)."""
        found: Tensor = self.arm(self.rearrange(self.trunk(images)))
        return found

    @override
    @torch.no_grad()
    def freeze(self, pictures: Iterable[Tensor]) -> int:
        """Set the statistic to its mean over prepared pictures (3, 224, 224), one at a time."""
        total, count = torch.zeros(11, 11, dtype=torch.float64), 0
        for picture in pictures:
            total += self.eval().amended(picture[None]).double().mean(dim=(0, 1)).cpu()
            count += 1
        self.statistic.copy_(total / max(1, count))
        self._frozen = count > 0
        return count

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        maps = self.amended(images)
        if self.training:
            statistic = maps.mean(dim=(0, 1))
        elif self._frozen:
            statistic = self.statistic
        else:
            raise ValueError("ARM's batch statistic is not frozen: call freeze(pictures) first")
        logits: Tensor = self.fc((maps.mean(dim=1) + self.arm.alpha * statistic).flatten(1))
        return logits
