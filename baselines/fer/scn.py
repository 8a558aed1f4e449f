"""SCN: Self-Cure Network, Wang et al. 2020 (CVPR, arXiv 2002.10392).

Origin: kaiwang960112/Self-Cure-Network at 9f4c3ad, which states no licence. Written from the paper
and the names in its released files.

    f = average of a ResNet-18's last maps         alpha = sigmoid(w . f)
    logits = alpha (W f + b)                       loss = cross-entropy + ranking_loss(alpha)

Differs from the original: relabelling never touches the data set (`relabelled` answers, and the
trainer keeps a table), and a batch too small for two groups has no ranking loss.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from baselines.fer.base import RESNET_FEATURES, PublishedNetwork, register, resnet, width_of


@register
class SCN(PublishedNetwork):
    """A ResNet-18 whose logits are scaled by how certain a picture is.

    Args:
        classes: Number of classes.
        trunk: Another network without a head, (B, 3, H, W) -> (B, C, h, w).
    """

    name = "scn"
    title = "Self-Cure Network"
    paper = "Wang et al. 2020 (CVPR, arXiv 2002.10392)"
    licence = "none stated"
    renames = RESNET_FEATURES

    def __init__(self, classes: int, trunk: nn.Module | None = None) -> None:
        super().__init__(classes)
        self.trunk = trunk or resnet()
        width = width_of(self.trunk)
        self.alpha = nn.Sequential(nn.Linear(width, 1), nn.Sigmoid())
        self.fc = nn.Linear(width, classes)

    def weighted(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Certainty in (0, 1), (B,), and logits, (B, K), of prepared images (B, 3, S, S)."""
        features = self.trunk(images).mean(dim=(2, 3))
        certainty = self.alpha(features)
        return certainty.squeeze(1), certainty * self.fc(features)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        return self.weighted(images)[1]


def ranking_loss(certainty: Tensor, margin: float = 0.15, share: float = 0.7) -> Tensor:
    """How far the certain pictures of a batch fail to lie `margin` above the uncertain ones.

    max(0, margin - (mean of the `share` most certain - mean of the rest)); equation 3 of the paper.

    Args:
        certainty: (B,).
        margin: Between the two means.
        share: Of the batch that counts as certain, rounded down.

    Returns:
        A scalar; 0 where one of the groups is empty.
    """
    count = int(share * len(certainty))
    if not 0 < count < len(certainty):
        return certainty.sum() * 0
    ordered = certainty.sort(descending=True).values
    return (margin - (ordered[:count].mean() - ordered[count:].mean())).clamp(min=0)


@torch.no_grad()
def relabelled(logits: Tensor, labels: Tensor, margin: float = 0.2) -> Tensor:
    """Labels (B,) of logits (B, K), changed where another class is `margin` more probable.

    Of all pictures, as in the original's code; the paper restricts it to the uncertain group.
    """
    probabilities = logits.softmax(dim=1)
    highest, best = probabilities.max(dim=1)
    own = probabilities.gather(1, labels[:, None]).squeeze(1)
    return torch.where(highest - own > margin, best, labels)
