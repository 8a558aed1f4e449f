"""The report in a terminal: `summary` says what, `fitted` makes it fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len, chop_cells
from rich.console import Console, Group
from rich.text import Text

from bench.perturb.seen import seen
from bench.report.groups import Result, ResultSet
from bench.report.measures import share
from bench.report.render.text import SEEN, SEEN_NOTE
from bench.report.spec import ABSENT, Value
from bench.report.tables.common import DRAWN, Swept, interval_name, seeds_text, sizes, sweeps
from bench.report.write import Report
from bench.stats import SampleScores
from bench.store.cells import FAMILIES

# ------------------------------------------------------------------------------------------------
# Tables for a terminal of any width: numbers are never cut, folded or left without their interval.
#
# A table that is too wide loses its secondary columns, the least needed first; then intervals go
# under their numbers; and at last each number gets a line of its own. Names may fold.


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


# ------------------------------------------------------------------------------------------------
# The report in a terminal: compact tables that fit its width; plain lines where nobody looks.


_SHOWN_MISSING = 5
_FAMILIES = {"corruption": "Corruptions", "attack": "Attacks"}
_CLEAN = (Column("accuracy %"), Column("UAR %", 2), Column("F1 %", 3), Column("d_p", 1))
_SWEPT = {
    "corruption": (Column("clean", 1), Column("mean"), Column("strongest")),
    "attack": (Column("clean", 1), Column("weakest"), Column("strongest")),
}


def show(report: Report, console: Console) -> None:
    """Print the summary, what is missing, and where the report lies.

    A terminal gets a table per family, in the widest form that fits. A pipe or file gets one line
    per cell, never wrapped.
    """
    if console.is_terminal:
        for group in report.results.groups:
            _show_group(group, console)
    else:
        for line in _lines(report):
            _say(console, line)
    for missing in report.missing[:_SHOWN_MISSING]:
        _say(console, f"missing: {missing}", "yellow")
    rest = len(report.missing) - _SHOWN_MISSING
    if rest > 0:
        _say(console, f"missing: {rest} more, listed in the report", "yellow")
    _say(console, f"report: {report.folder / 'index.html'}")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style), soft_wrap=True)


def _lines(report: Report) -> Iterator[str]:
    for result in report.results.complete:
        cell, m = result.cell, result.metrics
        d_p = "" if m.d_p is None else f", d_p {m.d_p.number}"
        yield (
            f"{result.name}, {cell.dataset}, {cell.perturbation} {cell.severity}, "
            f"seed {cell.seed}: accuracy {m.accuracy} %, n {m.n}, UAR {m.uar.number} %, "
            f"macro-F1 {m.macro_f1.number} %{d_p}{_seen(result)}"
        )
    for group in report.results.groups:
        if len(group.perturbations("corruption")) > 1:
            yield from _mean_lines(group)


def _seen(result: Result) -> str:
    cell = result.cell
    met = cell.about.corrupted and seen(result.manifest.training, cell.perturbation)
    return ", seen in training" if met else ""


def _mean_lines(group: ResultSet) -> Iterator[str]:
    for own in sweeps(group).values():
        if own.mean is not None:
            where = f"{own.name}, {group.dataset}, {_all(group)}, {seeds_text(group)}"
            yield f"{where}: accuracy {share(own.mean)} %, n {len(own.ids)}"


def _show_group(group: ResultSet, console: Console) -> None:
    where = f"{group.dataset}, {len(group.classes)} classes, {seeds_text(group)}"
    if group.perturbations("clean"):
        n = sizes([r.metrics.n for r in map(group.clean, group.names) if r is not None])
        title = f"Clean pictures of {where}, n {n}"
        console.print(fitted(title, "classifier", _CLEAN, _clean(group), console.width))
    for family, title in _FAMILIES.items():
        if group.perturbations(family):
            lines, columns = _sweeps(group, family), _SWEPT[family]
            console.print()
            console.print(
                fitted(f"{title} on {where}", "classifier", columns, lines, console.width)
            )
            if any(line[0].endswith(SEEN) for line in lines if not isinstance(line, str)):
                console.print(Text(f"{SEEN}: {SEEN_NOTE}", "dim"))
    means = ", means over training seeds" if group.several else ""
    about = f"Accuracy in % with its {interval_name(group)} interval{means}."
    console.print(Text(about, "dim"))
    if group.protocol:
        console.print(Text(f"{group.dataset}: {group.protocol}.", "dim"))
    if group.drawn:
        console.print(Text(DRAWN, "dim"))


def _clean(group: ResultSet) -> list[Line]:
    lines: list[Line] = []
    for classifier, name in group.names.items():
        result = group.clean(classifier)
        values: tuple[Value, ...] = (None,) * len(_CLEAN)
        if result is not None:
            m = result.metrics
            d_p = None if m.d_p is None else m.d_p.number
            values = (m.accuracy, m.uar.number, m.macro_f1.number, d_p)
        lines.append((name, values))
    return lines


def _sweeps(group: ResultSet, family: str) -> list[Line]:
    """All sweeps of a family: clean, strongest, and for corruptions the mean over severities."""
    graded = FAMILIES[family].graded
    lines: list[Line] = []
    for perturbation in group.perturbations(family):
        severities = group.severities(perturbation)
        lines.append(_heading(group, perturbation, severities))
        for classifier, name in group.names.items():
            ends = [group.get(classifier, perturbation, s) for s in (severities[0], severities[-1])]
            weakest, strongest = (None if r is None else r.metrics.accuracy for r in ends)
            reference = group.reference(classifier, perturbation)
            clean = None if reference is None else reference.accuracy
            middle = group.mean(classifier, perturbation) if graded else weakest
            seen = graded and group.seen(classifier, perturbation)
            lines.append((f"{name} {SEEN}" if seen else name, (clean, middle, strongest)))
    if graded and len(group.perturbations(family)) > 1:
        lines.append(_all(group))
        for own in sweeps(group).values():
            lines.append((own.name, tuple(None if v is None else share(v) for v in _mean(own))))
    return lines


def _mean(own: Swept) -> tuple[SampleScores | None, SampleScores | None, SampleScores | None]:
    """Clean; and over all corruptions alike, of all severities and of the strongest."""
    if own.mean is None:
        return own.clean, None, None
    return own.clean, own.mean, np.mean([right[-1] for right in own.under.values()], axis=0)


def _all(group: ResultSet) -> str:
    return f"mean of all {len(group.perturbations('corruption'))} corruptions"


def _heading(group: ResultSet, perturbation: str, severities: Sequence[str]) -> str:
    """Such as "gaussian_noise 1-5, n 200"."""
    span = severities[0] if len(severities) == 1 else f"{severities[0]}-{severities[-1]}"
    swept = [r for classifier in group.names for r in group.under(classifier, perturbation)]
    return f"{perturbation} {span}, n {sizes([r.metrics.n for r in swept])}"
