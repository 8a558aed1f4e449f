"""What a discriminative classifier is, and whether it can be measured: `bench models check`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bench.classifiers.base import Classifier, as_images
from bench.classifiers.class_order import evident_order
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.data.base import DataSet
from bench.perturb.user_code import probes
from bench.util import rng, runtime
from bench.util.errors import UserError

#: How far logits may move with the neighbours in a batch, over their range: rounding, no more.
BATCH_TOLERANCE = 1e-4


@dataclass(frozen=True)
class ModelFacts:
    """What was found.

    Attributes:
        classes: Class names in logit order.
        parameters: How many.
        flops: Of one picture of 64 px; None if they cannot be counted.
        deterministic: Whether two equal calls agree.
        batch_effect: The largest change of a logit when pictures share a batch, over the range of
            the logits.
        gradient: Of a loss with respect to the picture: "fine", "zero", "not finite" or "none".
        order: A class order that fits validation pictures much better; None if there is none.
    """

    classes: tuple[str, ...]
    parameters: int
    flops: float | None
    deterministic: bool
    batch_effect: float
    gradient: str
    order: tuple[str, ...] | None

    @property
    def failed(self) -> list[str]:
        """What a measurement would suffer from, a sentence each."""
        found = []
        if self.order is not None:
            found.append(f"the class order is wrong; {', '.join(self.order)} fits far better")
        if self.batch_effect > BATCH_TOLERANCE:
            found.append("a picture's logits depend on its neighbours in a batch")
        if not self.deterministic:
            found.append("two equal calls differ")
        if self.gradient != "fine":
            found.append(
                f"its gradient is {self.gradient}: attacks that follow it are no evidence of "
                "robustness; query attacks and transfer are"
            )
        return found


def examine(name: str, classifier: Classifier, dataset: DataSet) -> ModelFacts:
    """Look at a classifier as a sweep would use it.

    Args:
        name: Names it in errors.
        classifier: With logits.
        dataset: Whose validation pictures the class order is checked on.

    Raises:
        UserError: If it is no discriminative classifier, or does not know the data set's classes.
    """
    if not isinstance(classifier, DiscriminativeClassifier):
        raise UserError(
            f"{name} is a diffusion classifier or its control: `bench check classifier` tests it."
        )
    classifier.require_classes(dataset.classes, name)
    model = classifier.model
    suggestion = evident_order(classifier, dataset)
    with runtime.one_thread(), rng.fenced("examine"):
        alone, again, together = _answers(model, classifier.device)
    spread = max(float(np.ptp(alone)), 1e-12)
    return ModelFacts(
        classes=classifier.classes,
        parameters=sum(own.numel() for own in model.parameters()),
        flops=classifier.flops().get("step"),
        deterministic=bool(np.array_equal(alone, again)),
        batch_effect=float(np.abs(alone - together).max()) / spread,
        gradient=_gradient(model, classifier.device),
        order=None if suggestion is None else suggestion.order,
    )


@torch.no_grad()
def _answers(model: nn.Module, device: torch.device) -> Sequence[np.ndarray]:
    """Logits of the probes one by one, twice, and with their neighbours."""
    groups = [as_images(list(pictures)).to(device) for pictures in probes()]
    one_by_one = [
        torch.cat([model(picture[None]) for pictures in groups for picture in pictures])
        for _ in range(2)
    ]
    together = torch.cat([model(pictures) for pictures in groups])
    return [found.float().cpu().numpy() for found in (*one_by_one, together)]


def _gradient(model: nn.Module, device: torch.device) -> str:
    images = as_images([probes()[0][0]]).to(device).requires_grad_()
    with torch.enable_grad():
        logits = model(images)
        if not logits.requires_grad:
            return "none"
        loss = nn.functional.cross_entropy(logits.float(), logits.argmax(dim=1))
        (slope,) = torch.autograd.grad(loss, images, allow_unused=True)
    if slope is None:
        return "none"
    if not slope.isfinite().all():
        return "not finite"
    return "fine" if slope.any() else "zero"
