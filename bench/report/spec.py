"""What a table is, and what may stand in it; `render` and its neighbours write it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.stats import Interval

#: Of every test: what has a smaller adjusted p value is told apart.
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
        caption: Whatever is needed to read the numbers: data set, n, classes, intervals, seed.
        header: Column names, (C,).
        rows: Values, each row (C,).
        marks: By (row, column), what a number is among those of its column.
        chapter: Where it stands in a report.
        seen: By (row, column), numbers under a corruption that the classifier met in training.
    """

    name: str
    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    marks: Mapping[tuple[int, int], Mark] = field(default_factory=dict)
    chapter: Chapter = "provenance"
    seen: frozenset[tuple[int, int]] = frozenset()
