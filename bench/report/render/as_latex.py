r"""Tables as LaTeX: `table` environments of booktabs and siunitx that fit the page."""

import math
import re

from bench.report.render.columns import Measured, bold, ends, holds_text, notes
from bench.report.render.latex_parts import WRAP, Part, header_lines, parts, wrapped
from bench.report.render.latex_text import latex_text
from bench.report.spec import Difference, TableSpec, Value

_HEAD = r"""% Needs \usepackage{booktabs,siunitx,graphicx,array}.
% A number above its interval; define these before the first table for another look.
\providecommand{\benchcell}[2]{\begin{tabular}[t]{@{}c@{}}#1\\[-0.4ex]\scriptsize #2\end{tabular}}
\providecommand{\benchunclear}{\\[-0.4ex]\scriptsize not distinguishable}
% Stands before labels, so that tables of several reports can be told apart.
\providecommand{\benchrun}{}
"""
_SETUP = [
    r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{1ex}",
    r"  \sisetup{retain-explicit-plus, detect-weight}",
]
# Shrinks what is too wide for the column that it stands in, and nothing else.
_FIT = r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
_LONGEST_WORD = 16
_INFINITE = r"\infty"
_TIED, _SEEN = r"\approx", r"\dagger"


def latex(spec: TableSpec) -> str:
    r"""The table as one `table` environment, or several where it is too large for a page.

    Intervals stand in small type under their number. All parts carry the same table number, the
    first one the caption and the label `tab:NAME`. Only ASCII occurs, and the file needs the
    packages booktabs, siunitx, graphicx and array.
    """
    pieces = parts(spec)
    return _HEAD + "\n".join(_table(spec, part, i, len(pieces)) for i, part in enumerate(pieces))


def number_latex(value: Measured) -> str:
    r"""The number as shown, such as `\num{87.3}`; siunitx sets the minus and the spaces."""
    return _number(value.number, math.isfinite(value.value))


def interval_latex(value: Measured) -> str | None:
    r"""The interval as shown, such as `[\num{84.1}, \num{90.0}]`, or None."""
    both = ends(value)
    if both is None or value.interval is None:
        return None
    finite = (math.isfinite(value.interval.low), math.isfinite(value.interval.high))
    low, high = (_number(text, known) for text, known in zip(both, finite, strict=True))
    return f"[{low}, {high}]"


def _number(text: str, finite: bool) -> str:
    r"""`\num` refuses what is not finite."""
    if finite:
        return rf"\num{{{text}}}"
    return f"${text.replace('inf', _INFINITE)}$" if "inf" in text else text


def _table(spec: TableSpec, part: Part, index: int, count: int) -> str:
    names = [_header(spec, column) for column in part.columns]
    stacked = any(
        _is_stacked(spec.rows[row][column]) for row in part.rows for column in part.columns
    )
    end = " \\\\\n  \\addlinespace[0.7ex]\n" if stacked else " \\\\\n"
    rows = ("  " + " & ".join(_value(spec, r, c) for c in part.columns) for r in part.rows)
    body = end.join(rows) if part.rows else rf"  \multicolumn{{{len(names)}}}{{c}}{{no rows}}"
    under = latex_text(" ".join(notes(spec, part.rows, part.columns)))
    lines = [
        r"\begin{table}",
        *_SETUP,
        *_caption(spec, index, count),
        _FIT,
        rf"  \begin{{tabular}}{{@{{}}{''.join(_alignment(spec, c) for c in part.columns)}@{{}}}}",
        r"  \toprule",
        f"  {' & '.join(names)} \\\\",
        r"  \midrule",
        body + r" \\",
        r"  \bottomrule",
        r"  \end{tabular}}",
        *([rf"  \par\smallskip {under}"] if under else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _caption(spec: TableSpec, index: int, count: int) -> list[str]:
    title = latex_text(spec.title)
    if index:
        again = rf"\textbf{{{title}}}, part {index + 1} of {count}."
        return [r"  \addtocounter{table}{-1}", rf"  \caption[]{{{again}}}"]
    more = f" Part 1 of {count}." if count > 1 else ""
    whole = rf"\textbf{{{title}.}} {latex_text(spec.caption)}{more}"
    return [rf"  \caption[{{{title}}}]{{{whole}}}", rf"  \label{{tab:\benchrun {spec.name}}}"]


def _header(spec: TableSpec, column: int) -> str:
    lines = [latex_text(line) for line in header_lines(spec, column)]
    if len(lines) == 1:
        return lines[0]
    side = "l" if holds_text(spec, column) else _alignment(spec, column)
    return rf"\shortstack[{side}]{{{lines[0]}\\{lines[1]}}}"


def _alignment(spec: TableSpec, column: int) -> str:
    """Numbers are padded to equal width and centred, so that their points stand in a line."""
    if wrapped(spec, column):
        return rf">{{\raggedright\arraybackslash}}p{{{WRAP / 2:g}em}}"
    if holds_text(spec, column):
        return "l"
    values = [row[column] for row in spec.rows]
    return "r" if all(value is None or isinstance(value, str) for value in values) else "c"


def _value(spec: TableSpec, row: int, column: int) -> str:
    value = spec.rows[row][column]
    if value is None:
        return "--"
    if isinstance(value, str):
        return _breakable(value) if wrapped(spec, column) else latex_text(value)
    shown = number_latex(value)
    if bold(spec, row, column):
        shown = rf"\textbf{{{shown}}}"
    signs = _TIED if spec.marks.get((row, column)) == "tied" else ""
    signs += _SEEN if (row, column) in spec.seen else ""
    if signs:
        shown += rf"\rlap{{$^{{{signs}}}$}}"
    shown = _padding(spec, column, value) + shown
    under = interval_latex(value)
    if isinstance(value, Difference) and not value.distinguishable:
        under = rf"{under}\benchunclear"
    return rf"\benchcell{{{shown}}}{{{under}}}" if under else shown


def _breakable(text: str) -> str:
    """Text whose long words may be broken after their signs, and after a run of letters."""
    words = []
    for word in text.split():
        whole = len(word) <= _LONGEST_WORD
        pieces = [word] if whole else re.findall(r"[^\W_]{1,12}[\W_]?|[\W_]", word)
        words.append(r"\allowbreak{}".join(map(latex_text, pieces)))
    return " ".join(words)


def _is_stacked(value: Value) -> bool:
    return isinstance(value, Measured) and ends(value) is not None


def _padding(spec: TableSpec, column: int, value: Measured) -> str:
    """Invisible digits before the number, as many as the longest of its column has more."""
    values = [row[column] for row in spec.rows]
    most = max(_places(v) for v in values if isinstance(v, Measured))
    missing = most - _places(value)
    return rf"\phantom{{{'0' * missing}}}" if missing else ""


def _places(value: Measured) -> int:
    return len(re.sub(r"\..*", "", value.number))
