"""The one door of a table: to Markdown, CSV, JSON, LaTeX, files and the terminal.

`present` writes a table in the format of a file's name; `fitted` lays one out for a terminal of any
width; `write_tables` writes a folder of them, with a LaTeX macro for each number.
Names and texts may come from anybody's files. `printable` (bench.util.errors) shows their control
characters; each format escapes what it would read as markup, and CSV what a spreadsheet would run.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len, chop_cells
from rich.console import Console, Group
from rich.text import Text

from bench.report.latex import interval_latex, latex, latex_text, number_latex
from bench.report.outcomes import Difference, Number
from bench.report.spec import (
    ABSENT,
    SEEN,
    TIED,
    Measured,
    TableSpec,
    Value,
    bold,
    holds_text,
    notes,
    unique,
)
from bench.util.errors import UserError, printable

# ------------------------------------------------------------------------------------------------
# Tables as Markdown, in the dialect with pipes that GitHub and most others read.


def markdown(spec: TableSpec, alone: bool = True) -> str:
    """A heading, the table, its caption and remarks.

    A table that stands alone says what it was measured on and what its signs mean, too; a whole
    report says that once.
    """
    columns = range(len(spec.header))
    rules = ["---" if holds_text(spec, column) else "---:" for column in columns]
    lines = [f"### {markdown_text(spec.title)}", "", _markdown_row(map(markdown_text, spec.header))]
    lines += [_markdown_row(rules)]
    lines += [
        _markdown_row(_markdown_value(spec, row, column) for column in columns)
        for row in range(len(spec.rows))
    ]
    meant = notes(spec, range(len(spec.rows)), columns) if alone else []
    about = markdown_text(" ".join([spec.about if alone else spec.short, *meant]))
    lines += ["", f"*{about}*", ""]
    return "\n".join(lines)


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, in one line; no markup, link, entity or formula in it."""
    return re.sub(r"([\\|*_<>`\[\]&~#$])", r"\\\1", printable(" ".join(text.split())))


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_value(spec: TableSpec, row: int, column: int) -> str:
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
_PLAIN_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|-", re.IGNORECASE)


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
    writer.writerow(map(csv_cell, names))
    fields = [field for column in columns for field in column.values()]
    writer.writerows(zip(*fields, strict=True))
    return text.getvalue()


def csv_cell(text: str) -> str:
    """Text as a CSV cell that no spreadsheet runs: what begins like a formula gets a leading '."""
    shown = printable(text.lstrip())
    # Also in letters of full width, as East Asian spreadsheets read them.
    formula = shown.startswith(tuple("=+-@＝＋－＠")) and not _PLAIN_NUMBER.fullmatch(shown)
    return f"'{shown}" if formula else shown


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
        return {"": csv_cell(value or "")}
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


# ------------------------------------------------------------------------------------------------
# The door, and JSON.


def present(spec: TableSpec, suffix: str) -> str:
    """The table as text in one of `FORMATS`: ".md", ".csv", ".json" or ".tex"."""
    return FORMATS[suffix](spec)


