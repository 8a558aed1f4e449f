"""What all formats of a table share: kinds of columns, notes on marks, names made unique."""

import csv
import io
import re
from collections.abc import Iterable
from itertools import product

from bench.report.spec import ABSENT, AccuracyEstimate, Difference, Number, TableSpec

#: Values with a number to cite.
Measured = AccuracyEstimate | Difference | Number

TIED = "≈"
SEEN = "†"
SEEN_NOTE = "seen in training: the classifier was trained with this corruption, or one alike."
TIED_NOTE = "not distinguishable from the best of its column."

_LOOKS_LIKE_A_NUMBER = re.compile(r"[-+<>=≈ ]*\d[\d.,]*(\W|$)")


def ends(value: Measured) -> tuple[str, str] | None:
    """Both ends of the value's interval as shown, or None if it has none."""
    low, comma, high = value.range.strip("[]").partition(", ")
    return (low, high) if comma else None


def holds_text(spec: TableSpec, column: int) -> bool:
    """Whether the column is to be read from the left: the first one, and any that holds words."""
    values = [row[column] for row in spec.rows]
    words = (v for v in values if isinstance(v, str) and not _LOOKS_LIKE_A_NUMBER.match(v))
    return column == 0 or any(words)


def bold(spec: TableSpec, row: int, column: int) -> bool:
    """Whether the number is alone at the top, or a difference that is distinguishable from 0."""
    value = spec.rows[row][column]
    if isinstance(value, Difference) and value.distinguishable:
        return True
    return spec.marks.get((row, column)) == "best"


def notes(spec: TableSpec, rows: Iterable[int], columns: Iterable[int]) -> list[str]:
    """What bold type and the signs mean where they occur in these rows and columns."""
    cells = list(product(rows, columns))
    values = [spec.rows[row][column] for row, column in cells]
    found = {spec.marks.get(cell) for cell in cells}
    said = ["Bold: the best of its column."] if "best" in found else []
    if any(isinstance(value, Difference) and value.distinguishable for value in values):
        said.append("Bold difference: distinguishable from 0.")
    said += [f"{TIED}: {TIED_NOTE}"] if "tied" in found else []
    return said + ([f"{SEEN}: {SEEN_NOTE}"] if spec.seen.intersection(cells) else [])


def unique(names: Iterable[str]) -> list[str]:
    """The names, where a repeated one gets the first free of -2, -3, ... in their order.

    A name that is in the list as it stands keeps it, whatever else is made of its neighbours.
    """
    names = list(names)
    taken, met, found = set(names), set[str](), []
    for name in names:
        fresh, number = name, 2
        while fresh in met or (fresh != name and fresh in taken):
            fresh, number = f"{name}-{number}", number + 1
        met.add(fresh)
        found.append(fresh)
    return found


# ------------------------------------------------------------------------------------------------
# Tables as Markdown, in the dialect with pipes that GitHub and most others read.


def markdown(spec: TableSpec) -> str:
    """A heading, the table, its caption and what its signs mean."""
    columns = range(len(spec.header))
    rules = ["---" if holds_text(spec, column) else "---:" for column in columns]
    lines = [f"### {markdown_text(spec.title)}", "", _row(map(markdown_text, spec.header))]
    lines += [_row(rules)]
    lines += [
        _row(_value(spec, row, column) for column in columns) for row in range(len(spec.rows))
    ]
    about = markdown_text(" ".join([spec.caption, *notes(spec, range(len(spec.rows)), columns)]))
    lines += ["", f"*{about}*", ""]
    return "\n".join(lines)


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, in one line; no markup, link, entity or formula in it."""
    return re.sub(r"([\\|*_<>`\[\]&~#$])", r"\\\1", " ".join(text.split()))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _value(spec: TableSpec, row: int, column: int) -> str:
    value = spec.rows[row][column]
    if value is None or isinstance(value, str):
        return ABSENT if value is None else markdown_text(value)
    words = [f"**{value.number}**" if bold(spec, row, column) else value.number, value.range]
    if isinstance(value, Difference) and not value.distinguishable:
        words.append("not distinguishable")
    if spec.marks.get((row, column)) == "tied":
        words.append(TIED)
    if (row, column) in spec.seen:
        words.append(SEEN)
    return " ".join(word for word in words if word)


# ------------------------------------------------------------------------------------------------
# Tables as CSV: bare numbers for programs.


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
