"""Tables for a terminal of any width: numbers are never cut, folded or left without their interval.

A table that is too wide loses its secondary columns, the least needed first; then intervals go
under their numbers; and at last each number gets a line of its own. Names may fold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Group
from rich.text import Text

from bench.report.spec import ABSENT, Value

_GAP = 1
_NAMES = 16  # columns that names keep before they fold


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
    """A table in the widest form that fits; columns without any value are left out.

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
    filled = [i for i in range(len(columns)) if any(values[i] is not None for _, values in rows)]
    natural = max(cell_len(text) for text in (names, *(name for name, _ in rows)))
    room = width - min(natural, max(_NAMES, width // 3))
    for under in (False, True):
        widths = [_width(columns[i], [v[i] for _, v in rows], under) for i in range(len(columns))]
        for rank in sorted({columns[i].rank for i in filled}, reverse=True):
            shown = [i for i in filled if columns[i].rank <= rank]
            taken = sum(_GAP + widths[i] for i in shown)
            if taken <= room:
                label = min(natural, width - taken)
                head = _row(names, [[columns[i].title] for i in shown], label, widths, shown)
                body = _table(lines, label, widths, shown, under)
                return Group(Text(title, "italic"), Text("\n".join(head), "bold"), *body)
    shown = [i for i in filled if not columns[i].rank]
    return Group(Text(title, "italic"), *_stacked(columns, shown, lines, width))


def _table(
    lines: Sequence[Line], label: int, widths: Sequence[int], shown: Sequence[int], under: bool
) -> Iterator[Text]:
    for line in lines:
        if isinstance(line, str):
            yield Text(line, "bold")
        else:
            parts = [_parts(line[1][i], under) for i in shown]
            yield Text("\n".join(_row(line[0], parts, label, widths, shown)))


def _row(
    name: str,
    cells: Sequence[Sequence[str]],
    label: int,
    widths: Sequence[int],
    shown: Sequence[int],
) -> list[str]:
    """The lines of a row: names to the left, folded where they must be, numbers to the right."""
    stacks = [_folded(name, label), *cells]
    found = []
    for number in range(max(map(len, stacks))):
        first, *rest = (stack[number] if number < len(stack) else "" for stack in stacks)
        line = first + " " * (label - cell_len(first))
        for text, i in zip(rest, shown, strict=True):
            line += " " * (_GAP + widths[i] - cell_len(text)) + text
        found.append(line.rstrip())
    return found


def _folded(name: str, width: int) -> list[str]:
    """The name in lines of at most `width`, cut between words where that is possible."""
    words = name.split()
    indent = name[: len(name) - len(name.lstrip())]
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else indent + word
        if cell_len(longer) <= width:
            lines[-1:] = [longer]
        else:
            lines += [indent + part for part in chop_cells(word, width - len(indent))]
    return lines or [""]


def _stacked(
    columns: Sequence[Column], shown: Sequence[int], lines: Sequence[Line], width: int
) -> Iterator[Text]:
    """A line per number under the name of its row; two where even that is too long."""
    pad = max(cell_len(columns[i].title) for i in shown)
    for line in lines:
        if isinstance(line, str):
            yield Text(line, "bold")
            continue
        name, values = line
        yield Text(name)
        for i in shown:
            before = f"    {columns[i].title}{' ' * (pad - cell_len(columns[i].title))} "
            (text,) = _parts(values[i], under=False)
            number, *rest = _parts(values[i], cell_len(before) + cell_len(text) > width)
            indents = [min(cell_len(before), max(0, width - cell_len(part))) for part in rest]
            under = [" " * indent + part for indent, part in zip(indents, rest, strict=True)]
            yield Text("\n".join([before + number, *under]))


def _width(column: Column, values: Sequence[Value], under: bool) -> int:
    texts = [part for value in values for part in _parts(value, under)]
    return max(map(cell_len, (column.title, *texts)))


def _parts(value: Value, under: bool) -> list[str]:
    """A number and its interval, in one line or in two."""
    if value is None or isinstance(value, str):
        return [value or ABSENT]
    parts = [value.number, *([value.range] if value.range else [])]
    return parts if under else [" ".join(parts)]
