"""What all formats of a table share: kinds of columns, notes on marks, names made unique."""

import re
from collections.abc import Iterable
from itertools import product

from bench.report.spec import Difference, Estimate, Number, TableSpec

#: Values with a number to cite.
Measured = Estimate | Difference | Number

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
