"""The summary: one row per complete cell, as a frame, as CSV and for JSON."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.report.outcomes import AccuracyEstimate, Number
from bench.report.present import csv_cell
from bench.report.results import Result

# Decimals of each number; None for text and counts.
COLUMNS: dict[str, int | None] = {
    "classifier": None,
    "dataset": None,
    "perturbation": None,
    "severity": None,
    "seed": None,
    "run_seed": None,
    "n": None,
    "accuracy": 6,
    "accuracy_low": 6,
    "accuracy_high": 6,
    "uar": 6,
    "uar_low": 6,
    "uar_high": 6,
    "macro_f1": 6,
    "macro_f1_low": 6,
    "macro_f1_high": 6,
    "d_p": 6,
    "d_p_low": 6,
    "d_p_high": 6,
    "evaluations_per_image": 1,
    "seconds_per_image": 4,
}


def summary_frame(results: Sequence[Result]) -> pd.DataFrame:
    """One row per result, in their order, with the columns of `COLUMNS`.

    `_low` and `_high` bound 95% intervals: Wilson's of accuracy, at the effective number of samples
    also of UAR and macro-F1; Student's of d_p. Accuracy, UAR
    and macro-F1 are fractions in [0, 1]. A number that does not exist is None: `d_p` of a
    discriminative classifier.
    `seed` is that of training, and several have a row each; `run_seed` is that of data,
    perturbations and evaluation noise. Where classifiers gave no number (NaN) for some pictures, a
    last column `without_number` counts them; they are wrong ones among the `n`.
    """
    records = []
    for result in results:
        cell, measured = result.cell, result
        records.append(
            {
                "classifier": result.name,
                "dataset": cell.dataset,
                "perturbation": cell.perturbation,
                "severity": cell.severity,
                "seed": cell.seed,
                "run_seed": cell.run_seed,
                "n": measured.n,
                **_bounded("accuracy", measured.accuracy),
                **_bounded("uar", measured.uar),
                **_bounded("macro_f1", measured.macro_f1),
                **_bounded("d_p", measured.d_p),
                "evaluations_per_image": measured.evaluations,
                "seconds_per_image": measured.seconds,
            }
        )
    # As objects, a missing number stays None and the others stay what they are.
    frame = pd.DataFrame.from_records(records, columns=list(COLUMNS)).astype(object)
    unnumbered = [result.outcomes.without_number for result in results]
    return frame.assign(without_number=unnumbered) if any(unnumbered) else frame


def summary_csv(frame: pd.DataFrame) -> str:
    """The summary as CSV with a fixed number of decimals and an empty field for None.

    The same rows give the same bytes, in however many parts they were stored.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    for row in frame.to_dict("records"):
        writer.writerow([_field(value, COLUMNS.get(str(name))) for name, value in row.items()])
    return text.getvalue()


def summary_rows(frame: pd.DataFrame) -> list[dict[str, str | float | None]]:
    """The summary for JSON: a mapping per row, numbers rounded as in the CSV."""
    return [
        {str(name): _number(value, COLUMNS.get(str(name))) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def gate_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The checks of EmoDC checkpoints for JSON: a mapping per checkpoint, as `Gate` has them.

    `reference` says which Base gave `base_d_p`: "equal_budget", "first_stage" or "itself".
    """
    rows: dict[tuple[str, int, str], dict[str, Any]] = {}
    for result in results:
        cell, gate, checkpoint = result.cell, result.manifest.gate, result.manifest.checkpoint
        if gate is not None:
            named = {"classifier": result.name, "seed": cell.seed, "checkpoint": checkpoint}
            rows[cell.classifier, cell.seed, checkpoint] = named | gate.model_dump()
    return list(rows.values())


def _bounded(name: str, found: AccuracyEstimate | Number | None) -> dict[str, float | None]:
    interval = None if found is None else found.interval
    return {
        name: None if found is None else found.value,
        f"{name}_low": None if interval is None else interval.low,
        f"{name}_high": None if interval is None else interval.high,
    }


def _field(value: str | float | None, digits: int | None) -> str:
    if _absent(value):
        return ""
    return csv_cell(str(value)) if digits is None else f"{value:.{digits}f}"


def _number(value: str | float | None, digits: int | None) -> str | float | None:
    if _absent(value):
        return None
    return round(value, digits) if digits is not None and isinstance(value, float) else value


def _absent(value: str | float | None) -> bool:
    return value is None or value != value  # pandas may turn None into NaN
