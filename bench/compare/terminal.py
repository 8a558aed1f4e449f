"""A comparison on a screen."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from bench.compare.pairing import Pairing
from bench.compare.rows import Row
from bench.compare.sides import Side
from bench.compare.table import as_lines, drawn, refusals, sentences, who
from bench.report.spec import p_text
from bench.report.terminal.fitted import Column, Line, fitted

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
    first: Side, second: Side, pairing: Pairing, rows: Sequence[Row], console: Console
) -> None:
    """Print tables and what they say; plain lines where nobody looks."""
    if console.is_terminal:
        for title, own in groupby(rows, lambda row: f"{who(row)} on {row.where.dataset}"):
            console.print(fitted(title, "cell", _COLUMNS, _lines(list(own)), console.width))
            console.print()
        about = f"A is {first.text}, B is {second.text}, on identical pictures. {_ABOUT}"
        parts = [about, f"{len(rows)} rows.", _LEGEND, *drawn(rows)]
        _say(console, " ".join(parts), "dim", wrap=True)
    else:
        for line in as_lines(rows):
            _say(console, line)
    for sentence in sentences(pairing, rows):
        _say(console, sentence, wrap=console.is_terminal)
    for refusal in refusals(pairing):
        _say(console, refusal, "yellow", wrap=console.is_terminal)


def _lines(rows: Sequence[Row]) -> list[Line]:
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


def _say(console: Console, line: str, style: str = "", wrap: bool = False) -> None:
    console.print(Text(line, style), soft_wrap=not wrap)
