"""Any text as LaTeX that pdflatex sets in every font encoding; plain ASCII comes out."""

import math
import re
import unicodedata
from math import ceil
from typing import NamedTuple

from bench.report.outcomes import Difference
from bench.report.spec import Measured, TableSpec, Value, bold, ends, holds_text, notes

_ASCII = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",  # straight: in text type it would be a closing quote
    "`": r"\`{}",
    # Harmless in a sentence, but read as an option or a star after the \\ of the row before.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
} | {char: f"\\{char}" for char in "_%&#"}

# What Computer Modern has: signs from elsewhere would be bitmaps, which publishers refuse.
_LETTERS = {
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}",
    "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "ȷ": r"\j{}",
    "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\dots{}",
    "¡": r"\textexclamdown{}", "¿": r"\textquestiondown{}",
}  # fmt: skip
_MATH = {
    "≈": r"\approx", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "−": "-", "±": r"\pm",
    "×": r"\times", "·": r"\cdot", "÷": r"\div", "→": r"\rightarrow", "←": r"\leftarrow",
    "∞": r"\infty", "°": r"^{\circ}", "²": "^{2}", "³": "^{3}", "«": r"\ll", "»": r"\gg",
    "•": r"\bullet", "µ": r"\mu", "ℓ": r"\ell", "∈": r"\in", "√": r"\surd",
    "§": r"\mathsection", "¶": r"\mathparagraph", "†": r"\dagger", "‡": r"\ddagger",
    "£": r"\mathsterling", "$": r"\mathdollar",
}  # fmt: skip
_GREEK = {
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma",
    "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "α": "alpha", "β": "beta",
    "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi",
    "ρ": "rho", "ς": "varsigma", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "varphi",
    "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_LATIN_SHAPED = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d",
    "\u0327": "c", "\u0331": "b",
}  # fmt: skip
_GREEK_ACCENTS = {"\u0301": "acute", "\u0308": "ddot"}


def latex_text(text: str) -> str:
    """Text that LaTeX shows as it is, in one line.

    ASCII, Latin letters with an accent, Greek and some signs are set; any other character, such as
    Chinese, an emoji or a control character, is shown as its code point: [U+4E2D]. The words d_p,
    d_n and d_nn become formulas.
    """
    whole = unicodedata.normalize("NFC", " ".join(text.split()))
    shown = "".join(map(_character, whole))
    # Two of these in a row would be drawn as another sign, such as a dash.
    shown = re.sub(r"([',\0])(?=\1)", r"\1{}", shown).replace("\0", "-")
    return re.sub(r"\bd\\_(p|nn?)\b", r"$d_{\1}$", shown)


def _character(char: str) -> str:
    if char in _ASCII or char in _LETTERS:
        return _ASCII.get(char) or _LETTERS[char]
    if char in _MATH:
        return rf"\ensuremath{{{_MATH[char]}}}"
    if char == "-":
        return "\0"  # until dashes are told from hyphens
    if char.isascii() and char.isprintable():
        return char
    return _accented(char) or f"{{[}}U+{ord(char):04X}{{]}}"


def _accented(char: str) -> str | None:
    """A Greek letter, or a letter with one accent; None for others."""
    parts = unicodedata.normalize("NFD", char)
    base, accents = _LATIN_SHAPED.get(parts[0], parts[0]), parts[1:]
    if base in _GREEK:
        letter = f"\\{_GREEK[base]}"
        for accent in accents:
            if accent not in _GREEK_ACCENTS:
                return None
            letter = rf"\{_GREEK_ACCENTS[accent]}{{{letter}}}"
        return rf"\ensuremath{{{letter}}}"
    if not base.isascii() or not base.isalpha() or len(accents) > 1:
        return None
    if not accents:
        return base
    if accents[0] not in _ACCENTS:
        return None
    return rf"\{_ACCENTS[accents[0]]}{{{base}}}"


# ------------------------------------------------------------------------------------------------
# How a table is cut to the page: widths guessed, columns wrapped, parts that fit.


# Widths of the text in points: of an A4 or letter page with margins of one inch, and of one of
# two columns there.
_PAGE_WIDTH = 460.0
_COLUMN_WIDTH = 225.0
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


# ------------------------------------------------------------------------------------------------
# Tables as LaTeX: `table` environments of booktabs and siunitx that fit the page.


_HEAD = r"""% Needs \usepackage{booktabs,siunitx,graphicx,array}.
% A number above its interval; define these before the first table for another look.
\providecommand{\benchcell}[2]{\begin{tabular}[t]{@{}c@{}}#1\\[-0.4ex]\scriptsize #2\end{tabular}}
\providecommand{\benchunclear}{\\[-0.4ex]\scriptsize not distinguishable}
% A caption: title and text. For short ones: \newcommand{\benchcaption}[2]{#1.}
\providecommand{\benchcaption}[2]{\textbf{#1.} #2}
% Stands before labels, so that tables of several reports differ.
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
    # Across both columns of an article, all parts of a table alike: else their order may change.
    wide = sum(_width(spec, column) for column in range(len(spec.header)))
    across = "*" if wide > _COLUMN_WIDTH / _SMALLEST else ""
    lines = [
        rf"\begin{{table{across}}}",
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
        rf"\end{{table{across}}}",
    ]
    return "\n".join(lines) + "\n"


def _caption(spec: TableSpec, index: int, count: int) -> list[str]:
    title = latex_text(spec.title)
    if index:
        again = rf"\textbf{{{title}}}, part {index + 1} of {count}."
        return [r"  \addtocounter{table}{-1}", rf"  \caption[]{{{again}}}"]
    more = f" Part 1 of {count}." if count > 1 else ""
    whole = rf"\benchcaption{{{title}}}{{{latex_text(spec.about)}{more}}}"
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
