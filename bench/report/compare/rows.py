"""Differences of paired cells, and of means over cells: intervals, tests, what n could show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bench.report.compare.pairing import Pair, Where
from bench.report.measures import DISCORDANT, difference, share
from bench.report.spec import LEVEL, AccuracyEstimate, Difference
from bench.stats import detectable_difference, holm, sign_flip
from bench.stats.bootstrap import two_level_difference

_WORDS = {"corruption": "corruptions", "attack": "attacks"}


@dataclass(frozen=True)
class ComparedRow:
    """One difference.

    Attributes:
        where: The cell; of a mean over cells, its first.
        names: Of A's and B's classifier, as shown.
        label: The cell, or what the mean is over, in words.
        cells: Number of cells, of which everything here is the mean.
        seeds: Number of pairs of trainings, of which everything here is the mean.
        n: Number of samples.
        first: Accuracy of A.
        second: Accuracy of B.
        difference: Accuracy of B less that of A; `p` is Holm's over all rows of the comparison.
        uar: The same of the unweighted average recall, without a test; None where fewer than
            `DISCORDANT` samples are told apart, too few for an interval.
        p: Of the exact test alone.
        detectable: The smallest difference that n samples would show with a power of 80% at the
            level that Holm asks of a comparison's first row; None if not even the largest.
        drawn: Whether the pictures are drawn faces.
    """

    where: Where
    names: tuple[str, str]
    label: str
    cells: int
    seeds: int
    n: int
    first: AccuracyEstimate
    second: AccuracyEstimate
    difference: Difference
    uar: Difference | None
    p: float
    detectable: float | None
    drawn: bool

    @property
    def adjusted(self) -> float:
        """P by Holm over all rows; alone in its comparison it is the test's."""
        return self.p if self.difference.p is None else self.difference.p

    @property
    def verdict(self) -> str:
        """What B is: "better", "worse" or "not distinguishable"."""
        if not self.difference.distinguishable:
            return "not distinguishable"
        return "better" if self.difference.value > 0 else "worse"


def compare(pairs: Sequence[Pair]) -> list[ComparedRow]:
    """A row per cell, and per mean over the cells of a perturbation and of a family.

    A difference of one picture and one training is tested by McNemar's exact test, and any other by
    its extension to several outcomes of a picture (`sign_flip`). Intervals are `bootstrap`'s.

    Args:
        pairs: At least one, in report order.

    Returns:
        By classifiers, data set and family; a mean follows its cells.
    """
    groups = list(_grouped(pairs))
    rows = [_row(label, group, LEVEL / len(groups)) for label, group in groups]
    adjusted = holm([row.p for row in rows])
    return [
        replace(row, difference=replace(row.difference, p=p))
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _grouped(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[Pair]]]:
    """What makes a row, with its label: each cell, and what can be averaged."""
    for _, family in groupby(pairs, lambda pair: pair.where[:4]):
        sweeps = []
        for perturbation, sweep in groupby(family, lambda pair: pair.where.perturbation):
            sweeps.append(list(sweep))
            for pair in sweeps[-1]:
                yield pair.where.pictures, [pair]
            if _can_average(sweeps[-1]):
                yield f"{perturbation} mean", sweeps[-1]
        everything = [pair for sweep in sweeps for pair in sweep]
        if len(sweeps) > 1 and _can_average(everything):
            yield f"{_WORDS[everything[0].where.family]} mean", everything


def _can_average(pairs: Sequence[Pair]) -> bool:
    """Whether they are several, of the same trainings, with samples in common."""
    same_seeds = len({pair.seeds for pair in pairs}) == 1
    return len(pairs) > 1 and same_seeds and len(_shared(pairs)) > 0


def _shared(pairs: Sequence[Pair]) -> NDArray[np.object_]:
    """Ids of the samples that all have, ascending."""
    distinct = {id(pair.ids): pair.ids for pair in pairs}
    return reduce(np.intersect1d, distinct.values())


def _among(ids: NDArray[np.object_], chosen: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which of the ids are chosen; slow on text, and mostly all are."""
    return np.ones(len(ids), bool) if len(ids) == len(chosen) else np.isin(ids, chosen)


def _row(label: str, pairs: Sequence[Pair], alpha: float) -> ComparedRow:
    ids = _shared(pairs)
    chosen = [_among(pair.ids, ids) for pair in pairs]
    # A picture's scores are means over cells: it is one unit, however many cells it went through.
    cells = [
        (pair.first[:, own], pair.second[:, own]) for pair, own in zip(pairs, chosen, strict=True)
    ]
    first, second = (np.mean([cell[side] for cell in cells], axis=0) for side in (0, 1))
    counts = sum((b - a).sum(axis=0) for a, b in cells)  # whole numbers
    spread = float(np.mean((second - first).mean(axis=0) ** 2))
    return ComparedRow(
        where=pairs[0].where,
        names=pairs[0].names,
        label=label,
        cells=len(pairs),
        seeds=len(first),
        n=len(ids),
        first=share(first),
        second=share(second),
        difference=difference(second, first),
        uar=_uar(second, first, pairs[0].labels[chosen[0]]),
        p=sign_flip(np.rint(counts)),
        detectable=detectable_difference(len(ids), spread, alpha),
        drawn=any(pair.drawn for pair in pairs),
    )


def _uar(
    first: NDArray[np.float64], second: NDArray[np.float64], labels: NDArray[np.int16]
) -> Difference | None:
    """UAR of the first less that of the second."""
    if (first != second).any(axis=0).sum() < DISCORDANT:
        return None
    weights = _balance(labels)
    interval = two_level_difference(first * weights, second * weights, bounds=(-1, 1))
    return Difference(float(((first - second) * weights).mean()), interval)


def _balance(labels: NDArray[np.int16]) -> NDArray[np.float64]:
    """Weights, (N,), under which a mean over samples is the UAR."""
    _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return (len(labels) / (len(sizes) * sizes))[own]
