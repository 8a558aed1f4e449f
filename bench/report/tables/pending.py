"""Numbers whose intervals are drawn for a whole table at once, which is many times faster."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.bootstrap import two_level, two_levels
from bench.metrics import Scores
from bench.report.spec import Number, Value
from bench.stats import Interval

#: For captions of tables with such numbers.
ALIKE = "A number that all its pictures agree on, or that has one picture, has no interval."


@dataclass(frozen=True, eq=False)
class Pending:
    """A number that waits for its two-level interval.

    Attributes:
        value: The number.
        scores: Whose mean it is (`bench.metrics.influence`), (k, N).
        bounds: What the interval cannot pass.
        digits: Decimals to show.
        factor: What is shown of it: 100 for percent.
    """

    value: float
    scores: Scores
    bounds: tuple[float, float]
    digits: int = 1
    factor: float = 100.0

    def shown(self, interval: Interval | None) -> Number:
        """The number with its interval."""
        if interval is not None:
            interval = Interval(self.factor * interval.low, self.factor * interval.high)
        return Number(self.factor * self.value, self.digits, interval)


Row = tuple[Value | Pending, ...]


def drawn(rows: Sequence[Row]) -> list[tuple[Value, ...]]:
    """The rows with every interval."""
    waiting = [v for row in rows for v in row if isinstance(v, Pending) and _varies(v.scores)]
    found = iter(two_levels([v.scores for v in waiting], [v.bounds for v in waiting]))
    intervals = {id(v): interval for v, interval in zip(waiting, found, strict=True)}
    return [
        tuple(v.shown(intervals.get(id(v))) if isinstance(v, Pending) else v for v in row)
        for row in rows
    ]


def above_zero(scores: Scores) -> bool:
    """Whether a mean can be told from 0: only such a one makes a denominator.

    A ratio to what may be 0 has no bounded interval (E. C. Fieller, "Some problems in interval
    estimation", Journal of the Royal Statistical Society B 16, 1954).
    """
    return scores.shape[1] > 1 and two_level(scores).low > 0


def _varies(scores: Scores) -> bool:
    return scores.shape[1] > 1 and bool(np.ptp(scores) > 1e-12)
