"""MA-Net: global multi-scale and local attention, Zhao et al. 2021 (TIP, vol. 30, p. 6544).

Origin: zengqunzhao/MA-Net at 923fa6c, MIT. Written from the paper and the names in its released
files.

    x = a ResNet-18's maps after its second stage (128x28x28)
    local: each quarter of x through two stages of its own, whose blocks attend to channels and
           places (CBAM); put together, averaged, fc_1
    global: x through two stages of multi-scale blocks, averaged, fc_2
    logits = 0.6 local + 0.4 global

Pictures are not normalised. Its files are in the order of sorted AffectNet folders, those of RAF-DB
too.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from typing_extensions import override

from baselines.fer.base import PublishedNetwork, register


class ChannelGate(nn.Module):
    """A weight of each channel, from its mean and its maximum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(width, width // 16), nn.ReLU(), nn.Linear(width // 16, width)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, weighted."""
        weights = self.mlp(maps.mean(dim=(2, 3))) + self.mlp(maps.amax(dim=(2, 3)))
        return maps * weights.sigmoid()[:, :, None, None]


class SpatialGate(nn.Module):
    """A weight of each place, from its maximum and mean over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Sequential()
        self.spatial.add_module("conv", nn.Conv2d(2, 1, 7, padding=3, bias=False))
        self.spatial.add_module("bn", nn.BatchNorm2d(1, momentum=0.01))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, weighted."""
        pooled = torch.cat([maps.amax(1, keepdim=True), maps.mean(1, keepdim=True)], dim=1)
        weights: Tensor = self.spatial(pooled).sigmoid()
        return maps * weights


class CBAM(nn.Module):
    """Attention to channels, then to places; Woo et al. 2018 (arXiv 1807.06521)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ChannelGate, self.SpatialGate = ChannelGate(width), SpatialGate()

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, weighted."""
        weighted: Tensor = self.SpatialGate(self.ChannelGate(maps))
        return weighted


class AttentiveBlock(BasicBlock):
    """A ResNet's block with CBAM before its sum."""

    def __init__(self, before: int, after: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__(before, after, stride, downsample)
        self.cbam = CBAM(after)

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h / stride, w / stride)."""
        inner = self.bn2(self.conv2(self.bn1(self.conv1(maps)).relu()))
        short = maps if self.downsample is None else self.downsample(maps)
        result: Tensor = (self.cbam(inner) + short).relu()
        return result


class MultiScaleBlock(nn.Module):
    """Four groups of channels that two chains of convolutions go through, in either direction."""

    def __init__(self, before: int, after: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.width, self.downsample = after // 4, downsample
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        for chain in (1, 2):
            for group in range(1, 5):
                convolution = nn.Conv2d(self.width, self.width, 3, 1, 1, bias=False)
                self.add_module(f"conv{chain}_2_{group}", convolution)
                self.add_module(f"bn{chain}_2_{group}", nn.BatchNorm2d(self.width))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h / stride, w / stride)."""
        groups = self.bn1(self.conv1(maps)).relu().split(self.width, dim=1)
        total: Tensor = maps if self.downsample is None else self.downsample(maps)
        for chain, places in ((1, (0, 1, 2, 3)), (2, (3, 2, 1, 0))):
            found: dict[int, Tensor] = {}
            carried: Tensor | None = None
            for place in places:
                given = groups[place] if carried is None else carried.relu() + groups[place]
                name = f"{chain}_2_{place + 1}"
                carried = self.get_submodule(f"bn{name}")(self.get_submodule(f"conv{name}")(given))
                found[place] = carried
            total = total + torch.cat([found[place] for place in range(4)], dim=1)
        return total.relu()


def _stage(block: Callable[..., nn.Module], before: int, after: int, stride: int) -> nn.Sequential:
    """Two blocks, the first of which changes width and size."""
    downsample = None
    if stride != 1 or before != after:
        downsample = nn.Sequential(
            nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
        )
    return nn.Sequential(block(before, after, stride, downsample), block(after, after, 1, None))


@register
class MANet(PublishedNetwork):
    """Half a ResNet-18 with a local and a global branch."""

    name = "ma_net"
    title = "MA-Net"
    paper = "Zhao et al. 2021 (TIP, doi 10.1109/TIP.2021.3093397)"
    licence = "MIT"
    order = "ma_net"
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1, self.maxpool = nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(BasicBlock, 64, 64, 1)
        self.layer2 = _stage(BasicBlock, 64, 128, 2)
        for quarter in range(1, 5):
            self.add_module(f"layer3_1_p{quarter}", _stage(AttentiveBlock, 128, 256, 2))
            self.add_module(f"layer4_1_p{quarter}", _stage(AttentiveBlock, 256, 512, 1))
        self.layer3_2 = _stage(MultiScaleBlock, 128, 256, 2)
        self.layer4_2 = _stage(MultiScaleBlock, 256, 512, 2)
        self.fc_1, self.fc_2 = nn.Linear(512, classes), nn.Linear(512, classes)

    def branches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the local and of the global branch, each (B, K)."""
        maps = self.maxpool(self.bn1(self.conv1(images)).relu())
        maps = self.layer2(self.layer1(maps))
        quarters = [
            part for half in maps.chunk(2, dim=2) for part in half.chunk(2, dim=3)
        ]  # upper left, upper right, lower left, lower right
        local: Any = 0.0
        for number, quarter in enumerate(quarters, 1):
            third = self.get_submodule(f"layer3_1_p{number}")(quarter)
            # The mean over all places is that of the quarters' means: they are of one size.
            local += self.get_submodule(f"layer4_1_p{number}")(third).mean(dim=(2, 3)) / 4
        whole = self.layer4_2(self.layer3_2(maps)).mean(dim=(2, 3))
        return self.fc_1(local), self.fc_2(whole)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        local, whole = self.branches(images)
        return 0.6 * local + 0.4 * whole