def renderer(path: Path) -> Callable[[TableSpec], str]:
    """What writes a table in the format that a file's name asks for.

    Raises:
        UserError: If it is none of `FORMATS`.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: a table is saved as {', '.join(FORMATS)}.")
    return FORMATS[path.suffix]


def json_text(spec: TableSpec) -> str:
    """Title, caption, column names and rows; the columns and numbers are those of the CSV."""
    header, *rows = csv.reader(io.StringIO(csv_text(spec)))
    content = {
        "name": spec.name,
        "title": printable(spec.title),
        "caption": printable(spec.about),
        "rows": [dict(zip(header, row, strict=True)) for row in rows],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


#: What writes a table, by the suffix of its file.
FORMATS: dict[str, Callable[[TableSpec], str]] = {
    ".md": markdown,
    ".csv": csv_text,
    ".json": json_text,
    ".tex": latex,
}


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
                head = _line_up(names, [[columns[i].title] for i in shown], label, widths, shown)
                body = _body(lines, label, widths, shown, under)
                return Group(Text(printable(title), "italic"), Text("\n".join(head), "bold"), *body)
    shown = [i for i in filled if not columns[i].rank]
    return Group(Text(printable(title), "italic"), *_stacked(columns, shown, lines, width))


def _body(
    lines: Sequence[Line], label: int, widths: Sequence[int], shown: Sequence[int], under: bool
) -> Iterator[Text]:
    for line in lines:
        if isinstance(line, str):
            yield Text(printable(line), "bold")
        else:
            parts = [_shown_parts(line[1][i], under) for i in shown]
            yield Text("\n".join(_line_up(line[0], parts, label, widths, shown)))


def _line_up(
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
    name = printable(name)
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
            yield Text(printable(line), "bold")
            continue
        name, values = line
        yield Text(printable(name))
        for i in shown:
            before = f"    {columns[i].title}{' ' * (pad - cell_len(columns[i].title))} "
            (text,) = _shown_parts(values[i], under=False)
            number, *rest = _shown_parts(values[i], cell_len(before) + cell_len(text) > width)
            indents = [min(cell_len(before), max(0, width - cell_len(part))) for part in rest]
            under = [" " * indent + part for indent, part in zip(indents, rest, strict=True)]
            yield Text("\n".join([before + number, *under]))


def _width(column: Column, values: Sequence[Value], under: bool) -> int:
    texts = [part for value in values for part in _shown_parts(value, under)]
    return max(map(cell_len, (column.title, *texts)))


def _shown_parts(value: Value, under: bool) -> list[str]:
    """A number and its interval, in one line or in two."""
    if value is None or isinstance(value, str):
        return [printable(value or ABSENT)]
    parts = [value.number, *([value.range] if value.range else [])]
    return parts if under else [" ".join(parts)]


def say(console: Console, line: str, style: str = "", wrap: bool = False) -> None:
    """Print a sentence; in one line unless it is to be wrapped at the terminal's width."""
    console.print(Text(printable(line), style), soft_wrap=not wrap)


# ------------------------------------------------------------------------------------------------
# Numbers for prose: each has a key, `\bench{KEY}` in LaTeX.

_MACROS = r"""% Needs \usepackage{siunitx}.
% \bench{KEY} is a number as its table shows it, without a unit, and \benchrange{KEY} its interval.
% A key is TABLE/ROW/COLUMN; all.tex lists them. Where \benchrun is defined, it stands before each,
% so that the numbers of several reports differ.
\providecommand{\benchrun}{}
\providecommand*{\benchdefine}[3]{%
  \expandafter\newcommand\expandafter*\csname bench number \benchrun\detokenize{#1}\endcsname{#2}%
  \if\relax\detokenize{#3}\relax\else
    \expandafter\newcommand\expandafter*\csname bench range \benchrun\detokenize{#1}\endcsname{#3}%
  \fi}
\providecommand*{\benchlookup}[2]{%
  \ifcsname bench #1 \detokenize{#2}\endcsname
    {\sisetup{retain-explicit-plus}\csname bench #1 \detokenize{#2}\endcsname}%
  \else
    \PackageError{bench}{There is no #1 with the key '\detokenize{#2}'}%
      {The keys stand in macros.tex, and in all.tex beside what they show.}%
    \textbf{??}%
  \fi}
\DeclareRobustCommand*{\bench}[1]{\benchlookup{number}{#1}}
\DeclareRobustCommand*{\benchrange}[1]{\benchlookup{range}{#1}}
"""


class Cited(NamedTuple):
    """A number that prose can cite."""

    key: str
    value: Measured


def macros(specs: Sequence[TableSpec]) -> str:
    r"""Definitions of `\bench`, `\benchrange` and all their keys.

    An unknown key is an error of LaTeX that names it, and so is the same key in two reports.
    """
    lines = [
        rf"\benchdefine{{{key}}}{{{number_latex(value)}}}{{{interval_latex(value) or ''}}}"
        for key, value in cited(specs)
    ]
    return _MACROS + "\n".join(lines) + "\n"


