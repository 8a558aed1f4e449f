"""What a table is, and what may stand in it; `render` and its neighbours write it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

from bench.stats import Interval

#: Of every test: what has a smaller adjusted p value is distinguishable.
LEVEL = 0.05

#: How a number compares with the others of its column: alone at the top, or not distinguishable
#: from the top. Other numbers have no mark, and neither has a column that is not ranked.
Mark = Literal["best", "tied"]

#: Of a report, in order; `chapters` has their titles.
Chapter = Literal[
    "data",
    "clean",
    "corruptions",
    "attacks",
    "confidence",
    "groups",
    "emodc",
    "ablation",
    "diagnostics",
    "provenance",
]


@dataclass(frozen=True)
class AccuracyEstimate:
    """An accuracy with its interval, both fractions in [0, 1]; as text in percent."""

    value: float
    interval: Interval

    def __str__(self) -> str:
        """Such as "87.3 [84.1, 90.0]"."""
        return f"{self.number} {self.range}"

    @property
    def number(self) -> str:
        """The accuracy in percent, such as "87.3"."""
        return f"{100 * self.value:.1f}"

    @property
    def range(self) -> str:
        """The interval in percent, such as "[84.1, 90.0]"."""
        return f"[{100 * self.interval.low:.1f}, {100 * self.interval.high:.1f}]"


@dataclass(frozen=True)
class Difference:
    """A difference of two accuracies with its interval, both fractions; as text in points.

    Attributes:
        value: First less second.
        interval: Of it.
        p: Adjusted p value of a test, if one was made beside the interval.
    """

    value: float
    interval: Interval
    p: float | None = None

    def __str__(self) -> str:
        """Such as "+1.3 [0.4, 2.2]"; says so where the interval holds 0."""
        text = f"{self.number} {self.range}"
        return text if self.distinguishable else f"{text} not distinguishable"

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves 0 out, and the test, if there is one, agrees."""
        outside = not self.interval.low <= 0 <= self.interval.high
        return outside and (self.p is None or self.p < LEVEL)

    @property
    def number(self) -> str:
        """The difference in points, with its sign, such as "+1.3"."""
        return f"{round(100 * self.value, 1) + 0.0:+.1f}"

    @property
    def range(self) -> str:
        """The interval in points, such as "[0.4, 2.2]"."""
        return f"[{100 * self.interval.low:.1f}, {100 * self.interval.high:.1f}]"


@dataclass(frozen=True)
class Number:
    """Any other number, shown as it is: an error of calibration, an mCE, a count of evaluations.

    Attributes:
        value: The number.
        digits: Decimals to show.
        interval: Of it, if it has one, in the same unit.
    """

    value: float
    digits: int
    interval: Interval | None = None

    def __str__(self) -> str:
        """Such as "0.123" or "0.123 [0.101, 0.150]"."""
        return f"{self.number} {self.range}" if self.range else self.number

    @property
    def number(self) -> str:
        """Such as "0.123"."""
        return _text(self.value, self.digits)

    @property
    def range(self) -> str:
        """Such as "[0.101, 0.150]", or nothing."""
        if self.interval is None:
            return ""
        low, high = (_text(end, self.digits) for end in (self.interval.low, self.interval.high))
        return f"[{low}, {high}]"


def _text(value: float, digits: int) -> str:
    """Rounded, and without the sign of a rounded zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def p_text(p: float) -> str:
    """A p value with three decimals, such as "0.023" or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


#: Values with a number to cite.
Measured = AccuracyEstimate | Difference | Number
#: How None is shown.
ABSENT = "–"
#: None: not applicable, or not measured.
Value = str | AccuracyEstimate | Difference | Number | None


@dataclass(frozen=True)
class TableSpec:
    """A table.

    Attributes:
        name: Base of its file names, unique in a report.
        title: A few words.
        caption: What is shown, n, intervals; at most 40 words. Methods are in docs/statistics.md.
        header: Column names, (C,).
        rows: Values, each row (C,).
        marks: By (row, column), what a number is among those of its column.
        chapter: Where it stands in a report.
        seen: By (row, column), numbers under a corruption that the classifier met in training.
        remarks: Sentences on what is particular to these rows, such as what was left out.
    """

    name: str
    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    marks: Mapping[tuple[int, int], Mark] = field(default_factory=dict)
    chapter: Chapter = "provenance"
    seen: frozenset[tuple[int, int]] = frozenset()
    remarks: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """Caption and remarks."""
        return " ".join([self.caption, *self.remarks])

    def filled(self) -> "TableSpec":
        """Without the columns in which no row has anything."""
        kept = [
            c
            for c in range(len(self.header))
            if not c or not self.rows or any(row[c] is not None for row in self.rows)
        ]
        place = {old: new for new, old in enumerate(kept)}
        return replace(
            self,
            header=tuple(self.header[c] for c in kept),
            rows=tuple(tuple(row[c] for c in kept) for row in self.rows),
            marks={(r, place[c]): mark for (r, c), mark in self.marks.items() if c in place},
            seen=frozenset((r, place[c]) for r, c in self.seen if c in place),
        )


# ------------------------------------------------------------------------------------------------
# What all formats of a table share: kinds of columns, notes on marks, names made unique.

TIED = "≈"
SEEN = "†"
SEEN_NOTE = "seen in training: the classifier was trained with this corruption, or one alike."
TIED_NOTE = "not distinguishable from the best of its column."

_LOOKS_LIKE_A_NUMBER = re.compile(r"[-+<>=≈ ]*\d[\d.,]*(\W|$)")


def ends(value: Measured) -> tuple[str, str] | None:
    """Both ends of the value's interval as shown, or None if it has none."""
    low, comma, high = value.range.strip("[]").partition(", ")
    return (low, high) if comma else None


def holds_text(spec: TableSpec, column: int) -> bool:
    """Whether the column is to be read from the left: the first one, and any that holds words."""
    values = [row[column] for row in spec.rows]
    words = (v for v in values if isinstance(v, str) and not _LOOKS_LIKE_A_NUMBER.match(v))
    return column == 0 or any(words)


def bold(spec: TableSpec, row: int, column: int) -> bool:
    """Whether the number is alone at the top, or a difference that is distinguishable from 0."""
    value = spec.rows[row][column]
    if isinstance(value, Difference) and value.distinguishable:
        return True
    return spec.marks.get((row, column)) == "best"


def notes(spec: TableSpec, rows: Iterable[int], columns: Iterable[int]) -> list[str]:
    """What bold type and the signs mean where they occur in these rows and columns."""
    cells = list(product(rows, columns))
    values = [spec.rows[row][column] for row, column in cells]
    found = {spec.marks.get(cell) for cell in cells}
    said = ["Bold: the best of its column."] if "best" in found else []
    if any(isinstance(value, Difference) and value.distinguishable for value in values):
        said.append("Bold difference: distinguishable from 0.")
    said += [f"{TIED}: {TIED_NOTE}"] if "tied" in found else []
    return said + ([f"{SEEN}: {SEEN_NOTE}"] if spec.seen.intersection(cells) else [])


def unique(names: Iterable[str]) -> list[str]:
    """The names, where a repeated one gets the first free of -2, -3, ... in their order.

    A name that is in the list as it stands keeps it, whatever else is made of its neighbours.
    """
    names = list(names)
    taken, met, found = set(names), set[str](), []
    for name in names:
        fresh, number = name, 2
        while fresh in met or (fresh != name and fresh in taken):
            fresh, number = f"{name}-{number}", number + 1
        met.add(fresh)
        found.append(fresh)
    return found
