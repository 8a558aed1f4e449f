"""MobileFaceNet's blocks, Chen et al. 2018 (arXiv 1804.07573), as DDAMFN and POSTER++ use them."""

from torch import Tensor, nn
from typing_extensions import override

Kernel = int | tuple[int, int]


class ConvNorm(nn.Module):
    """A convolution without bias and a batch norm; "same" padding for odd kernels if asked."""

    def __init__(
        self, before: int, after: int, kernel: Kernel = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        # A kernel of the map's whole height or width collapses it; all others keep the size.
        padding = kernel // 2 if isinstance(kernel, int) and kernel < 7 else 0
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(after)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h', w')."""
        result: Tensor = self.bn(self.conv(maps))
        return result


class ConvNormPReLU(ConvNorm):
    """The same, and a PReLU with a slope per channel."""

    def __init__(
        self, before: int, after: int, kernel: Kernel = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(before, after, kernel, stride, groups)
        self.prelu = nn.PReLU(after)

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h', w')."""
        result: Tensor = self.prelu(super().forward(maps))
        return result


class Bottleneck(nn.Module):
    """Expand, filter each channel, project; added to its input if it keeps the size.

    Args:
        before: Width of the input.
        after: Width of the output.
        inner: Width between.
        stride: Of the filters; 1 makes it a residual block.
        filters: (B, inner, h, w) -> (B, inner, h', w'); a 3x3 depthwise convolution if not given.
        gate: What is done to the filtered maps; nothing if not given.
    """

    def __init__(
        self,
        before: int,
        after: int,
        inner: int,
        stride: int,
        filters: nn.Module | None = None,
        gate: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.residual = stride == 1
        self.conv = ConvNormPReLU(before, inner)
        self.conv_dw = filters or ConvNormPReLU(inner, inner, 3, stride, groups=inner)
        self.CA = gate or nn.Identity()
        self.project = ConvNorm(inner, after)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h / stride, w / stride)."""
        result: Tensor = self.project(self.CA(self.conv_dw(self.conv(maps))))
        return maps + result if self.residual else result


class Chain(nn.Module):
    """Blocks one after the other."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*blocks)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        result: Tensor = self.model(maps)
        return result
