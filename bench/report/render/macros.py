r"""Every number of the tables by a key, so that prose can cite it: `\bench{KEY}`."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.report.render.as_latex import interval_latex, number_latex
from bench.report.render.columns import Measured, unique
from bench.report.spec import TableSpec, Value

_HEAD = r"""% Needs \usepackage{siunitx}.
% \bench{KEY} is a number as its table shows it, without a unit, and \benchrange{KEY} its interval.
% A key is TABLE/ROW/COLUMN; all.tex lists them. Where \benchrun is defined, it stands before each,
% so that the numbers of several reports can be told apart.
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
    return _HEAD + "\n".join(lines) + "\n"


def cited(specs: Sequence[TableSpec]) -> list[Cited]:
    """All estimates, differences and numbers of the tables, in their order, by unique keys.

    A key is TABLE/ROW/COLUMN: the table's name, the text of the row's first column (joined by that
    of the next text columns where rows would be alike) and the column's name, each made of plain
    characters by `plain`. Keys that are still alike get -2, -3, ... in the order of the table.
    """
    found = [number for spec in specs for number in _numbers(spec)]
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


def _numbers(spec: TableSpec) -> Iterator[tuple[str, Measured]]:
    for name, row in zip(_row_names(spec), spec.rows, strict=True):
        for header, value in zip(spec.header, row, strict=True):
            if isinstance(value, Measured):
                yield f"{plain(spec.name)}/{name}/{plain(header)}", value


def _row_names(spec: TableSpec) -> list[str]:
    """The first text column, or as many as tell all rows apart."""
    texts = [[_text(value) for value in row] for row in spec.rows]
    columns = [c for c in range(len(spec.header)) if all(text[c] is not None for text in texts)]
    names = ["" for _ in texts]
    for column in [0, *(c for c in columns if c)]:
        names = [
            plain(f"{name} {text[column] or ''}") for name, text in zip(names, texts, strict=True)
        ]
        if len(set(names)) == len(names):
            break
    return names


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
