"""Compared rules as a table and as JSON."""

from typing import Any

from bench.decisions.session import Session
from bench.report.spec import Difference, Estimate, Number, TableSpec, Value
from bench.report.tables.captions import DRAWN
from bench.report.traces.compared import Compared

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
    value: Estimate | Difference | Number | None, unit: float = 1
) -> dict[str, float | None] | None:
    if value is None:
        return None
    interval = value.interval
    return {
        "value": round(value.value / unit, _DIGITS),
        "low": None if interval is None else round(interval.low / unit, _DIGITS),
        "high": None if interval is None else round(interval.high / unit, _DIGITS),
    }
