r"""Every number of the tables by a key, so that prose can cite it: `\bench{KEY}`."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.report.render.latex import interval_latex, latex, number_latex
from bench.report.render.text import Measured, csv_text, markdown, unique
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


# ------------------------------------------------------------------------------------------------
# Tables as files: Markdown, CSV and LaTeX of each, the macros, and a document of everything.


# Tables stand where they are put in, so that any number of them makes a document.
_DOCUMENT = r"""% All tables and all numbers that macros.tex knows: pdflatex all.tex
\documentclass{article}
\usepackage[margin=1in]{geometry}
\usepackage{booktabs,siunitx,graphicx,array}
\usepackage[font=small]{caption}
\makeatletter
\renewenvironment{table}{\par\noindent\begin{minipage}{\linewidth}\def\@captype{table}}%
  {\end{minipage}\par\vspace{4ex plus 2ex}}
\makeatother
\begin{document}
\input{macros}
"""
_LISTING = r"""\clearpage
\section*{Numbers by key}
Each line has a key, \texttt{\string\bench} of it, and \texttt{\string\benchrange} if there is one.
\par\medskip\footnotesize\raggedright
"""


def write_tables(folder: Path, specs: Sequence[TableSpec]) -> None:
    """Write all tables into a folder, made if it is not there.

        NAME.md, NAME.csv, NAME.tex  of each table
        macros.tex                   every number by a key
        all.tex                      a document of all tables, and of the keys beside their numbers

    Args:
        folder: Where to.
        specs: Tables with distinct names other than "all" and "macros".
    """
    folder.mkdir(parents=True, exist_ok=True)
    for spec in specs:
        for suffix, render in ((".md", markdown), (".csv", csv_text), (".tex", latex)):
            (folder / f"{spec.name}{suffix}").write_text(render(spec), encoding="utf-8")
    (folder / "macros.tex").write_text(macros(specs), encoding="utf-8")
    (folder / "all.tex").write_text(_document(specs), encoding="utf-8")


def _document(specs: Sequence[TableSpec]) -> str:
    tables = "".join(rf"\input{{{spec.name}}}" + "\n" for spec in specs)
    lines = [_line(key, bool(value.range)) for key, value in cited(specs)]
    return _DOCUMENT + tables + _LISTING + "".join(lines) + "\\end{document}\n"


def _line(key: str, has_range: bool) -> str:
    """A key, which may be broken between its parts, and what it stands for."""
    parts = (rf"\detokenize{{{part}}}" for part in key.split("/"))
    shown = r"/\allowbreak{}".join(parts)
    interval = rf" \benchrange{{{key}}}" if has_range else ""
    return rf"\texttt{{{shown}}}\quad \bench{{{key}}}{interval}\par" + "\n"
