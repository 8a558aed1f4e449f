"""Compared rules as a table and as JSON."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console

from bench.decisions.session import Place, Session
from bench.report.present import Column, Line, fitted, say
from bench.report.replay import Compared
from bench.report.spec import AccuracyEstimate, Difference, Number, TableSpec, Value
from bench.report.tables.common import DRAWN

_DIGITS = 6


def table(session: Session) -> TableSpec:
    """All rules as one table, for the renderers of the report."""
    rows = [(place, rule) for place in session.places for rule in place.rules]
    several = any(rule.seeds > 1 for _, rule in rows)
    other = any(rule.independent is not None for _, rule in rows)
    header = (
        *("classifier", "pictures", "rule", "n"),
        *(["seeds"] if several else []),
        *("agreement %", "accuracy %", "less full"),
        *(["agreement, other noise %"] if other else []),
        *("evaluations/image", "% of full", "steps/image", "GFLOPs/image"),
    )
    body: list[tuple[Value, ...]] = [
        (
            *(place.name, place.pictures, rule.label, str(rule.n)),
            *([str(rule.seeds)] if several else []),
            *(rule.agreement, rule.accuracy, rule.difference),
            *([rule.independent] if other else []),
            *(rule.evaluations, rule.share, rule.passes, rule.flops),
        )
        for place, rule in rows
    ]
    return TableSpec("decisions", "Decisions", about(session), header, tuple(body))


def about(session: Session) -> str:
    """Whatever is needed to read the numbers."""
    parts = [
        "Rules replayed on stored traces. Agreement: with the full decision, by the lowest "
        f"{'weighted ' if session.weights else ''}mean error over all steps; less full: accuracy "
        "less that of the full decision, in points, on the same pictures.",
        "Evaluations: one class at one step; of a classifier that scores all classes at once, one "
        "pass. Steps are passes where classes share them, and views of the picture where a "
        "classifier looks at views.",
        "95% intervals: Wilson's of shares, paired ones of differences, bootstraps over pictures "
        "of costs; a cost that is the same for all has none.",
    ]
    if session.weights:
        parts.append(f"Weights of timesteps: {session.weights}, learned on validation pictures.")
    if session.other is not None:
        parts.append(
            f"Agreement, other noise: with the full decisions of {session.other}, of the same "
            "pictures under another seed; the row of all steps says how far two full decisions "
            "agree."
        )
    return " ".join([*parts, *session.notes, *([DRAWN] if session.drawn else [])])


def as_json(session: Session) -> dict[str, Any]:
    """Everything for programs: shares and differences as fractions."""
    return {
        "run": str(session.root),
        "independent": None if session.other is None else str(session.other),
        "weights": session.weights,
        "rows": [
            {
                "classifier": place.cell.classifier,
                "dataset": place.cell.dataset,
                "run_seed": place.cell.run_seed,
                "family": place.cell.family,
                "perturbation": place.cell.perturbation,
                "severity": place.cell.severity,
                **_row(rule),
            }
            for place in session.places
            for rule in place.rules
        ],
        "notes": list(session.notes),
    }


def _row(rule: Compared) -> dict[str, Any]:
    return {
        "rule": rule.decision.model_dump(mode="json"),
        "label": rule.label,
        "n": rule.n,
        "seeds": rule.seeds,
        "agreement": _bounded(rule.agreement),
        "accuracy": _bounded(rule.accuracy),
        "difference": _bounded(rule.difference),
        "agreement_other_noise": _bounded(rule.independent),
        "evaluations": _bounded(rule.evaluations),
        "share_of_full": _bounded(rule.share, 100),
        "steps": _bounded(rule.passes),
        "gflops": _bounded(rule.flops),
    }


def _bounded(
    value: AccuracyEstimate | Difference | Number | None, unit: float = 1
) -> dict[str, float | None] | None:
    if value is None:
        return None
    interval = value.interval
    return {
        "value": round(value.value / unit, _DIGITS),
        "low": None if interval is None else round(interval.low / unit, _DIGITS),
        "high": None if interval is None else round(interval.high / unit, _DIGITS),
    }


# ------------------------------------------------------------------------------------------------
# Compared rules on a screen.


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
        say(console, " ".join(about), "dim", wrap=True)
    else:
        for place in session.places:
            for rule in place.rules:
                say(console, _line(place, rule))
    for note in session.notes:
        say(console, note, "yellow", wrap=console.is_terminal)


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
