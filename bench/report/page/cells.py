"""Table values as the page wants them: what is shown, in how many parts, and what is sorted by."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.report.render.columns import notes
from bench.report.spec import ABSENT, Difference, Estimate, Mark, Number, TableSpec, Value

# A number, or a text that begins with one: "504", "< 0.001", "4/255", "87.3 (85.1 to 89.0)".
_NUMBER = re.compile(
    r"(?:< )?(?P<top>[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:/(?P<bottom>[1-9]\d*))?(?=$|[ ,%-])"
)
_WITH_RANGE = re.compile(r"(?P<number>\S+) (?P<range>\[[^\[\]]*\])")
_FILTER_FROM = 12  # rows; fewer are seen at a glance
_PROSE_FROM = 28  # characters
_SCROLL_FROM = 40  # rows; more scroll below a header that stays

Kind = Literal["number", "text", "prose"]


@dataclass(frozen=True)
class Cell:
    """A value.

    Attributes:
        text: The number or the text.
        range: Its interval, in small type; empty if it has none.
        key: What a numeric column sorts by; empty for nothing, which sorts last.
        remark: Said below it: "not distinguishable".
        strong: Whether it is bold.
        tied: Whether it cannot be told from the best of its column.
        seen: Whether the classifier met the corruption in training.
    """

    text: str
    range: str = ""
    key: str = ""
    remark: str = ""
    strong: bool = False
    tied: bool = False
    seen: bool = False


@dataclass(frozen=True)
class Row:
    """Cells, and the numbers of the classifiers they name, space-separated."""

    cells: tuple[Cell, ...]
    classifiers: str


@dataclass(frozen=True)
class Table:
    """A table, ready for the template.

    Attributes:
        anchor: Its address in the page.
        spec: What it was made of.
        kinds: Of the columns, (C,): prose has long texts, which need room to be read.
        rows: All of them.
        legend: What bold type and the sign of ties mean in it; empty if it has neither.
        filtered: Whether it has a filter of its own.
        tall: Whether it scrolls below its header.
    """

    anchor: str
    spec: TableSpec
    kinds: tuple[Kind, ...]
    rows: tuple[Row, ...]
    legend: str
    filtered: bool
    tall: bool


def table(spec: TableSpec, anchor: str, classifiers: Sequence[str]) -> Table:
    """What the template needs of a table."""
    numbers = {name: str(number) for number, name in enumerate(classifiers)}
    columns = ([row[column] for row in spec.rows] for column in range(len(spec.header)))
    rows = []
    for i, row in enumerate(spec.rows):
        cells = tuple(
            replace(cell(value, spec.marks.get((i, j))), seen=(i, j) in spec.seen)
            for j, value in enumerate(row)
        )
        own = dict.fromkeys(numbers[v] for v in row if isinstance(v, str) and v in numbers)
        rows.append(Row(cells, " ".join(own)))
    return Table(
        anchor,
        spec,
        tuple(map(_kind, columns)),
        tuple(rows),
        legend=" ".join(notes(spec, range(len(spec.rows)), range(len(spec.header)))),
        filtered=len(rows) >= _FILTER_FROM,
        tall=len(rows) >= _SCROLL_FROM,
    )


def cell(value: Value, mark: Mark | None = None) -> Cell:
    """One value; a difference is bold where it is distinguishable."""
    strong, tied = mark == "best", mark == "tied"
    if value is None:
        return Cell(ABSENT)
    key = sort_key(value)
    if isinstance(value, Difference):
        remark = "" if value.distinguishable else "not distinguishable"
        strong = strong or value.distinguishable
        return Cell(value.number, value.range, key, remark, strong, tied)
    if isinstance(value, Estimate | Number):
        return Cell(value.number, value.range, key, "", strong, tied)
    split = _WITH_RANGE.fullmatch(value) if key else None
    if split:
        return Cell(split["number"], split["range"], key, "", strong, tied)
    return Cell(value, "", key, "", strong, tied)


def sort_key(value: Value) -> str:
    """The number that a value is sorted by, in the unit shown; empty if it is none."""
    if isinstance(value, Estimate | Difference):
        number = 100 * value.value
    elif isinstance(value, Number):
        number = value.value
    else:
        found = _NUMBER.match(value or "")
        if found is None:
            return ""
        number = float(found["top"]) / float(found["bottom"] or 1)
    return f"{number:.9g}" if math.isfinite(number) else ""


def _kind(values: Sequence[Value]) -> Kind:
    """Numbers are all numbers, as far as known; NaN is one."""
    known = [value for value in values if value is not None]
    if known and all(not isinstance(v, str) or sort_key(v) for v in known):
        return "number"
    return "prose" if any(len(str(value)) > _PROSE_FROM for value in known) else "text"