def cited(specs: Sequence[TableSpec]) -> list[Cited]:
    """All estimates, differences and numbers of the tables, in their order, by unique keys.

    A key is TABLE/ROW/COLUMN: the table's name, the text of the row's first column (joined by that
    of the next text columns where rows would be alike) and the column's name, each made of plain
    characters by `plain`. Keys that are still alike get -2, -3, ... in the order of the table.
    """
    found = [number for spec in specs for number in _keyed(spec)]
    keys = unique(key for key, _ in found)
    return [Cited(key, value) for key, (_, value) in zip(keys, found, strict=True)]


def plain(text: str) -> str:
    """The text in ASCII letters, digits, `.`, `_`, `+` and `-`, which any LaTeX source takes.

    Accents are dropped; another letter or sign outside ASCII becomes its code point, such as
    u4e2d; everything else becomes one `-`, none at either end.
    """
    letters = unicodedata.normalize("NFKD", text)
    bare = (char for char in letters if not unicodedata.combining(char))
    ascii_only = "".join(char if char.isascii() else f"u{ord(char):04x}" for char in bare)
    return re.sub(r"[^A-Za-z0-9._+]+", "-", ascii_only).strip("-") or "-"


def _keyed(spec: TableSpec) -> Iterator[tuple[str, Measured]]:
    for name, row in zip(_row_names(spec), spec.rows, strict=True):
        for header, value in zip(spec.header, row, strict=True):
            if isinstance(value, Measured):
                yield f"{plain(spec.name)}/{name}/{plain(header)}", value


def _row_names(spec: TableSpec) -> list[str]:
    """The first text column, or as many as tell all rows apart."""
    texts = [[_word(value) for value in row] for row in spec.rows]
    columns = [c for c in range(len(spec.header)) if all(text[c] is not None for text in texts)]
    names = ["" for _ in texts]
    for column in [0, *(c for c in columns if c)]:
        names = [
            plain(f"{name} {text[column] or ''}") for name, text in zip(names, texts, strict=True)
        ]
        if len(set(names)) == len(names):
            break
    return names


def _word(value: Value) -> str | None:
    return value if isinstance(value, str) else None


# ------------------------------------------------------------------------------------------------
# Tables as files: Markdown, CSV and LaTeX of each, the macros, and a document of everything.


# Any number of tables makes a document: a page may be all floats, many may wait for theirs, and
# sometimes all that wait are set: LaTeX gives up on a hundred.
_WAITING = 40
_DOCUMENT = r"""% All tables and figures, and all numbers that macros.tex knows: pdflatex all.tex
\documentclass[twocolumn]{article}
\usepackage[margin=1in]{geometry}
\usepackage{booktabs,siunitx,graphicx,array}
\usepackage[font=small]{caption}
\extrafloats{200}
\renewcommand{\topfraction}{0.95}
\renewcommand{\dbltopfraction}{0.95}
\renewcommand{\textfraction}{0.02}
\renewcommand{\floatpagefraction}{0.6}
\renewcommand{\dblfloatpagefraction}{0.6}
\setcounter{topnumber}{9}
\setcounter{dbltopnumber}{9}
\setcounter{totalnumber}{18}
% Short captions: \newcommand{\benchcaption}[2]{#1.}
\begin{document}
\input{macros}
"""
_FIGURE = r"""\begin{figure%(across)s}
  \centering
  \includegraphics[width=%(width).2f\linewidth,height=0.85\textheight,keepaspectratio]{%(path)s}
  \caption[{%(title)s}]{\benchcaption{%(title)s}{%(caption)s}}
  \label{fig:\benchrun %(name)s}
\end{figure%(across)s}
"""
_COLUMN_INCHES = 3.2  # wider figures go across both columns of a page
_LISTING = r"""\clearpage
\onecolumn
\section*{Numbers by key}
Each line has a key, \texttt{\string\bench} of it, and \texttt{\string\benchrange} if there is one.
\par\medskip\footnotesize\raggedright
"""


