"""Percentages that are no plain means, with two-level intervals."""

from bench.bootstrap import two_level
from bench.metrics import Scores
from bench.report.spec import Number
from bench.stats import Interval


def above_zero(scores: Scores) -> bool:
    """Whether a mean can be told from 0: only such a one makes a denominator.

    A ratio to what may be 0 has no bounded interval (E. C. Fieller, "Some problems in interval
    estimation", Journal of the Royal Statistical Society B 16, 1954).
    """
    return scores.shape[1] > 1 and two_level(scores).low > 0


def percent(value: float, scores: Scores, bounds: tuple[float, float]) -> Number:
    """A fraction in percent, with an interval.

    Args:
        value: The fraction.
        scores: Whose mean it is (`bench.metrics.influence`), (k, N).
        bounds: Fractions that it cannot pass.
    """
    interval = two_level(scores, bounds=bounds)
    return Number(100 * value, 1, Interval(100 * interval.low, 100 * interval.high))
