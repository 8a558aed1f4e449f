"""What a classifier is, and whether it can be measured: `bench check`, `bench models check`."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import nn

from bench.classifiers.base import Classifier, as_images
from bench.classifiers.class_order import evident_order
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.kinds.checkpoint import what_it_is
from bench.data.base import DataSet
from bench.faces import generate
from bench.labels import BASIC
from bench.perturb.user_code import probes
from bench.util import rng, runtime
from bench.util.errors import UserError, printable
from emodc import CheckpointError, EmoDC, Prompts
from emodc.diffusion.denoiser import as_tensors
from emodc.selftest import SelfTestReport
from emodc.selftest import check as self_test

# ------------------------------------------------------------------------------------------------
# The self-test of a diffusion classifier
# ------------------------------------------------------------------------------------------------


def run(source: str, classes: tuple[str, ...], image: Path | None, pictures: int) -> SelfTestReport:
    """Load a classifier and test it.

    Args:
        source: Folder or hub id.
        classes: For a pipeline without classes of its own; the basic expressions if empty.
        image: A picture to test on; drawn faces if not given.
        pictures: How many drawn faces.

    Raises:
        UserError: If the classifier or the picture cannot be read.
    """
    images = _images(image, pictures)
    path = Path(source)
    hub_id = not path.exists() and source.count("/") == 1 and not source.startswith((".", "/"))
    if not hub_id and not (path / "model_index.json").exists():
        raise UserError(
            "`bench check classifier` tests an EmoDC or a diffusers pipeline, with a "
            f"model_index.json; {what_it_is(path)}"
        )
    try:
        model = _load(source, classes)
        if not model.denoiser.predicts_noise:
            raise UserError(f"{source} is a matched control: it has no denoiser to test.")
    except (CheckpointError, ValueError) as error:
        raise UserError(f"cannot check {source}: {error}") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return self_test(model.to(device).requires_grad_(False), images)


def as_json(report: SelfTestReport) -> str:
    """The report as JSON; what is not finite is null."""
    return json.dumps(_finite(report.as_dict()), indent=2)


def show(report: SelfTestReport) -> None:
    """Print errors by timestep, what was looked at, and the verdict."""
    console = Console()
    if report.bins:
        table = Table("timesteps", "null", "non-class", "classes", "best", "linear", "zero", "")
        for row in report.bins:
            figures = (row.null, row.non_class, row.classes, row.best, row.linear, row.zero)
            table.add_row(
                f"{row.low}-{row.high}",
                *(f"{figure:.3f}" for figure in figures),
                "denoises" if row.best < row.linear else "-",
            )
        console.print(table)
        console.print(
            "Mean squared error in eps under the prompts; best: each picture's best prompt; "
            "linear: the best multiple of x_t; zero: predicting nothing.",
            style="dim",
        )
    for finding in report.findings:
        mark = "[green]ok[/green]     " if finding.passed else "[red]refused[/red]"
        console.print(f"{mark} {finding.name}: {escape(printable(finding.detail))}", soft_wrap=True)
    verdict = "It denoises." if report.passed else f"Not a working port: {report.cause}."
    console.print(escape(printable(verdict)), soft_wrap=True)


def _load(source: str, classes: tuple[str, ...]) -> EmoDC:
    if classes:
        return EmoDC.from_pretrained(source, prompts=Prompts(classes))
    try:
        return EmoDC.from_pretrained(source)
    except CheckpointError as error:
        if "no emodc.json" not in str(error):
            raise
    return EmoDC.from_pretrained(source, prompts=Prompts(BASIC))


def _images(image: Path | None, pictures: int) -> torch.Tensor:
    if image is None:
        return torch.stack(as_tensors(list(generate(0, "check", range(pictures)))))
    try:
        with Image.open(image) as opened:
            return torch.stack(as_tensors([opened]))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{image} is not a picture that can be read: {error}") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ------------------------------------------------------------------------------------------------
# A discriminative classifier: `bench models check`
# ------------------------------------------------------------------------------------------------

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
