"""A comparison as a table, as JSON and in sentences."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console

from bench.report.compare.pairing import Pairing, Side
from bench.report.compare.rows import ComparedRow
from bench.report.present import Column, Line, fitted, say
from bench.report.spec import LEVEL, AccuracyEstimate, Difference, Number, TableSpec, Value, p_text
from bench.report.tables.common import DRAWN, caption, sizes

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
        "rows": [_row(row) for row in rows],
        "refused": [
            {"cell": str(where), "reason": reason} for where, reason in pairing.refused.items()
        ],
        "only_a": pairing.alone[0],
        "only_b": pairing.alone[1],
    }


def _side(side: Side) -> dict[str, Any]:
    return {"run": str(side.root), "classifier": side.classifier}


def _row(row: ComparedRow) -> dict[str, Any]:
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
#: Signs, for the words do not fit.
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
