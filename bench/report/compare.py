"""Two runs, or two classifiers, on the same pictures: `bench compare`.

Differences of paired cells and of means over cells, with intervals, tests and what n could show; as
a table, as JSON, in sentences and on a screen. `pairing` says what is compared.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bench.report.outcomes import DISCORDANT, difference, share
from bench.report.pairing import Pair, Pairing, Side, Where
from bench.report.present import Column, Line, fitted, say
from bench.report.spec import LEVEL, AccuracyEstimate, Difference, Number, TableSpec, Value, p_text
from bench.report.tables.common import DRAWN, caption, sizes
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
            `DISCORDANT` samples differ, too few for an interval.
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


# ------------------------------------------------------------------------------------------------
# As a table, as JSON, in sentences and on a screen
# ------------------------------------------------------------------------------------------------

_DIGITS = 6
_CLASSIFIER, _DATASET = "classifier", "data set"


def table(first: Side, second: Side, rows: Sequence[ComparedRow]) -> TableSpec:
    """All rows as one table, for the renderers of the report."""
    together = [column for column in (_CLASSIFIER, _DATASET) if len(_values(rows, column)) > 1]
    several = any(row.seeds > 1 for row in rows)
    header = (
        *together,
        "cell",
        "n",
        *(["seeds"] if several else []),
        "A %",
        "B %",
        "B - A",
        "p",
        "detectable",
        "UAR, B - A",
    )
    body: list[tuple[Value, ...]] = [
        (
            *(_value(row, column) for column in together),
            row.label,
            str(row.n),
            *([str(row.seeds)] if several else []),
            row.first,
            row.second,
            row.difference,
            p_text(row.adjusted),
            None if row.detectable is None else Number(100 * row.detectable, 1),
            row.uar,
        )
        for row in rows
    ]
    title = f"{second.text} against {first.text}"
    return TableSpec(
        "comparison", title, about(first, second, rows), header, tuple(body), remarks=drawn(rows)
    )


def _values(rows: Sequence[ComparedRow], column: str) -> set[str]:
    return {_value(row, column) for row in rows}


def _value(row: ComparedRow, column: str) -> str:
    return who(row) if column == _CLASSIFIER else row.where.dataset


def who(row: ComparedRow) -> str:
    """The classifier where runs are compared, else "B less A"."""
    first, second = row.names
    return second if first == second else f"{second} less {first}"


def about(first: Side, second: Side, rows: Sequence[ComparedRow]) -> str:
    """What is compared, on what; docs/statistics.md explains the tests."""
    seeds = ", ".join(map(str, sorted({row.where.run_seed for row in rows})))
    return caption(
        f"A is {first.text}, B is {second.text}, on identical pictures: accuracies in percent, "
        "differences in points",
        f"Run seed {seeds}",
        "95% intervals",
        f"Exact tests, Holm over the {len(rows)} rows",
    )


def drawn(rows: Sequence[ComparedRow]) -> tuple[str, ...]:
    """The sentence that drawn faces need, if there are any."""
    return (DRAWN,) if any(row.drawn for row in rows) else ()


def sentences(pairing: Pairing, rows: Sequence[ComparedRow]) -> list[str]:
    """The outcome in words: what B is, and what could not be compared."""
    found = []
    for what, own in (
        ("cells", [row for row in rows if row.cells == 1]),
        ("means over cells", [row for row in rows if row.cells > 1]),
    ):
        count = Counter(row.verdict for row in own)
        if own:
            n = sizes([row.n for row in own])
            found.append(
                f"Of {len(own)} {what} (n {n}) B is better in {count['better']} and worse in "
                f"{count['worse']}; {count['not distinguishable']} are not distinguishable."
            )
    for name, alone in zip("AB", pairing.alone, strict=True):
        if alone:
            found.append(f"Only {name} has {alone} further cell{'' if alone == 1 else 's'}.")
    return found


def refusals(pairing: Pairing) -> list[str]:
    """A sentence per reason why cells could not be compared."""
    found: dict[str, list[str]] = {}
    for where, reason in pairing.refused.items():
        found.setdefault(reason, []).append(str(where))
    return [f"not compared: {_some(cells)}: {reason}" for reason, cells in found.items()]


def _some(cells: Sequence[str]) -> str:
    more = len(cells) - 1
    return f"{cells[0]}{f' and {more} more' if more else ''}"


def as_lines(rows: Sequence[ComparedRow]) -> list[str]:
    """A line per row, for a pipe or a file."""
    return [
        f"{who(row)}, {row.where.dataset}, {row.label}: "
        f"A {row.first} %, B {row.second} %, B - A {row.difference.number} "
        f"{row.difference.range} points, p {p_text(row.adjusted)}, n {row.n}"
        f"{f', {row.seeds} training seeds' if row.seeds > 1 else ''}: {row.verdict}"
        for row in rows
    ]


def as_json(
    first: Side, second: Side, pairing: Pairing, rows: Sequence[ComparedRow]
) -> dict[str, Any]:
    """Everything for programs: accuracies and differences as fractions."""
    return {
        "a": _side(first),
        "b": _side(second),
        "alpha": LEVEL,
        "tests": len(rows),
        "rows": [_as_values(row) for row in rows],
        "refused": [
            {"cell": str(where), "reason": reason} for where, reason in pairing.refused.items()
        ],
        "only_a": pairing.alone[0],
        "only_b": pairing.alone[1],
    }


def _side(side: Side) -> dict[str, Any]:
    return {"run": str(side.root), "classifier": side.classifier}


def _as_values(row: ComparedRow) -> dict[str, Any]:
    where = row.where
    return {
        "classifier_a": row.names[0],
        "classifier_b": row.names[1],
        "dataset": where.dataset,
        "run_seed": where.run_seed,
        "family": where.family,
        "label": row.label,
        "perturbation": where.perturbation if row.cells == 1 else None,
        "severity": where.severity if row.cells == 1 else None,
        "cells": row.cells,
        "seeds": row.seeds,
        "n": row.n,
        "a": _estimate(row.first),
        "b": _estimate(row.second),
        "difference": _estimate(row.difference),
        "uar_difference": None if row.uar is None else _estimate(row.uar),
        "p": row.p,
        "p_holm": row.adjusted,
        "detectable": None if row.detectable is None else round(row.detectable, _DIGITS),
        "verdict": row.verdict,
    }


def _estimate(value: AccuracyEstimate | Difference) -> dict[str, float]:
    ends = {"low": value.interval.low, "high": value.interval.high}
    return {
        name: round(number, _DIGITS) for name, number in ({"value": value.value} | ends).items()
    }


# ------------------------------------------------------------------------------------------------
# A comparison on a screen.


_COLUMNS = (
    Column("n", 3),
    Column("A %", 2),
    Column("B %", 2),
    Column("B - A"),
    Column(""),
    Column("p", 1),
    Column("detectable", 4),
    Column("UAR, B - A", 5),
)
#: Signs, because the words do not fit.
_SIGNS = {"better": "+", "worse": "-", "not distinguishable": "≈"}
_ABOUT = (
    "Differences in points with paired 95% intervals; p of exact tests, adjusted by Holm over the"
)
_LEGEND = "+ B is better, - worse, ≈ not distinguishable."


def show(
    first: Side, second: Side, pairing: Pairing, rows: Sequence[ComparedRow], console: Console
) -> None:
    """Print tables and what they say; plain lines where nobody looks."""
    if console.is_terminal:
        for title, own in groupby(rows, lambda row: f"{who(row)} on {row.where.dataset}"):
            console.print(fitted(title, "cell", _COLUMNS, _lines(list(own)), console.width))
            console.print()
        about = f"A is {first.text}, B is {second.text}, on identical pictures. {_ABOUT}"
        parts = [about, f"{len(rows)} rows.", _LEGEND, *drawn(rows)]
        say(console, " ".join(parts), "dim", wrap=True)
    else:
        for line in as_lines(rows):
            say(console, line)
    for sentence in sentences(pairing, rows):
        say(console, sentence, wrap=console.is_terminal)
    for refusal in refusals(pairing):
        say(console, refusal, "yellow", wrap=console.is_terminal)


def _lines(rows: Sequence[ComparedRow]) -> list[Line]:
    return [
        (
            row.label,
            (
                str(row.n),
                row.first.number,
                row.second.number,
                row.difference,
                _SIGNS[row.verdict],
                p_text(row.adjusted),
                None if row.detectable is None else f"{100 * row.detectable:.1f}",
                row.uar,
            ),
        )
        for row in rows
    ]
