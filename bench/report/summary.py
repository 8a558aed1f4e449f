"""The summary: one row per complete cell, as a frame, as CSV and as JSON."""

import csv
import io
import json
from collections.abc import Sequence

import pandas as pd

from bench.report.groups import Result

# Decimals of each number; None for text and counts.
COLUMNS: dict[str, int | None] = {
    "classifier": None,
    "dataset": None,
    "perturbation": None,
    "severity": None,
    "seed": None,
    "n": None,
    "accuracy": 6,
    "accuracy_low": 6,
    "accuracy_high": 6,
    "uar": 6,
    "macro_f1": 6,
    "d_p": 6,
    "evaluations_per_image": 1,
    "seconds_per_image": 4,
}


def summary_frame(results: Sequence[Result]) -> pd.DataFrame:
    """One row per result, in their order, with the columns of `COLUMNS`.

    `accuracy_low` and `accuracy_high` bound the 95% Wilson interval; accuracy, UAR and macro-F1 are
    fractions in [0, 1]. A number that does not exist is None: `d_p` of a discriminative classifier.
    `seed` is that of training: several seeds have a row each.
    """
    records = []
    for result in results:
        cell, measured = result.cell, result.metrics
        interval = measured.accuracy.interval
        records.append(
            {
                "classifier": result.name,
                "dataset": cell.dataset,
                "perturbation": cell.perturbation,
                "severity": cell.severity,
                "seed": cell.seed,
                "n": measured.n,
                "accuracy": measured.accuracy.value,
                "accuracy_low": interval.low,
                "accuracy_high": interval.high,
                "uar": measured.uar.value,
                "macro_f1": measured.macro_f1,
                "d_p": None if measured.d_p is None else measured.d_p.value,
                "evaluations_per_image": measured.evaluations,
                "seconds_per_image": measured.seconds,
            }
        )
    # As objects, a missing number stays None and the others stay what they are.
    return pd.DataFrame.from_records(records, columns=list(COLUMNS)).astype(object)


def summary_csv(frame: pd.DataFrame) -> str:
    """The summary as CSV with a fixed number of decimals and an empty field for None.

    The same rows give the same bytes, in however many parts they were stored.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in frame.to_dict("records"):
        writer.writerow([_field(row[name], digits) for name, digits in COLUMNS.items()])
    return text.getvalue()


def summary_json(frame: pd.DataFrame) -> str:
    """The summary as a JSON list of rows, numbers rounded as in the CSV and null for None."""
    rows = [
        {name: _number(row[name], digits) for name, digits in COLUMNS.items()}
        for row in frame.to_dict("records")
    ]
    return json.dumps(rows, indent=1)


def _field(value: str | float | None, digits: int | None) -> str:
    if _absent(value):
        return ""
    return str(value) if digits is None else f"{value:.{digits}f}"


def _number(value: str | float | None, digits: int | None) -> str | float | None:
    if _absent(value):
        return None
    return round(value, digits) if digits is not None and isinstance(value, float) else value


def _absent(value: str | float | None) -> bool:
    return value is None or value != value  # pandas may turn None into NaN
