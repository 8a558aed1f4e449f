"""Accuracy of an EmoDC that measures fewer steps than were stored, from its traces alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.report.groups import Group
from bench.report.measures import share
from bench.report.spec import Estimate
from bench.report.traces.traced import Traced, with_traces
from bench.store import Store
from emodc import diagnostics

_COUNTS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


class AtSteps(NamedTuple):
    """An EmoDC that decides from some of its steps.

    Attributes:
        steps: How many.
        evaluations: Network evaluations per image.
        accuracy: Of the decisions.
    """

    steps: int
    evaluations: float
    accuracy: Estimate


def steps_by_classifier(group: Group, store: Store) -> dict[str, list[AtSteps]]:
    """Of every EmoDC whose clean pictures all have traces: `accuracy_by_steps`."""
    found = {}
    for classifier in group.names:
        clean = group.clean(classifier)
        if clean is None or not all(r.manifest.timesteps for r in clean.results):
            continue
        traced = [with_traces(result, store) for result in clean.results]
        whole = [one for one in traced if one is not None]
        if len(whole) == len(traced):
            found[classifier] = accuracy_by_steps(whole)
    return found


def accuracy_by_steps(seeds: Sequence[Traced]) -> list[AtSteps]:
    """Accuracy from 1, 2, 5, 10, ... evenly spaced steps, up to all that the traces hold.

    A run with fewer steps would measure other timesteps under other noise; these are the decisions
    of arXiv 2303.16203, eq. 5, over a part of the same errors.

    Args:
        seeds: One classifier's clean cells, one per training seed; pictures that some lack are left
            out.

    Returns:
        Steps ascending, the last of them all; intervals are those of `share`.
    """
    total = min(traced.errors.shape[2] for traced in seeds)
    shared = set.intersection(*(set(traced.result.outcomes.ids) for traced in seeds))
    each = [_ordered(traced, shared) for traced in seeds]
    cost = np.mean([_evaluations_per_step(traced) for traced in seeds])
    found = []
    for steps in [*(count for count in _COUNTS if count < total), total]:
        right = np.stack([_right(errors, labels, steps) for errors, labels in each])
        found.append(AtSteps(steps, float(cost * steps), share(right)))
    return found


def evenly_spaced(total: int, count: int) -> NDArray[np.intp]:
    """Positions of `count` of `total` things: the middle of each of `count` equal parts."""
    return (2 * np.arange(count) + 1) * total // (2 * count)


def _ordered(traced: Traced, shared: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Errors of shared pictures by ascending timestep, (N, K, S), and labels (N,)."""
    chosen = np.array([name in shared for name in traced.result.outcomes.ids])
    order = np.argsort(traced.timesteps[chosen], axis=1, kind="stable")
    errors = np.take_along_axis(traced.errors[chosen], order[:, None, :], axis=2)
    return errors, traced.labels[chosen]


def _right(errors: np.ndarray, labels: np.ndarray, steps: int) -> NDArray[np.float64]:
    part = errors[:, :, evenly_spaced(errors.shape[2], steps)]
    means = part.mean(axis=2, dtype=np.float64)
    return diagnostics.decisions_right(means, labels).astype(np.float64)


def _evaluations_per_step(traced: Traced) -> float:
    """As stored; one per class where the rows do not tell."""
    _, classes, steps = traced.errors.shape
    stored = traced.result.metrics.evaluations
    return classes if stored is None else stored / steps
