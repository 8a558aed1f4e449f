"""Tables for a terminal of any width: numbers are never cut, folded or left without their interval.

A table that is too wide loses its secondary columns, the least needed first; then intervals go
under their numbers; and at last each number gets a line of its own. Names may fold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench.report.spec import Value

_GAP = 1
_NAMES = 16  # columns that names keep before they fold
ABSENT = "–"


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        title: Its head.
        rank: 0 for one that is always shown; the highest is left out first.
    """

    title: str
    rank: int = 0


#: A row's name and its values, or a heading above the rows that follow.
Line = tuple[str, Sequence[Value]] | str


def fitted(
    title: str, names: str, columns: Sequence[Column], lines: Sequence[Line], width: int
) -> Group:
    """A table in the widest form that fits.

    Args:
        title: Above it.
        names: Head of the first column.
        columns: The others.
        lines: Rows and headings, in order.
        width: Columns of the terminal.
    """
    rows = [line for line in lines if not isinstance(line, str)]
    if len(rows) < len(lines):  # under headings
        lines = [line if isinstance(line, str) else (f" {line[0]}", line[1]) for line in lines]
        rows = [line for line in lines if not isinstance(line, str)]
    natural = max(cell_len(text) for text in (names, *(name for name, _ in rows)))
    room = width - min(natural, max(_NAMES, width // 3))
    for under in (False, True):
        widths = [_width(columns[i], [v[i] for _, v in rows], under) for i in range(len(columns))]
        for rank in sorted({column.rank for column in columns}, reverse=True):
            shown = [i for i, column in enumerate(columns) if column.rank <= rank]
            left = room - sum(_GAP + widths[i] for i in shown)
            if left >= 0:
                head = (names, *(columns[i].title for i in shown))
                label = min(natural, room + natural, width - room + left)
                body = _table(head, [label, *(widths[i] for i in shown)], shown, lines, under)
                return Group(Text(title, "italic"), body)
    shown = [i for i, column in enumerate(columns) if not column.rank]
    return Group(Text(title, "italic"), *_stacked(columns, shown, lines))


def _table(
    head: Sequence[str],
    widths: Sequence[int],
    shown: Sequence[int],
    lines: Sequence[Line],
    under: bool,
) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    table.add_column(Text(head[0]), width=widths[0], overflow="fold")
    for title, width in zip(head[1:], widths[1:], strict=True):
        table.add_column(Text(title), width=width, justify="right", no_wrap=True)
    for line in lines:
        if isinstance(line, str):
            table.add_row(Text(line, "bold"))
        else:
            name, values = line
            cells = (Text("\n".join(_parts(values[i], under))) for i in shown)
            table.add_row(Text(name), *cells)
    return table


def _stacked(
    columns: Sequence[Column], shown: Sequence[int], lines: Sequence[Line]
) -> Iterator[Text]:
    """A line per number, under the name of its row."""
    pad = max(cell_len(columns[i].title) for i in shown)
    for line in lines:
        if isinstance(line, str):
            yield Text(line, "bold")
            continue
        name, values = line
        yield Text(name)
        for i in shown:
            text = " ".join(_parts(values[i], False))
            yield Text(f"    {columns[i].title.ljust(pad)} {text}", no_wrap=True)


def _width(column: Column, values: Sequence[Value], under: bool) -> int:
    texts = [part for value in values for part in _parts(value, under)]
    return max(map(cell_len, (column.title, *texts)))


def _parts(value: Value, under: bool) -> list[str]:
    """A number and its interval, in one line or in two."""
    if value is None or isinstance(value, str):
        return [value or ABSENT]
    parts = [value.number, *([value.range] if value.range else [])]
    return parts if under else [" ".join(parts)]
