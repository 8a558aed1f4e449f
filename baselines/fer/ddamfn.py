"""DDAMFN++: Dual-Direction Attention Mixed Feature Network, Zhang et al. 2023.

Electronics 12(17), 3595. Origin: SainingZhang/DDAMFN at cebfe5c, which states no licence. Written
from the paper and the names in its released files.

    x = MixedFeatureNet's maps (512x7x7): MobileFaceNet whose depthwise filters are of several sizes
        on groups of channels, each block gated by coordinate attention
    heads: 1x7 and 7x1 filters in place of pooling -> a weight of each row, of each column; their
           product is a map. logits = W (7x7 filter of x * the larger of the two heads) + b
    loss = cross-entropy + 0.1 / the heads' mean squared difference (the authors'; not used here)

Differs from the original: norms and slopes that its code makes and never calls are left out; files
hold them (`dead`). Its pictures were aligned anew with RetinaFace: on others accuracy is lower.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import hardswish
from typing_extensions import override

from baselines.fer.base import PublishedNetwork, register
from baselines.fer.mobilefacenet import Bottleneck, Chain, ConvNorm, ConvNormPReLU


class MixedFilters(nn.Module):
    """Depthwise convolutions of several sizes, each on channels of its own."""

    def __init__(self, kernels: tuple[int, ...], widths: tuple[int, ...], stride: int) -> None:
        super().__init__()
        self.widths = widths
        self.mixed_depthwise_conv = nn.ModuleList(
            nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
            for kernel, width in zip(kernels, widths, strict=True)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h / stride, w / stride)."""
        groups = maps.split(self.widths, dim=1)
        filtered = [
            convolution(group)
            for convolution, group in zip(self.mixed_depthwise_conv, groups, strict=True)
        ]
        return torch.cat(filtered, dim=1)


class CoordinateWeights(nn.Module):
    """A weight of each row and of each column of each channel; Hou et al. 2021 (2103.02907)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(8, width // 32)
        self.conv1, self.bn1 = nn.Conv2d(width, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.conv3 = nn.Conv2d(inner, width, 1), nn.Conv2d(inner, width, 1)

    def weights(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Weights (B, C, h, w) of what is told of rows (B, C, h, 1) and columns (B, C, 1, w)."""
        joined = torch.cat([rows, columns.transpose(2, 3)], dim=2)
        inner = hardswish(self.bn1(self.conv1(joined)))
        of_rows, of_columns = inner.split([rows.shape[2], columns.shape[3]], dim=2)
        across = self.conv3(of_columns.transpose(2, 3)).sigmoid()
        found: Tensor = self.conv2(of_rows).sigmoid() * across
        return found


class CoordinateGate(CoordinateWeights):
    """Maps multiplied by the weights of their means along rows and columns."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return maps * self.weights(maps.mean(3, keepdim=True), maps.mean(2, keepdim=True))


class DirectionHead(CoordinateWeights):
    """The weights of 7x7 maps, with learned filters in the place of means."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.Linear_h = ConvNorm(width, width, (1, 7), groups=width)
        self.Linear_w = ConvNorm(width, width, (7, 1), groups=width)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, 7, 7) -> (B, C, 7, 7)."""
        return self.weights(self.Linear_h(maps), self.Linear_w(maps))


def _mixed(
    before: int, after: int, stride: int, kernels: tuple[int, ...], widths: tuple[int, ...]
) -> Bottleneck:
    inner = sum(widths)
    filters = MixedFilters(kernels, widths, stride)
    return Bottleneck(before, after, inner, stride, filters, CoordinateGate(inner))


@register
class DDAMFN(PublishedNetwork):
    """MixedFeatureNet with two heads of attention to directions."""

    name = "ddamfn"
    title = "Dual-Direction Attention Mixed Feature Network (DDAMFN, DDAMFN++)"
    paper = "Zhang et al. 2023 (Electronics 12, 3595)"
    licence = "none stated"
    order = "affectnet_7"
    size = 112
    dead = (
        "bn.*",
        "*.conv_dw.bn.*",
        "*.conv_dw.prelu.*",
        "cat_head?.CoordAtt.Linear.*",
    )

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.features = nn.Sequential(
            ConvNormPReLU(3, 64, 3, 2),
            ConvNormPReLU(64, 64, 3, 1, groups=64),
            _mixed(64, 64, 2, (3, 5, 7), (64, 32, 32)),
            Chain(*(_mixed(64, 64, 1, (3, 5), (96, 32)) for _ in range(9))),
            _mixed(64, 128, 2, (3, 5, 7), (128, 64, 64)),
            Chain(*(_mixed(128, 128, 1, (3, 5), (192, 64)) for _ in range(16))),
            _mixed(128, 256, 2, (3, 5, 7, 9), (256, 256, 256, 256)),
            Chain(*(_mixed(256, 256, 1, (3, 5, 7), (172, 170, 170)) for _ in range(6))),
            ConvNormPReLU(256, 512),
        )
        for number in range(2):
            head = nn.Module()
            head.CoordAtt = DirectionHead(512)
            self.add_module(f"cat_head{number}", head)
        self.Linear = ConvNorm(512, 512, 7, groups=512)
        self.fc = nn.Linear(512, classes)

    def attended(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and the heads' maps (B, 2, 512, 7, 7) of images (B, 3, 112, 112)."""
        maps = self.features(images)
        heads = torch.stack(
            [self.get_submodule(f"cat_head{number}.CoordAtt")(maps) for number in range(2)], dim=1
        )
        return self.fc(self.Linear(maps * heads.amax(dim=1)).flatten(1)), heads

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        return self.attended(images)[0]
