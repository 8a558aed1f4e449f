"""The training losses of SCN, DAN and EAC, for a ResNet of any size.

scn   Wang et al. 2020: cross-entropy of certainty-scaled logits, and the ranking of a batch's
      certain pictures above its uncertain ones; late in training, what is surely another class is
      relabelled, in a table beside the data set.
dan   Wen et al. 2021: cross-entropy, affinity to learned class centres, partition of the heads.
eac   Zhang et al. 2022: cross-entropy, and equal attention maps of a picture and of its mirror
      image. The picture is shown with a rectangle erased if `augmentation` says so.

The networks and formulas are those of `baselines.fer`. Differs from the papers: the optimiser,
schedule, size and steps are `baselines.train`'s.
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from baselines.fer.dan import affinity_loss, partition_loss
from baselines.fer.eac import consistency_loss
from baselines.fer.scn import ranking_loss, relabelled
from baselines.networks import FaceClassifier


class HeadObjective(nn.Module):
    """A loss with a state of its own: parameters are trained, buffers are saved."""

    #: Whether the loss is given numbers of pictures in the place of labels.
    by_number = False

    def labels(self, given: Tensor) -> Tensor:
        """Labels int64 (B,) of what a step is given."""
        return given

    @abstractmethod
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        """The loss of images (B, 3, H, W) in [0, 1] and labels (B,); label smoothing in [0, 1)."""

    def finish(self, given: Tensor, progress: float) -> None:
        """After a step on what it was given, with a share `progress` of all steps done."""


class SelfCure(HeadObjective):
    """SCN's.

    Args:
        labels: Of all training pictures, int64 (N,).
        margin: Of the ranking; the paper's 0.15 is for batches of 1,024, 0.07 for 64.
        relabel_after: Share of the steps after which pictures are relabelled (epoch 10 of 70).
    """

    by_number = True
    table: Tensor

    def __init__(self, labels: Tensor, margin: float = 0.07, relabel_after: float = 1 / 7) -> None:
        super().__init__()
        self.margin, self.relabel_after = margin, relabel_after
        self.register_buffer("table", labels.clone())
        self._logits: Tensor | None = None

    @override
    def labels(self, given: Tensor) -> Tensor:
        return self.table[given]

    @override
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        certainty, logits = classifier.network.weighted(classifier.prepared(images))
        if self._logits is None:  # of the step's first pass, where there are two
            self._logits = logits.detach().float()
        entropy = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return entropy + ranking_loss(certainty, self.margin)

    @override
    def finish(self, given: Tensor, progress: float) -> None:
        if progress > self.relabel_after and self._logits is not None:
            self.table[given] = relabelled(self._logits, self.table[given])
        self._logits = None


class DistractAttention(HeadObjective):
    """DAN's.

    Args:
        classes: Number of classes.
        width: Of the trunk's features.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, width))

    @override
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        logits, features, heads = classifier.network.attended(classifier.prepared(images))
        entropy = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        affinity = affinity_loss(features, labels, self.centres)
        return entropy + affinity + partition_loss(heads)


class AttentionConsistency(HeadObjective):
    """EAC's, with the weight that the paper gives the second term."""

    weight = 5.0

    @override
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        logits, maps = classifier.network.mapped(classifier.prepared(images))
        _, mirrored = classifier.network.mapped(classifier.prepared(images.flip(3)))
        entropy = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return entropy + self.weight * consistency_loss(maps, mirrored)


#: By name: the objective of a classifier and of all training labels, int64 (N,).
OBJECTIVES: dict[str, Callable[[FaceClassifier, Tensor], HeadObjective]] = {
    "scn": lambda classifier, labels: SelfCure(labels),
    "dan": lambda classifier, labels: DistractAttention(
        len(classifier.classes), classifier.network.trunk.num_features
    ),
    "eac": lambda classifier, labels: AttentionConsistency(),
}
