"""How two runs, or two classifiers, differ where both have results (`bench compare`)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bench.report.outcomes import (
    DISCORDANT,
    LEVEL,
    AccuracyEstimate,
    Difference,
    Number,
    Outcomes,
    difference,
    p_text,
    recognised,
    share,
)
from bench.report.present import Column, Line, fitted, say
from bench.report.results import adapts, checked, display_name, report_order
from bench.report.spec import DRAWN, TableSpec, Value, caption, sizes
from bench.stats import detectable_difference, holm, sign_flip
from bench.stats.bootstrap import two_level_difference
from bench.store.cells import Cell, Manifest, pictures_of
from bench.store.checkpoints import Bases
from bench.store.store import Store
from bench.util.errors import UserError, unknown

# ------------------------------------------------------------------------------------------------
# Which cells are compared
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        text: As typed.
        root: Folder of the run.
        classifier: The one that is meant; None for all of the run.
    """

    text: str
    root: Path
    classifier: str | None


def sides(first: str, second: str, out: Path) -> tuple[Side, Side]:
    """Both sides, from RUN, RUN:CLASSIFIER, or a classifier of the run in `out`.

    Raises:
        UserError: If there is no such run or classifier, or a run meets a single classifier.
    """
    one, other = _side(first, out), _side(second, out)
    if (one.classifier is None) == (other.classifier is None):
        return one, other
    run = one if one.classifier is None else other
    known = ", ".join(_classifiers(run.root))
    raise UserError(
        f"{run.text} is a whole run and the other side one classifier. Name a classifier of it, "
        f"too, as in {run.text}:CLASSIFIER; it has {known}."
    )


def _side(text: str, out: Path) -> Side:
    if _is_run(Path(text)):
        return Side(text, Path(text), None)
    folder, colon, name = text.rpartition(":")
    if colon and _is_run(Path(folder)):
        return Side(text, Path(folder), _known(name, Path(folder)))
    if colon or "/" in text or (Path(text).is_dir() and not _is_run(out)):
        raise UserError(f"{folder if colon else text} holds no run: no plan.json.")
    if not _is_run(out):
        raise UserError(
            f"{text} is no run, and neither is {out}, whose classifier it could be: no plan.json. "
            "Say where the run is with --out."
        )
    return Side(text, out, _known(text, out))


def _known(name: str, root: Path) -> str:
    known = _classifiers(root)
    if name not in known:
        raise unknown(f"classifier of {root}", name, known)
    return name


def _classifiers(root: Path) -> list[str]:
    return list(dict.fromkeys(cell.classifier for cell in Store(root).planned()))


def _is_run(folder: Path) -> bool:
    return (folder / "plan.json").is_file()


# ------------------------------------------------------------------------------------------------
# Cells of two sides, paired on identical samples; what cannot be paired says why.


#: What both must have been measured on. Samples are compared themselves, not by their digest.
_AGREE = {"data": "the contents of the data sets", "perturbation": "the perturbation's parameters"}


class Where(NamedTuple):
    """What two cells of one comparison share: all but the side and the training seed."""

    classifiers: tuple[str, str]  # A's and B's, the same name where runs are compared
    dataset: str
    run_seed: int
    family: str
    perturbation: str
    severity: str

    def __str__(self) -> str:
        """Such as "resnet18 on faces, gaussian_noise 3"."""
        who = " and ".join(dict.fromkeys(self.classifiers))
        return f"{who} on {self.dataset}, {self.pictures}"

    @property
    def pictures(self) -> str:
        """Such as "gaussian_noise 3", or "clean"."""
        return pictures_of(self.perturbation, self.family, self.severity)


@dataclass(frozen=True, eq=False)
class Pair:
    """The same cell of both sides, on identical samples.

    Attributes:
        where: Which cell.
        names: Of A's and B's classifier, as shown: a failed denoiser check says so.
        seeds: Training seeds, A's and B's of each pair.
        ids: Sample ids, (N,).
        labels: Their classes as numbers, (N,).
        first: Whether A recognises them, 1 or 0, (k, N), a row per pair of trainings.
        second: Whether B does, (k, N).
        drawn: Whether they are drawn faces.
    """

    where: Where
    names: tuple[str, str]
    seeds: tuple[tuple[int, int], ...]
    ids: NDArray[np.object_]
    labels: NDArray[np.int16]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    drawn: bool


