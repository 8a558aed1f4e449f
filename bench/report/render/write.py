"""Tables as files: Markdown, CSV and LaTeX of each, the macros, and a document of everything."""

from collections.abc import Sequence
from pathlib import Path

from bench.report.render.as_csv import csv_text
from bench.report.render.as_latex import latex
from bench.report.render.as_markdown import markdown
from bench.report.render.macros import cited, macros
from bench.report.spec import TableSpec

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
