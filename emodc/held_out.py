"""Cross-validation of what is learned from validation traces: pure functions on arrays.

Shapes: N pictures, K classes, S steps, B features of a score.
"""

from collections.abc import Callable, Mapping
from math import sqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emodc.estimates import Floats

Labels = NDArray[np.integer]
_Choice = TypeVar("_Choice")

FOLDS = 5


def held_out(
    scores: Floats, labels: Labels, folds: Labels, fit: Callable[[Floats, Labels], Floats]
) -> Floats:
    """NLL of each picture under factors fitted to the other folds, (N,)."""
    losses = np.empty(len(labels))
    for fold in np.unique(folds):
        held, others = folds == fold, folds != fold
        logs = special.log_softmax(scores[held] @ fit(scores[others], labels[others]), axis=1)
        losses[held] = -logs[np.arange(len(logs)), labels[held]]
    return losses


def dealt(errors: Floats, labels: Labels) -> Labels:
    """A fold for every picture, (N,): dealt out by label and by the right class's error.

    A picture's fold follows from what was measured and not from its place, and every fold has its
    share of each class and of hard and easy pictures.
    """
    own = errors[np.arange(len(labels)), labels].mean(axis=1, dtype=np.float64)
    found = np.empty(len(labels), int)
    found[np.lexsort((own, labels))] = np.arange(len(labels)) % FOLDS
    return found


def good(each: Mapping[_Choice, Floats]) -> list[_Choice]:
    """The choices whose losses (N,) are on average within a standard error of the least.

    The standard error is that of the paired difference, of the same pictures.
    """
    best = min(each.values(), key=lambda losses: losses.mean())
    off = {choice: losses - best for choice, losses in each.items()}
    margin = 1 / sqrt(len(best))
    return [choice for choice, d in off.items() if d.mean() <= margin * d.std(ddof=1)]