class PaperFigure(NamedTuple):
    """A figure as `all.tex` has it.

    Attributes:
        name: For its label.
        path: Of the file, from the folder of `all.tex`.
        title: A few words.
        caption: What is drawn.
        inches: Its width.
    """

    name: str
    path: str
    title: str
    caption: str
    inches: float


def write_tables(
    folder: Path,
    specs: Sequence[TableSpec],
    figures: Sequence[PaperFigure] = (),
    labels: Mapping[str, str] | None = None,
) -> None:
    """Write all tables into a folder, made if it is not there.

        NAME.md, NAME.csv, NAME.tex  of each table
        macros.tex                   every number by a key
        all.tex                      an article in two columns of all tables and figures, and of the
                                     keys beside their numbers

    Args:
        folder: Where to.
        specs: Tables with distinct names other than "all" and "macros".
        figures: After the tables of `all.tex`.
        labels: What people read in the place of a classifier's name; programs read the name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for spec in specs:
        read = relabelled(spec.filled(), labels or {})
        for suffix, own in {".md": read, ".csv": spec, ".tex": read}.items():
            (folder / f"{spec.name}{suffix}").write_text(present(own, suffix), encoding="utf-8")
    (folder / "macros.tex").write_text(macros(specs), encoding="utf-8")
    (folder / "all.tex").write_text(_document(specs, figures, labels or {}), encoding="utf-8")


def relabelled(spec: TableSpec, labels: Mapping[str, str]) -> TableSpec:
    """The table with labels in its texts in the place of names; commands to type keep these."""
    shown = relabel(labels)
    typed = {c for c, name in enumerate(spec.header) if name == "command"}
    return replace(
        spec,
        title=shown(spec.title),
        caption=shown(spec.caption),
        where=shown(spec.where),
        remarks=tuple(map(shown, spec.remarks)),
        header=tuple(map(shown, spec.header)),
        rows=tuple(
            tuple(shown(v) if isinstance(v, str) and c not in typed else v for c, v in enumerate(r))
            for r in spec.rows
        ),
    )


def relabel(labels: Mapping[str, str]) -> Callable[[str], str]:
    """Puts labels in the place of the names that stand as words in a text."""
    if not labels:
        return str
    names = "|".join(re.escape(name) for name in sorted(labels, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w/])(?:{names})(?![\w/])")
    return lambda text: pattern.sub(lambda found: labels[found[0]], text)


def _figure(figure: PaperFigure, shown: Callable[[str], str]) -> str:
    wide = figure.inches > _COLUMN_INCHES
    return _FIGURE % {
        "across": "*" if wide else "",
        "width": min(figure.inches / (6.5 if wide else _COLUMN_INCHES), 1.0),
        "path": figure.path,
        "title": latex_text(shown(figure.title)),
        "caption": latex_text(shown(figure.caption)),
        "name": figure.name,
    }


def _document(
    specs: Sequence[TableSpec], figures: Sequence[PaperFigure], labels: Mapping[str, str]
) -> str:
    shown = relabel(labels)
    floats = [rf"\input{{{spec.name}}}" + "\n" for spec in specs]
    floats += [_figure(figure, shown) for figure in figures]
    for end in range(_WAITING, len(floats), _WAITING):
        floats[end] = "\\clearpage\n" + floats[end]
    lines = [_listed(key, bool(value.range)) for key, value in cited(specs)]
    return _DOCUMENT + "".join(floats) + _LISTING + "".join(lines) + "\\end{document}\n"


def _listed(key: str, has_range: bool) -> str:
    """A key, which may be broken between its parts, and what it stands for."""
    parts = (rf"\detokenize{{{part}}}" for part in key.split("/"))
    shown = r"/\allowbreak{}".join(parts)
    interval = rf" \benchrange{{{key}}}" if has_range else ""
    return rf"\texttt{{{shown}}}\quad \bench{{{key}}}{interval}\par" + "\n"
