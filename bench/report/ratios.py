"""Ratios of means over the same pictures, with two-level intervals."""

import numpy as np
from numpy.typing import NDArray

from bench.bootstrap import two_level
from bench.report.spec import Number
from bench.stats import Interval

Scores = NDArray[np.float64]


def above_zero(scores: Scores) -> bool:
    """Whether a mean can be told from 0: only such a one makes a denominator.

    A ratio to what may be 0 has no bounded interval (E. C. Fieller, "Some problems in interval
    estimation", Journal of the Royal Statistical Society B 16, 1954).
    """
    return scores.shape[1] > 1 and two_level(scores).low > 0


def percent(value: float, scores: Scores, bounds: tuple[float, float]) -> Number:
    """A fraction in percent, with the two-level interval of scores that mean it, inside `bounds`."""
    interval = two_level(scores, bounds=bounds)
    return Number(100 * value, 1, Interval(100 * interval.low, 100 * interval.high))
