"""Compared rules on a screen."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from bench.decisions.session import Place, Session
from bench.report.spec import Difference
from bench.report.tables.captions import DRAWN
from bench.report.terminal.fitted import Column, Line, fitted
from bench.report.traces.compared import Compared

_COLUMNS = (
    Column("n", 6),
    Column("agreement %"),
    Column("accuracy %", 2),
    Column("less full", 3),
    Column("other noise %", 1),
    Column("evaluations", 1),
    Column("% of full", 2),
    Column("steps", 4),
    Column("GFLOPs", 5),
)
_ABOUT = (
    "Agreement with the full decision, accuracy and its difference from the full decision's in "
    "points, cost per picture; 95% intervals."
)
_OTHER = "Other noise: agreement with the full decisions of"


def show(session: Session, console: Console) -> None:
    """Print a table per classifier; plain lines where nobody looks."""
    if console.is_terminal:
        for name, own in groupby(session.places, lambda place: place.name):
            lines = _lines(list(own))
            console.print(fitted(name, "rule", _COLUMNS, lines, console.width))
            console.print()
        other = [] if session.other is None else [f"{_OTHER} {session.other}."]
        about = [_ABOUT, *other, *([DRAWN] if session.drawn else [])]
        _say(console, " ".join(about), "dim", wrap=True)
    else:
        for place in session.places:
            for rule in place.rules:
                _say(console, _line(place, rule))
    for note in session.notes:
        _say(console, note, "yellow", wrap=console.is_terminal)


def _lines(places: Sequence[Place]) -> list[Line]:
    found: list[Line] = []
    for place in places:
        found.append(f"{place.pictures}, {place.cell.dataset}")
        found += [
            (
                rule.label,
                (
                    str(rule.n),
                    rule.agreement,
                    rule.accuracy,
                    _short(rule.difference),
                    rule.independent,
                    rule.evaluations,
                    rule.share,
                    rule.passes,
                    rule.flops,
                ),
            )
            for rule in place.rules
        ]
    return found


def _short(difference: Difference | None) -> str | None:
    """Without the words, for which a screen has no room."""
    return None if difference is None else f"{difference.number} {difference.range}"


def _line(place: Place, rule: Compared) -> str:
    apart = "" if rule.difference is None else f", less full {_short(rule.difference)} points"
    other = "" if rule.independent is None else f", other noise {rule.independent} %"
    flops = "" if rule.flops is None else f", {rule.flops} GFLOPs"
    agreement = "" if rule.agreement is None else f"agreement {rule.agreement} %, "
    return (
        f"{place.name}, {place.cell.dataset}, {place.pictures}, {rule.label}: "
        f"{agreement}accuracy {rule.accuracy} %{apart}{other}, "
        f"{rule.evaluations} evaluations ({rule.share} % of full), {rule.passes} steps{flops}, "
        f"n {rule.n}{f', {rule.seeds} training seeds' if rule.seeds > 1 else ''}"
    )


def _say(console: Console, line: str, style: str = "", wrap: bool = False) -> None:
    console.print(Text(line, style), soft_wrap=not wrap)
