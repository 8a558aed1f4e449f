"""Whether a classifier can be measured: `bench check`, `bench models check`, its class order."""

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
from scipy.optimize import linear_sum_assignment
from scipy.special import bdtrc
from torch import nn

from bench.classifiers.base import Classifier, as_images
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.kinds.checkpoint import what_it_is
from bench.data.base import DataSet, Sample
from bench.faces import generate
from bench.labels import BASIC, ORDERS
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


def as_json(report: SelfTestReport) -> Any:
    """The report for JSON; what is not finite is None."""
    return _finite(report.as_dict())


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
            f"{name} is not one network with logits. `bench check classifier` tests a diffusion "
            "classifier or its control; of `kind: denoised` and `adapted` check the network inside."
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


# ------------------------------------------------------------------------------------------------
# Are a classifier's outputs named in the right order? Checked on clean validation pictures.
#
# The same seven words carry many orders in public, and a classifier measured under a wrong one
# looks bad at everything. A permutation fitted to few pictures beats any order a little, by chance
# alone; so it is fitted to one half of the pictures and judged on the other, and only a difference
# that chance does not explain counts.


#: Validation pictures of each class that a classifier is asked about.
PER_CLASS = 30

#: How much better, in accuracy, another order must be.
MARGIN = 0.20

#: Chance explains what happens more often than this.
LEVEL = 1e-4

_BATCH = 32  # pictures


@dataclass(frozen=True)
class Suggestion:
    """A class order that fits a classifier far better than the declared one.

    Attributes:
        order: Class names in logit order.
        presets: Names in `ORDERS` that this is the order of.
        declared: Share of the judged pictures that are right in the declared order.
        suggested: That share in an order fitted to other pictures.
        n: Number of judged pictures.
    """

    order: tuple[str, ...]
    presets: tuple[str, ...]
    declared: float
    suggested: float
    n: int


def suggest(
    labels: Sequence[str], outputs: np.ndarray, declared: Sequence[str]
) -> Suggestion | None:
    """A better class order, if the pictures prove the declared one wrong.

    Every second picture of a class is fitted, the others are judged. On these the fitted order must

    - beat the declared one by more than `MARGIN`;
    - win most of the pictures on which the two disagree, by a sign test at `LEVEL`: else a weak
      classifier whose declared order is right would be refused by luck;
    - be right more often than the largest class is frequent, by a binomial test at `LEVEL`: no
      answer that ignores the picture is, under whatever names.

    Args:
        labels: Class name of each picture, (N,).
        outputs: Number of the largest logit of each picture, (N,); -1 for a tie.
        declared: Class names in logit order, all of `labels` among them.
    """
    truth = np.array([list(declared).index(label) for label in labels])
    fitted = _every_second(truth)
    order = _best_order(truth[fitted], outputs[fitted], len(declared))
    truth_left, outputs_left = truth[~fitted], outputs[~fitted]
    if not len(truth_left):
        return None
    as_declared = outputs_left == truth_left
    as_fitted = (outputs_left >= 0) & (order[outputs_left] == truth_left)
    wins, losses = int((as_fitted & ~as_declared).sum()), int((as_declared & ~as_fitted).sum())
    n, most_frequent = len(truth_left), float(np.bincount(truth_left).max() / len(truth_left))
    if (
        (wins - losses) / n <= MARGIN
        or bdtrc(wins - 1, wins + losses, 0.5) > LEVEL  # as many or more, by chance
        or bdtrc(int(as_fitted.sum()) - 1, n, most_frequent) > LEVEL
    ):
        return None
    names, presets = _named(_best_order(truth, outputs, len(declared)), set(truth), declared)
    return Suggestion(names, presets, float(as_declared.mean()), float(as_fitted.mean()), n)


def require_class_order(name: str, classifier: Classifier, dataset: DataSet) -> None:
    """Refuse a classifier whose outputs are evidently named in a wrong order.

    Args:
        name: Its name in the config.
        classifier: What is asked about validation pictures, in one thread.
        dataset: Whose pictures; the classifier knows its classes.

    Raises:
        UserError: With both accuracies and the order that fits.
    """
    found = evident_order(classifier, dataset)
    if found is not None:
        raise UserError(_refusal(name, found))


def evident_order(classifier: Classifier, dataset: DataSet) -> Suggestion | None:
    """The order that validation pictures prove, if it is not the declared one; see `suggest`."""
    samples = _first_of_each_class(dataset.samples("val"))
    with runtime.one_thread():
        outputs = np.concatenate(
            [
                _outputs(classifier, dataset, samples[start : start + _BATCH])
                for start in range(0, len(samples), _BATCH)
            ]
        )
    return suggest([sample.label for sample in samples], outputs, classifier.classes)


def _refusal(name: str, found: Suggestion) -> str:
    known = f" (this is the order of {' and '.join(found.presets)})" if found.presets else ""
    setting = found.presets[0] if found.presets else f"[{', '.join(found.order)}]"
    return (
        f"classifier {name!r}: its outputs are not in the declared class order. Of {found.n} clean "
        f"validation pictures it gets {found.declared:.0%} right, but {found.suggested:.0%} if its "
        f"outputs mean {', '.join(found.order)}{known}. Set class_order: {setting} in its config; "
        "or check_class_order: false if the declared order is meant."
    )


def _first_of_each_class(samples: Sequence[Sample]) -> list[Sample]:
    """At most `PER_CLASS` of each class."""
    seen: dict[str, int] = {}
    kept = []
    for sample in samples:
        seen[sample.label] = seen.get(sample.label, 0) + 1
        if seen[sample.label] <= PER_CLASS:
            kept.append(sample)
    return kept


def _outputs(classifier: Classifier, dataset: DataSet, samples: Sequence[Sample]) -> np.ndarray:
    """Number of the largest logit of each sample; -1 for a tie."""
    pictures = [dataset.picture(sample) for sample in samples]
    logits = classifier.measure(pictures, [sample.id for sample in samples]).logits
    tied = (logits == logits.max(axis=1, keepdims=True)).sum(axis=1) != 1
    return np.where(tied, -1, logits.argmax(axis=1))


def _every_second(truth: np.ndarray) -> np.ndarray:
    """A mask of every second picture of each class, bool (N,)."""
    mask = np.zeros(len(truth), dtype=bool)
    for number in np.unique(truth):
        mask[np.flatnonzero(truth == number)[::2]] = True
    return mask


def _best_order(truth: np.ndarray, outputs: np.ndarray, count: int) -> np.ndarray:
    """For each output the class that it means in the most accurate order, (count,)."""
    confusion = np.zeros((count, count))  # output, class
    np.add.at(confusion, (outputs[outputs >= 0], truth[outputs >= 0]), 1)
    # Half a picture in all: of orders that are equally good the one nearest to the declared.
    confusion += np.eye(count) / (2 * count)
    return np.asarray(linear_sum_assignment(confusion, maximize=True)[1])


def _named(
    order: np.ndarray, present: set[int], declared: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of an order, and the presets that agree with it.

    Pictures say nothing about the outputs of classes that they do not show; there a preset that
    agrees elsewhere has the say.
    """
    names = tuple(declared[number] for number in order)
    shown = [place for place, number in enumerate(order) if number in present]
    presets = tuple(
        preset
        for preset, known in ORDERS.items()
        if set(known) == set(names) and all(known[place] == names[place] for place in shown)
    )
    names = ORDERS[presets[0]] if presets else names
    return names, tuple(preset for preset in presets if ORDERS[preset] == names)