@dataclass(frozen=True)
class Pairing:
    """What two sides have in common, and what not.

    Attributes:
        pairs: In report order.
        refused: Cells of both that cannot be compared, and why.
        alone: Number of planned cells (seeds counted once) that only A, and that only B has.
    """

    pairs: list[Pair] = field(default_factory=list)
    refused: dict[Where, str] = field(default_factory=dict)
    alone: tuple[int, int] = (0, 0)


class _Refusal(Exception):
    """Why a cell cannot be compared."""


def pair(first: Side, second: Side) -> Pairing:
    """Pair the cells of both sides by classifier, data set, perturbation, severity and run seed.

    Where classifiers are compared, A's stands for B's. Cells with several training seeds are
    compared on those that both have; a single training meets a single one of whatever seed.

    Raises:
        UserError: If nothing can be compared, with what is there.
    """
    stores = Store(first.root), Store(second.root)
    one, other = (
        _cells(store, side, (first, second))
        for store, side in zip(stores, (first, second), strict=True)
    )
    shared = [where for where in one if where in other]
    found = Pairing(alone=(len(one) - len(shared), len(other) - len(shared)))
    like: dict[str, Outcomes] = {}  # by family: cells of one mostly have the same samples
    bases = Bases.of(stores[0]), Bases.of(stores[1])
    for where in shared:
        try:
            found.pairs.append(_paired(where, stores, bases, (one[where], other[where]), like))
        except (_Refusal, UserError) as reason:
            found.refused[where] = str(reason)
    if not found.pairs:
        raise _nothing(first, second, one, other, found.refused)
    return found


def _cells(store: Store, side: Side, both: tuple[Side, Side]) -> dict[Where, list[Cell]]:
    found: dict[Where, list[Cell]] = {}
    for cell in report_order(store.planned()):
        if side.classifier not in (None, cell.classifier):
            continue
        if cell.about.place != "results":
            # Rows of a sequence are frames, which are no independent samples; continuous levels
            # would change the means over corruptions; the others are no results of the sweep.
            continue
        names = (both[0].classifier or cell.classifier, both[1].classifier or cell.classifier)
        level = cell.perturbation, cell.severity
        where = Where(names, cell.dataset, cell.run_seed, cell.family, *level)
        found.setdefault(where, []).append(cell)
    return found


def _paired(
    where: Where,
    stores: tuple[Store, Store],
    bases: tuple[Bases, Bases],
    cells: tuple[list[Cell], list[Cell]],
    like: dict[str, Outcomes],
) -> Pair:
    arms = [
        _manifests(store, own, name) for store, own, name in zip(stores, cells, "AB", strict=True)
    ]
    seeds = _seeds(arms[0], arms[1])
    chosen = [[arm[own[side]] for own in seeds] for side, arm in enumerate(arms)]
    _agree([*chosen[0], *chosen[1]])
    read: list[list[Outcomes]] = []
    for store, manifests in zip(stores, chosen, strict=True):
        read.append([])
        for manifest in manifests:
            like[where.family] = checked(store, manifest, like.get(where.family))
            read[-1].append(like[where.family])
    _identical([*read[0], *read[1]])
    some = read[0][0]
    shown = [
        display_name(
            name, (known.judged(manifest).gate for manifest in manifests), adapts(manifests)
        )
        for name, known, manifests in zip(where.classifiers, bases, chosen, strict=True)
    ]
    return Pair(
        where,
        (shown[0], shown[1]),
        seeds,
        some.ids,
        some.labels,
        recognised(read[0]),
        recognised(read[1]),
        stores[0].is_drawn(chosen[0][0]),
    )


