"""Tables written as Markdown, CSV and LaTeX."""

import csv
import io
import re

from bench.report.spec import Difference, Estimate, TableSpec, Value

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    # Harmless in a sentence, but read as an option or a star after the \\ of the row before.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
} | {char: f"\\{char}" for char in "_%&#$"}


def markdown(spec: TableSpec) -> str:
    """A heading, the table, its caption."""
    lines = [f"## {markdown_text(spec.title)}", "", _markdown_row(spec.header)]
    lines.append("|" + " --- |" + " ---: |" * (len(spec.header) - 1))
    lines += [_markdown_row(row) for row in spec.rows]
    lines += ["", f"*{markdown_text(spec.caption)}*", ""]
    return "\n".join(lines)


def csv_text(spec: TableSpec) -> str:
    """The header and the values as shown; an empty field for None.

    For reading by eye or in a spreadsheet: `summary.csv` has the bare numbers.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(spec.header)
    writer.writerows([["" if value is None else str(value) for value in row] for row in spec.rows])
    return text.getvalue()


def latex(spec: TableSpec) -> str:
    r"""A `table` environment that needs `\usepackage{booktabs}` and nothing else.

    Intervals stand in small type under their accuracy, so that a sweep of five severities fits on
    a page.
    """
    columns = "l" + "r" * (len(spec.header) - 1)
    body = [f"  {' & '.join(_latex_value(value) for value in row)} \\\\" for row in spec.rows]
    lines = [
        r"\begin{table}[t]",
        r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"  \caption{{{_latex_text(spec.caption)}}}",
        rf"  \label{{tab:{spec.name}}}",
        rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"  \toprule",
        f"  {' & '.join(_latex_text(name) for name in spec.header)} \\\\",
        r"  \midrule",
        *body,
        r"  \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(values: tuple[Value, ...]) -> str:
    return "| " + " | ".join(_markdown_value(value) for value in values) + " |"


def _markdown_value(value: Value) -> str:
    """A difference in bold only where its interval leaves 0 out."""
    if isinstance(value, Difference) and value.distinguishable:
        return f"**{value.number}** {value.range}"
    return markdown_text(_shown(value))


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\|*_<>`])", r"\\\1", text)


def _latex_value(value: Value) -> str:
    if isinstance(value, Estimate):
        return rf"\shortstack{{{value.number}\\{{\tiny {value.range}}}}}"
    if isinstance(value, Difference):
        if value.distinguishable:
            return rf"\shortstack{{\textbf{{{value.number}}}\\{{\tiny {value.range}}}}}"
        about = r"{\tiny not distinguishable}"
        return rf"\shortstack{{{value.number}\\{{\tiny {value.range}}}\\{about}}}"
    return _latex_text(_shown(value))


def _latex_text(text: str) -> str:
    escaped = "".join(_LATEX.get(char, char) for char in text)
    return re.sub(r"\bd\\_p\b", "$d_p$", escaped)


def _shown(value: Value) -> str:
    return "–" if value is None else str(value)
