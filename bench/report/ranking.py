"""Which number of a column may be printed bold: one that is distinguishable from all the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.report.outcomes import LEVEL, difference, same_samples
from bench.report.results import Result
from bench.stats import detectable_difference, holm, split_evenly

#: Fewer samples are not ranked: whatever comes out on top of them is mostly luck.
FEWEST = 30
#: Of attacks, where a few pictures of luck decide which of two defences looks stronger.
FEWEST_ATTACKED = 500

#: How a number compares with the others of its column: alone at the top, or not distinguishable
#: from the top. Other numbers have no mark, and neither has a column that is not ranked.
Mark = Literal["best", "tied"]


@dataclass(frozen=True, eq=False)
class RankedScores:
    """What a classifier scored on each sample: an entry of a column.

    Attributes:
        seeds: Of training, k.
        ids: Sample ids, (N,).
        values: (k, N): right or wrong, or a share of severities, in [0, 1]; or such, weighed.
        attacked: Whether by an attack: then fewer than `FEWEST_ATTACKED` are not ranked.
    """

    seeds: tuple[int, ...]
    ids: NDArray[np.object_]
    values: NDArray[np.float64]
    attacked: bool = False

    @classmethod
    def of(cls, entry: Result | None) -> "RankedScores | None":
        """Right or wrong on each sample; None for an entry that is missing or one draw of several.

        A classifier that gives two answers to one picture is not ranked: a repeat may turn it.
        """
        if entry is None or not all(result.manifest.deterministic for result in entry.results):
            return None
        return cls(entry.seeds, entry.each[0].ids, entry.right, not entry.cell.about.model_free)

    @classmethod
    def balanced(cls, entry: Result | None) -> "RankedScores | None":
        """As `of`, each class weighed alike: the mean is the unweighted average recall."""
        own = cls.of(entry)
        if entry is None or own is None:
            return None
        _, place, sizes = np.unique(entry.each[0].labels, return_inverse=True, return_counts=True)
        weights = len(own.ids) / (len(sizes) * sizes)
        return replace(own, values=own.values * weights[place])

    @classmethod
    def mean(cls, entries: Sequence[Result]) -> "RankedScores | None":
        """The share of entries in which each sample is recognised; None unless all pair."""
        each = [own for own in map(cls.of, entries) if own is not None]
        whole = bool(each) and len(each) == len(entries)
        if not whole or not all(_pair(each[0], other) for other in each):
            return None
        values = np.mean([own.values for own in each], axis=0)
        return replace(each[0], values=values, attacked=any(own.attacked for own in each))

    @property
    def enough(self) -> bool:
        """Whether there are samples enough to rank."""
        return len(self.ids) >= (FEWEST_ATTACKED if self.attacked else FEWEST)


@dataclass(frozen=True)
class Ranking:
    """The marks of a table.

    Attributes:
        marks: By (row, column).
        tests: Number of tests that the p values were adjusted for.
        unranked: Whether a column was left out because it has too few samples.
        several: Whether a tested row has several trainings.
        apart: Names of rows that stand on other samples or training seeds than most of a column.
        detectable: The smallest difference that a test of this table finds with a power of 80%, at
            the first level of Holm's correction and the median disagreement of its pairs; None if
            it finds none.
    """

    marks: Mapping[tuple[int, int], Mark]
    tests: int = 0
    unranked: bool = False
    several: bool = False
    apart: tuple[str, ...] = ()
    detectable: float | None = None

    @property
    def short(self) -> str:
        """How much was tested, for the caption; nothing where nothing was compared."""
        if not self.tests:
            return ""
        found = "none" if self.detectable is None else f"{100 * self.detectable:.1f} points"
        return f"{self.tests} tests; detectable difference: {found}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was not ranked."""
        said = f"Columns with under {FEWEST} samples (attacks: {FEWEST_ATTACKED}) are not ranked."
        few = [said] if self.unranked else []
        if self.apart:
            few.append(f"Not ranked, on other samples or trainings: {', '.join(self.apart)}.")
        return tuple(few)


