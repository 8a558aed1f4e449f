"""Ratios of means over the same pictures, with two-level intervals."""

import numpy as np
from numpy.typing import NDArray

from bench.bootstrap import two_level
from bench.report.spec import Number
from bench.stats import Interval

Scores = NDArray[np.float64]


def influence(first: Scores, second: Scores) -> Scores:
    """What each picture contributes to the ratio of two means, as scores whose mean is the ratio.

    The ratio's linear expansion r + (x - r y) / mean(y), whose error is of the order of 1 / N (the
    infinitesimal jackknife; Efron and Tibshirani, "An introduction to the bootstrap", 1993, ch.
    21). The bootstrap of a ratio of means, both resampled together, is that of these scores.

    Args:
        first: x, (k, N).
        second: y, (k, N) of the same seeds or (1, N), with a mean other than 0.

    Returns:
        (k, N).
    """
    unit = float(second.mean())
    ratio = float(first.mean()) / unit
    return np.asarray(ratio + (first - ratio * second) / unit)


def above_zero(scores: Scores) -> bool:
    """Whether a mean can be told from 0: only such a one makes a denominator.

    A ratio to what may be 0 has no bounded interval (E. C. Fieller, "Some problems in interval
    estimation", Journal of the Royal Statistical Society B 16, 1954).
    """
    return scores.shape[1] > 1 and two_level(scores).low > 0


def percent(value: float, scores: Scores, bounds: tuple[float, float]) -> Number:
    """A fraction in percent, with the two-level interval of its `influence`, inside `bounds`."""
    interval = two_level(scores, bounds=bounds)
    return Number(100 * value, 1, Interval(100 * interval.low, 100 * interval.high))
