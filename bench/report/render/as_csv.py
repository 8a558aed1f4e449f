"""Tables as CSV: bare numbers for programs."""

import csv
import io

from bench.report.render.columns import Measured, unique
from bench.report.spec import Difference, Number, TableSpec

_PERCENT_DIGITS = 4  # as many as a fraction rounded to six
_NUMBER_DIGITS = 6


def csv_text(spec: TableSpec) -> str:
    """The table with a column for each part of a number, an empty field for what is absent.

    A column NAME of numbers is followed by those of "NAME low" and "NAME high" (95 % interval),
    "NAME p", "NAME mark" and "NAME seen" that it needs; the mark is "best", "tied" or "not
    distinguishable" (a difference from 0), and seen is "seen in training" or empty. Units are those
    of the other formats, accuracies in percent and differences in points, with four decimals; other
    numbers have six.
    """
    columns = [_columns(spec, column) for column in range(len(spec.header))]
    names = unique(name for column in columns for name in column)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    fields = [field for column in columns for field in column.values()]
    writer.writerows(zip(*fields, strict=True))
    return text.getvalue()


def _columns(spec: TableSpec, column: int) -> dict[str, list[str]]:
    """The columns that one of the spec becomes, by name; all but the first only if needed."""
    name = spec.header[column]
    fields = [_fields(spec, row, column) for row in range(len(spec.rows))]
    parts = ("", " low", " high", " p", " mark", " seen")
    found = {f"{name}{part}": [field.get(part, "") for field in fields] for part in parts}
    return {title: column for title, column in found.items() if title == name or any(column)}


def _fields(spec: TableSpec, row: int, column: int) -> dict[str, str]:
    value = spec.rows[row][column]
    if value is None or isinstance(value, str):
        return {"": value or ""}
    fields = {"": _bare(value, value.value)}
    if value.interval is not None:
        fields[" low"] = _bare(value, value.interval.low)
        fields[" high"] = _bare(value, value.interval.high)
    if isinstance(value, Difference):
        if value.p is not None:
            fields[" p"] = f"{value.p:.6g}"
        if not value.distinguishable:
            fields[" mark"] = "not distinguishable"
    if (row, column) in spec.seen:
        fields[" seen"] = "seen in training"
    mark = spec.marks.get((row, column))
    return fields if mark is None else {**fields, " mark": mark}


def _bare(value: Measured, number: float) -> str:
    if isinstance(value, Number):
        return f"{number:.{_NUMBER_DIGITS}f}"
    return f"{100 * number:.{_PERCENT_DIGITS}f}"
