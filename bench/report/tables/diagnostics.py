"""Diagnostics as tables, and all their numbers as one long one: `diagnostics.csv`."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import pairwise

from bench.report.diagnosis import PROMPTS, Diagnosis
from bench.report.present import csv_cell
from bench.report.spec import AccuracyEstimate, Number, TableSpec, Value
from bench.report.tables import caption
from bench.stats import Interval
from emodc.analysis import Estimate

_WHERE = ("classifier", "dataset", "seed", "condition")
_COLUMNS = (*_WHERE, "quantity", "of", "value", "low", "high", "n")
_INTRO = (
    "What stored errors say of each EmoDC, measured on test pictures: they explain results, and "
    "choose nothing."
)


def diagnostic_tables(diagnoses: Sequence[Diagnosis]) -> list[TableSpec]:
    """The tables of every EmoDC that have a row."""
    made = (correlation_table, timestep_table, margin_table)
    specs = (make(diagnosis) for diagnosis in diagnoses for make in made)
    return [spec for spec in specs if spec.rows]


def notes(diagnoses: Sequence[Diagnosis], absent: Sequence[str]) -> list[str]:
    """What is to be said before the tables, and why some are not there."""
    found = [_INTRO] if diagnoses else []
    for diagnosis in diagnoses:
        if not PROMPTS.keys() <= diagnosis.prompts.keys():
            found.append(
                f"{diagnosis.name}: the store holds no errors under the null and the non-class "
                "prompt (evaluation.other_prompts), so only negatives are compared."
            )
        if diagnosis.example is None:
            found.append(
                f"{diagnosis.name}: no example, for no stored corruption turns a right decision "
                "into a wrong one."
            )
    return [*found, *absent]


def numbers_csv(diagnoses: Sequence[Diagnosis]) -> str:
    """One row per number, fractions in [0, 1]; numbers that are undefined are left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for diagnosis in diagnoses:
        cell = diagnosis.clean.result.cell
        for condition, quantity, of, found in _numbers(diagnosis):
            if found is not None:
                numbers = (f"{v:.6g}" for v in (found.value, found.low, found.high))
                where = (csv_cell(diagnosis.name), csv_cell(cell.dataset), cell.seed, condition)
                writer.writerow([*where, quantity, of, *numbers, found.n])
    return text.getvalue()


def correlation_table(diagnosis: Diagnosis) -> TableSpec:
    """How the error under the right prompt goes together with those under others."""
    header = ("prompt", "n", "r with d_p", "mean d - d_p")
    rows: list[tuple[Value, ...]] = [
        (
            PROMPTS[name],
            str(len(diagnosis.prompts["positive"])),
            _number(found, 3),
            _number(diagnosis.above[name], 5),
        )
        for name, found in diagnosis.correlations.items()
    ]
    about = "Errors of clean pictures, mean over steps: Pearson's r with d_p, and difference to it"
    return _spec(diagnosis, "correlation", "Errors under other prompts", about, header, rows)


def timestep_table(diagnosis: Diagnosis) -> TableSpec:
    """What each timestep bin alone tells."""
    shown = [(t, diagnosis.informativeness(t)) for t in diagnosis.conditions]
    names = [f"{t.name}: {what}" for t, _ in shown for what in ("accuracy %", "n", "d'")]
    rows: list[tuple[Value, ...]] = []
    for number, name in enumerate(_bins(diagnosis)):
        row: list[Value] = [name]
        for _, found in shown:
            accuracy, separation = found[number]
            row += [_percent(accuracy), _count(accuracy), _number(separation, 2)]
        rows.append(tuple(row))
    about = "Decisions from one timestep bin alone: accuracy, and separation d' of d_n from d_p"
    return _spec(diagnosis, "timesteps", "Timesteps", about, ("timesteps", *names), rows)


def margin_table(diagnosis: Diagnosis) -> TableSpec:
    """Shares of pictures that keep a fixed and an adaptive margin."""
    found = diagnosis.margins
    rows: list[tuple[Value, ...]] = []
    for name, part in (("easy third", found.easy), ("hard third", found.hard)):
        fixed, adaptive = found.kept("fixed", part), found.kept("adaptive", part)
        rows.append((name, _count(fixed), _percent(fixed), _percent(adaptive)))
    header = ("pictures", "n", f"d_p + {found.fixed:.4f} %", f"{1 + found.alpha:g} d_p %")
    about = "Clean pictures whose lowest d_n exceeds d_p by a margin, in thirds by d_p"
    return _spec(diagnosis, "margins", "Margins", about, header, rows)


def _numbers(diagnosis: Diagnosis) -> Iterator[tuple[str, str, str, Estimate | None]]:
    """(condition, quantity, of what, estimate)."""
    for name, found in diagnosis.correlations.items():
        yield "clean", "correlation with d_p", PROMPTS[name], found
        yield "clean", "mean d - d_p", PROMPTS[name], diagnosis.above[name]
    for traced in diagnosis.conditions:
        found_bins = diagnosis.informativeness(traced)
        for of, (accuracy, separation) in zip(_bins(diagnosis), found_bins, strict=True):
            yield traced.name, "accuracy of timesteps", of, accuracy
            yield traced.name, "d' of timesteps", of, separation
    margins = diagnosis.margins
    for name, part in (("easy third", margins.easy), ("hard third", margins.hard)):
        yield "clean", f"kept fixed margin {margins.fixed:.6g}", name, margins.kept("fixed", part)
        adaptive = f"kept adaptive margin {margins.alpha:g} d_p"
        yield "clean", adaptive, name, margins.kept("adaptive", part)


def _bins(diagnosis: Diagnosis) -> list[str]:
    return [f"{low:.0f}-{high:.0f}" for low, high in pairwise(diagnosis.edges)]


def _spec(
    diagnosis: Diagnosis,
    what: str,
    title: str,
    about: str,
    header: tuple[str, ...],
    rows: list[tuple[Value, ...]],
) -> TableSpec:
    return TableSpec(
        diagnosis.file_name(what),
        f"{title}, {diagnosis.name}, {diagnosis.group.slug}",
        caption(about, diagnosis.where, "95% intervals"),
        header,
        tuple(rows),
        chapter="diagnostics",
    )


def _percent(found: Estimate | None) -> Value:
    if found is None:
        return None
    return AccuracyEstimate(found.value, Interval(found.low, found.high))


def _count(found: Estimate | None) -> str | None:
    return None if found is None else str(found.n)


def _number(found: Estimate | None, digits: int) -> Number | None:
    if found is None:
        return None
    return Number(found.value, digits, Interval(found.low, found.high))
