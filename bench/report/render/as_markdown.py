"""Tables as Markdown, in the dialect with pipes that GitHub and most others read."""

import re
from collections.abc import Iterable

from bench.report.render.columns import SEEN, TIED, bold, holds_text, notes
from bench.report.spec import ABSENT, Difference, TableSpec


def markdown(spec: TableSpec) -> str:
    """A heading, the table, its caption and what its signs mean."""
    columns = range(len(spec.header))
    rules = ["---" if holds_text(spec, column) else "---:" for column in columns]
    lines = [f"### {markdown_text(spec.title)}", "", _row(map(markdown_text, spec.header))]
    lines += [_row(rules)]
    lines += [
        _row(_value(spec, row, column) for column in columns) for row in range(len(spec.rows))
    ]
    about = markdown_text(" ".join([spec.caption, *notes(spec, range(len(spec.rows)), columns)]))
    lines += ["", f"*{about}*", ""]
    return "\n".join(lines)


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, in one line; no markup, link, entity or formula in it."""
    return re.sub(r"([\\|*_<>`\[\]&~#$])", r"\\\1", " ".join(text.split()))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _value(spec: TableSpec, row: int, column: int) -> str:
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
