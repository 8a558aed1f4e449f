"""Which number of a column may be printed bold: one that is distinguishable from all the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.report.groups import Pooled
from bench.report.spec import Mark
from bench.stats import holm

LEVEL = 0.05
#: Fewer samples are not ranked: whatever comes out on top of them is mostly luck.
FEWEST = 30


@dataclass(frozen=True, eq=False)
class Scores:
    """What a classifier scored on each sample: an entry of a column.

    Attributes:
        seeds: Of training, k.
        ids: Sample ids, (N,).
        values: In [0, 1], (k, N): right or wrong, or a share of severities.
    """

    seeds: tuple[int, ...]
    ids: NDArray[np.object_]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, entry: Pooled | None) -> "Scores | None":
        """Right or wrong on each sample; None for a missing entry."""
        return None if entry is None else cls(entry.seeds, entry.outcomes[0].ids, entry.right)

    @classmethod
    def mean(cls, entries: Sequence[Pooled]) -> "Scores | None":
        """The share of entries in which each sample is recognised; None unless all pair."""
        each = [cls(e.seeds, e.outcomes[0].ids, e.right) for e in entries]
        if not each or not all(_pair(each[0], other) for other in each):
            return None
        return cls(each[0].seeds, each[0].ids, np.mean([own.values for own in each], axis=0))


@dataclass(frozen=True)
class Ranking:
    """The marks of a table.

    Attributes:
        marks: By (row, column).
        tests: Number of tests that the p values were adjusted for.
        unranked: Whether a column was left out because it has under `FEWEST` samples.
    """

    marks: Mapping[tuple[int, int], Mark]
    tests: int
    unranked: bool

    @property
    def note(self) -> str:
        """How marks are to be read, for the caption; nothing where nothing was compared."""
        small = f"Columns with under {FEWEST} samples are not ranked." if self.unranked else ""
        if not self.tests:
            return small
        about = (
            "Best is what is the highest of its column and distinguishable from every other, by "
            "tests on identical samples: McNemar's exact one, for means a paired t; adjusted by "
            f"Holm over all pairs of this table's columns ({self.tests} tests), level {LEVEL}."
        )
        return f"{about} {small}".strip()


def rank(columns: Mapping[int, Sequence[Scores | None]]) -> Ranking:
    """Mark the highest number of each column, or those that cannot be told from it.

    All pairs of a column are tested, and not only those with the highest: which is the highest is
    seen in the same samples. Where classifiers have several trainings each is tested on its own,
    for they share samples, and the largest p value counts.

    Args:
        columns: By column number, an entry per row; None for rows that have none. Entries of a
            column are compared if they share samples and training seeds.

    Returns:
        Marks for columns with at least two comparable entries and `FEWEST` samples.
    """
    kept = {c: entries for c, entries in columns.items() if _comparable(entries)}
    large = {c: entries for c, entries in kept.items() if _size(entries) >= FEWEST}
    pairs = {c: _p_values(entries) for c, entries in large.items()}
    flat = [(c, pair, p) for c, own in pairs.items() for pair, ps in own.items() for p in ps]
    worst: dict[tuple[int, tuple[int, int]], float] = {}
    for (c, pair, _), p in zip(flat, holm([p for *_, p in flat]), strict=True):
        worst[c, pair] = max(p, worst.get((c, pair), 0.0))
    marks: dict[tuple[int, int], Mark] = {}
    for c, entries in large.items():
        means = {r: own.values.mean() for r, own in enumerate(entries) if own is not None}
        best = max(means, key=lambda row: means[row])
        same = [r for r in means if r != best and worst[c, _ordered(r, best)] >= LEVEL]
        marks |= {(r, c): "tied" for r in (best, *same)} if same else {(best, c): "best"}
    return Ranking(marks, len(flat), len(large) < len(kept))


def _p_values(entries: Sequence[Scores | None]) -> dict[tuple[int, int], list[float]]:
    """Of each pair of rows, a p value per training seed."""
    rows = [r for r, own in enumerate(entries) if own is not None]
    stacked = np.stack([own.values for own in entries if own is not None])  # (rows, k, N)
    each = [_tests(stacked[:, seed]) for seed in range(stacked.shape[1])]
    found = combinations(range(len(rows)), 2)
    return {(rows[i], rows[j]): [float(p[i, j]) for p in each] for i, j in found}


def _tests(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P values of all pairs of rows of (rows, N), (rows, rows)."""
    if np.isin(values, (0.0, 1.0)).all():
        # McNemar's exact test, all pairs at once: see `bench.stats.mcnemar`.
        gained = values @ (1 - values).T
        fewer, discordant = np.minimum(gained, gained.T), gained + gained.T
        tail = stats.binom.cdf(fewer.round(), discordant.round(), 0.5)
        return np.minimum(1.0, 2 * tail)
    n = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    products = centred @ centred.T / (n - 1)
    spread = np.diag(products)
    variance = np.maximum(spread[:, None] + spread[None] - 2 * products, 0.0)
    difference = values.mean(axis=1)[:, None] - values.mean(axis=1)[None]
    # Differences that do not vary are a sure thing, or none at all.
    sure = variance < 1e-12
    t = np.abs(difference) / np.sqrt(np.where(sure, 1.0, variance) / n)
    return np.where(sure, np.where(np.abs(difference) > 1e-12, 0.0, 1.0), 2 * stats.t.sf(t, n - 1))


def _comparable(entries: Sequence[Scores | None]) -> bool:
    known = [own for own in entries if own is not None]
    return len(known) > 1 and all(_pair(known[0], other) for other in known)


def _pair(one: Scores, other: Scores) -> bool:
    ids = one.ids is other.ids or np.array_equal(one.ids, other.ids)
    return bool(ids) and one.seeds == other.seeds


def _size(entries: Sequence[Scores | None]) -> int:
    return next(len(own.ids) for own in entries if own is not None)


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
