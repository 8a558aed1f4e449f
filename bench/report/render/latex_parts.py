"""How a table is cut to the page: widths guessed, columns wrapped, parts that fit."""

import re
from math import ceil
from typing import NamedTuple

from bench.report.render.columns import ends, holds_text
from bench.report.spec import Difference, TableSpec, Value

# Of a page in one column with margins of one inch, in points.
_PAGE_WIDTH = 460.0
_PAGE_LINES = 46

# Of Computer Modern in the sizes that `as_latex` uses, averaged over text.
_CHAR = 4.2
_SMALL_CHAR = 3.2
_SEPARATION = 6.0

#: Text wider than this is broken into lines, in characters.
WRAP = 24

_WORTH_A_LINE = 3  # characters

#: A table is not shrunk further than to this part of its size, but cut into parts.
_SMALLEST = 0.8


class Part(NamedTuple):
    """Some columns and rows of a table, for one page."""

    columns: tuple[int, ...]
    rows: range


def parts(spec: TableSpec) -> list[Part]:
    """The table in pieces that fit a page, each with the first column; whole if it fits."""
    column_runs = _column_runs(spec)
    row_runs = _row_runs(spec)
    return [Part(columns, rows) for rows in row_runs for columns in column_runs]


def wrapped(spec: TableSpec, column: int) -> bool:
    """Whether the column's text is too long to stand in one line."""
    texts = [row[column] for row in spec.rows if isinstance(row[column], str)]
    return holds_text(spec, column) and any(len(str(text)) > WRAP for text in texts)


def header_lines(spec: TableSpec, column: int) -> list[str]:
    """The column's name, in two lines of about equal length where that makes it narrower.

    It is cut at spaces and before a denominator, but no % stands alone.
    """
    name, room = spec.header[column], _content_width(spec, column) / _CHAR
    cuts = [match.start() for match in re.finditer(r" (?!%)|(?<=[^ ])/(?=[^\W\d])", name)]
    halves = [(name[:cut].strip(), name[cut:].strip()) for cut in cuts]
    best = min(halves, key=lambda half: max(map(len, half)), default=(name, ""))
    saved = len(name) - max(max(map(len, best)), room)
    return list(best) if saved >= _WORTH_A_LINE else [name]


def _column_runs(spec: TableSpec) -> list[tuple[int, ...]]:
    """Columns of each part, as even as their order allows."""
    widths = [_width(spec, column) for column in range(len(spec.header))]
    room = _PAGE_WIDTH / _SMALLEST - widths[0]
    count = max(1, ceil(sum(widths[1:]) / room))
    share = sum(widths[1:]) / count
    runs: list[list[int]] = [[]]
    filled = 0.0
    for column, width in enumerate(widths[1:], start=1):
        full = filled + width > room
        if runs[-1] and (full or (filled + width / 2 > share and len(runs) < count)):
            runs.append([])
            filled = 0.0
        runs[-1].append(column)
        filled += width
    return [(0, *run) for run in runs]


def _row_runs(spec: TableSpec) -> list[range]:
    starts, used = [0], 0.0
    for number, row in enumerate(spec.rows):
        height = max(_lines(value) for value in row)
        if used and used + height > _PAGE_LINES:
            starts.append(number)
            used = 0.0
        used += height
    return [range(*ends) for ends in zip(starts, [*starts[1:], len(spec.rows)], strict=True)]


def _width(spec: TableSpec, column: int) -> float:
    header = _CHAR * max(map(len, header_lines(spec, column)))
    return max(header, _content_width(spec, column)) + _SEPARATION


def _content_width(spec: TableSpec, column: int) -> float:
    return max((_value_width(row[column]) for row in spec.rows), default=0.0)


def _value_width(value: Value) -> float:
    if value is None or isinstance(value, str):
        return _CHAR * min(len(value or "-"), WRAP)
    under = len(value.range) if ends(value) else 0
    if isinstance(value, Difference) and not value.distinguishable:
        under = max(under, len("not distinguishable"))
    return max(_CHAR * len(value.number), _SMALL_CHAR * under)


def _lines(value: Value) -> float:
    """Height in lines of text, small type counting less."""
    if value is None or isinstance(value, str):
        return 0.2 + ceil(len(value or "-") / (WRAP - 2))
    unclear = isinstance(value, Difference) and not value.distinguishable
    return 1.2 + 0.7 * (ends(value) is not None) + 0.7 * unclear