def _manifests(store: Store, cells: Sequence[Cell], name: str) -> dict[int, Manifest]:
    """The manifests of complete cells, by training seed."""
    found = {cell.seed: store.manifest(cell) for cell in cells}
    complete = {seed: manifest for seed, manifest in found.items() if manifest is not None}
    if not complete:
        raise _Refusal(f"not finished in {name}")
    return complete


def _seeds(first: dict[int, Manifest], second: dict[int, Manifest]) -> tuple[tuple[int, int], ...]:
    shared = sorted(first.keys() & second.keys())
    if shared:
        return tuple((seed, seed) for seed in shared)
    if len(first) == len(second) == 1:
        return ((next(iter(first)), next(iter(second))),)
    one, other = (", ".join(map(str, sorted(arm))) for arm in (first, second))
    raise _Refusal(f"no training seed in common: A has {one}, B has {other}")


def _agree(manifests: Sequence[Manifest]) -> None:
    for name, words in _AGREE.items():
        values = [manifest.inputs.get(name) for manifest in manifests]
        for value in values[1:]:
            if value != values[0]:
                raise _Refusal(f"{words} differ ({_contrast(values[0], value)})")


def _contrast(one: Any, other: Any) -> str:
    """What of two values differs."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [k for k in {**one, **other} if one.get(k) != other.get(k)]
        return "; ".join(f"{k}: {_contrast(one.get(k), other.get(k))}" for k in names)
    return f"{one} in A, {other} in B"


def _identical(several: Sequence[Outcomes]) -> None:
    """Refuse unless all are of the same samples with the same labels."""
    first = several[0]
    for other in several[1:]:
        if other.ids is not first.ids and not np.array_equal(other.ids, first.ids):
            both = len(np.intersect1d(first.ids, other.ids))
            raise _Refusal(
                f"not the same samples: A has {len(first)}, B has {len(other)}, {both} are in both"
            )
        if first.classes == other.classes:
            differ = int((first.labels != other.labels).sum())
        else:
            differ = int((_names(first) != _names(other)).sum())
        if differ:
            raise _Refusal(f"{differ} of {len(first)} samples have different labels")


def _names(outcomes: Outcomes) -> NDArray[np.object_]:
    return np.array(outcomes.classes, object)[outcomes.labels]


def _nothing(
    first: Side,
    second: Side,
    one: dict[Where, list[Cell]],
    other: dict[Where, list[Cell]],
    refused: dict[Where, str],
) -> UserError:
    if refused:
        where, reason = next(iter(refused.items()))
        more = f" So are {len(refused) - 1} more cells." if len(refused) > 1 else ""
        return UserError(f"nothing can be compared: {where} is refused, {reason}.{more}")
    return UserError(
        f"{first.text} and {second.text} have no cell in common. {first.text} has {_content(one)}; "
        f"{second.text} has {_content(other)}. Two classifiers are compared by "
        "RUN:CLASSIFIER RUN:CLASSIFIER."
    )


def _content(cells: dict[Where, list[Cell]]) -> str:
    def listed(values: Sequence[str]) -> str:
        return ", ".join(dict.fromkeys(values))

    flat = [cell for own in cells.values() for cell in own]
    parts = (
        listed([cell.classifier for cell in flat]),
        f"on {listed([cell.dataset for cell in flat])}",
        f"under {listed([cell.perturbation for cell in flat])}",
        f"run seed {listed([str(cell.run_seed) for cell in flat])}",
    )
    return " ".join(parts)


# ------------------------------------------------------------------------------------------------
# How they differ
# ------------------------------------------------------------------------------------------------

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
        "a": _side_content(first),
        "b": _side_content(second),
        "alpha": LEVEL,
        "tests": len(rows),
        "rows": [_as_values(row) for row in rows],
        "refused": [
            {"cell": str(where), "reason": reason} for where, reason in pairing.refused.items()
        ],
        "only_a": pairing.alone[0],
        "only_b": pairing.alone[1],
    }


def _side_content(side: Side) -> dict[str, Any]:
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