def rank(columns: Mapping[int, Sequence[RankedScores | None]], names: Sequence[str]) -> Ranking:
    """Mark the highest number of each column, or those that cannot be told from it.

    All pairs of a column are tested, and not only those with the highest: which is the highest is
    seen in the same samples. Where classifiers have several trainings each is tested on its own,
    for they share samples, and the largest p value counts.

    Args:
        columns: By column number, an entry per row; None for rows that have none. Entries of a
            column are compared if they share samples and training seeds: the most that do.
        names: Of the rows.

    Returns:
        Marks for columns with at least two comparable entries, and samples enough.
    """
    kept = {c: _comparable(entries) for c, entries in columns.items()}
    apart = [names[r] for c, own in kept.items() if own for r in _rows(columns[c]) if r not in own]
    large = {c: own for c, own in kept.items() if own and all(e.enough for e in own.values())}
    tested = {c: _p_values(own) for c, own in large.items()}
    flat = [(c, pair, p) for c, own in tested.items() for pair, ps in own.items() for p in ps]
    worst: dict[tuple[int, tuple[int, int]], float] = {}
    for (c, pair, _), p in zip(flat, holm([p for *_, p in flat]), strict=True):
        worst[c, pair] = max(p, worst.get((c, pair), 0.0))
    marks: dict[tuple[int, int], Mark] = {}
    for c, own in large.items():
        means = {row: float(entry.values.mean()) for row, entry in own.items()}
        best = max(means, key=means.__getitem__)
        same = [
            r
            for r in own
            if r != best and not _apart(own[best], own[r], worst[c, _ordered(r, best)])
        ]
        marks |= {(r, c): "tied" for r in (best, *same)} if same else {(best, c): "best"}
    return Ranking(
        marks,
        len(flat),
        unranked=len(large) < sum(bool(own) for own in kept.values()),
        several=any(len(entry.seeds) > 1 for own in large.values() for entry in own.values()),
        apart=tuple(dict.fromkeys(apart)),
        detectable=_power(large, len(flat)),
    )


def _apart(best: RankedScores, other: RankedScores, p: float) -> bool:
    if p >= LEVEL:
        return False
    # Trainings agree on these samples; would other trainings? One training cannot say.
    return len(best.seeds) == 1 or difference(best.values, other.values).distinguishable


def _power(columns: Mapping[int, Mapping[int, RankedScores]], tests: int) -> float | None:
    """The detectable difference of the first column, which has the table's samples."""
    own = next(iter(columns.values()), None)
    if own is None:
        return None
    first = np.stack([entry.values[0] for entry in own.values()])
    spread = [float(np.mean((a - b) ** 2)) for a, b in combinations(first, 2)]
    return detectable_difference(_size(own), float(np.median(spread)), LEVEL / tests)


def _p_values(entries: Mapping[int, RankedScores]) -> dict[tuple[int, int], list[float]]:
    """A p value per pair of rows and training seed; 1 where it points the other way."""
    rows = list(entries)
    stacked = np.stack([entries[row].values for row in rows])  # (rows, k, N)
    means = stacked.mean(axis=2)
    overall = means.mean(axis=1)
    found: dict[tuple[int, int], list[float]] = {}
    each = [_tests(stacked[:, seed]) for seed in range(stacked.shape[1])]
    for i, j in combinations(range(len(rows)), 2):
        same_way = (means[i] - means[j]) * (overall[i] - overall[j]) > 0
        found[rows[i], rows[j]] = [
            float(p[i, j]) if own else 1.0 for p, own in zip(each, same_way, strict=True)
        ]
    return found


def _tests(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P values of all pairs of rows of (rows, N), (rows, rows)."""
    if np.isin(values, (0.0, 1.0)).all():
        # McNemar's exact test, all pairs at once.
        gained = (values @ (1 - values).T).round()
        return split_evenly(gained, gained.T)
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


def _comparable(entries: Sequence[RankedScores | None]) -> dict[int, RankedScores]:
    """By row, the most entries that pair with each other; none unless there are two."""
    sets: list[dict[int, RankedScores]] = []
    for row in _rows(entries):
        entry = entries[row]
        assert entry is not None
        for own in sets:
            if _pair(next(iter(own.values())), entry):
                own[row] = entry
                break
        else:
            sets.append({row: entry})
    most = max(sets, key=len, default={})
    return most if len(most) > 1 else {}


def _rows(entries: Sequence[RankedScores | None]) -> list[int]:
    return [row for row, entry in enumerate(entries) if entry is not None]


def _pair(one: RankedScores, other: RankedScores) -> bool:
    return one.seeds == other.seeds and same_samples(one.ids, other.ids)


def _size(entries: Mapping[int, RankedScores]) -> int:
    return len(next(iter(entries.values())).ids)


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
