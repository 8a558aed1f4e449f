"""EAC: Erasing Attention Consistency, Zhang et al. 2022 (ECCV, arXiv 2207.10299).

Origin: zyh-uaiaaaa/Erasing-Attention-Consistency at 61efdfd, which states no licence. Written from
the paper and the names that its script would save; its authors released no weights.

    F = a ResNet's last maps                       logits = W mean(F) + b
    M_k = sum over channels of W_kc F_c            (attention map of class k, W without gradient)
    loss = cross-entropy(picture) + 5 mean (M(picture) - mirrored M(mirrored picture))^2

Inference is the plain ResNet. The original's ResNet-50 is of Caffe's build: strides lie on the
first convolution of a block, and pooling has no padding but rounds up.

Differs from the original: maps are mirrored by `flip`, which is what its grid sampling computes.
"""

from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from baselines.fer.base import RESNET_FEATURES, PublishedNetwork, register, resnet, width_of


def caffe_resnet50() -> nn.Module:
    """A ResNet-50 of Caffe's build without its head."""
    trunk = resnet("resnet50")
    trunk.maxpool = nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)
    for stage in ("layer2", "layer3", "layer4"):
        first: Any = trunk.get_submodule(f"{stage}.0")
        first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
    return trunk


@register
class EAC(PublishedNetwork):
    """A ResNet that gives its attention maps.

    Args:
        classes: Number of classes.
        trunk: Another network without a head, (B, 3, H, W) -> (B, C, h, w).
    """

    name = "eac"
    title = "Erasing Attention Consistency, ResNet-50"
    paper = "Zhang et al. 2022 (ECCV, arXiv 2207.10299)"
    licence = "none stated"
    renames = RESNET_FEATURES

    def __init__(self, classes: int, trunk: nn.Module | None = None) -> None:
        super().__init__(classes)
        self.trunk = trunk or caffe_resnet50()
        self.fc = nn.Linear(width_of(self.trunk), classes)

    def mapped(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and attention maps (B, K, h, w) of prepared images (B, 3, S, S)."""
        maps = self.trunk(images)
        attention = nn.functional.conv2d(maps, self.fc.weight.detach()[:, :, None, None])
        return self.fc(maps.mean(dim=(2, 3))), attention

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        return self.mapped(images)[0]


def consistency_loss(maps: Tensor, mirrored: Tensor) -> Tensor:
    """Mean squared difference of attention maps (B, K, h, w) and those of mirrored pictures."""
    return (maps - mirrored.flip(3)).square().mean()


class EACResNet18(EAC):
    """The smaller network of the paper: torchvision's ResNet-18."""

    name = "eac_resnet18"
    title = "Erasing Attention Consistency, ResNet-18"

    def __init__(self, classes: int) -> None:
        super().__init__(classes, resnet())


register(EACResNet18)
