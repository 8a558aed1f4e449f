"""Are a classifier's outputs named in the right order? Checked on clean validation pictures.

The same seven words carry many orders in public, and a classifier measured under a wrong one looks
bad at everything. A permutation fitted to few pictures beats any order a little, by chance alone;
so it is fitted to one half of the pictures and judged on the other, and only a difference that
chance does not explain counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest

from bench.classifiers.base import Classifier
from bench.data.base import DataSet, Sample
from bench.labels import ORDERS
from bench.util import runtime
from bench.util.errors import UserError

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
        or binomtest(wins, wins + losses, 0.5, "greater").pvalue > LEVEL
        or binomtest(int(as_fitted.sum()), n, most_frequent, "greater").pvalue > LEVEL
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
