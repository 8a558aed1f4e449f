"""Numbers of tables with two-level intervals."""

from math import exp, inf

import numpy as np

from bench.bootstrap import two_level
from bench.metrics import Scores
from bench.report.spec import Number
from bench.stats import Interval

#: For captions of tables with such numbers.
ALIKE = "A number that all its pictures agree on, or that has one picture, has no interval."


def bootstrapped(
    value: float,
    scores: Scores,
    bounds: tuple[float, float],
    digits: int = 1,
    factor: float = 100.0,
) -> Number:
    """A number with its interval; without one if it has no width, as scores do not differ.

    Args:
        value: The number.
        scores: Whose mean it is (`bench.metrics.influence`), (k, N).
        bounds: What the interval cannot pass.
        digits: Decimals to show.
        factor: What is shown of it: 100 for percent.
    """
    if scores.shape[1] == 1 or np.ptp(scores) < 1e-12:
        return Number(factor * value, digits)
    found = two_level(scores, bounds=bounds)
    return Number(factor * value, digits, Interval(factor * found.low, factor * found.high))


def bootstrapped_ratio(value: float, scores: Scores) -> Number:
    """A ratio in percent, with an interval on the logarithmic scale if it can be told from 0.

    A denominator is uncertain, too, so that what lies above a ratio reaches farther than what lies
    below it; its logarithm is less skewed.

    Args:
        value: The ratio.
        scores: Whose mean it is (`bench.metrics.ratio_scores`), (k, N).
    """
    plain = bootstrapped(value, scores, (-inf, inf))
    if plain.interval is None or plain.interval.low <= 0:
        return plain
    found = two_level(scores / value)
    low, high = (100 * value * exp(end - 1) for end in (found.low, found.high))
    return Number(100 * value, 1, Interval(low, high))


def above_zero(scores: Scores) -> bool:
    """Whether a mean can be told from 0: only such a one makes a denominator.

    A ratio to what may be 0 has no bounded interval (E. C. Fieller, "Some problems in interval
    estimation", Journal of the Royal Statistical Society B 16, 1954).
    """
    return scores.shape[1] > 1 and two_level(scores).low > 0
