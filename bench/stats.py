"""Uncertainty of what the bench reports: pure functions on numbers."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval, in the unit of the estimate it belongs to."""

    low: float
    high: float


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion, without continuity correction.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927): the proportions that a score test at level 1 - confidence does not reject. Unlike the
    normal approximation it stays inside [0, 1] and is not empty at 0 or n successes.

    A fractional number of successes is a sum of n scores in [0, 1], such as the share of severities
    at which an image is recognised. Scores with mean p vary by at most p (1 - p) (Bhatia and Davis,
    "A better bound on the variance", 2000), the variance assumed here, so the interval of such a
    mean is too wide rather than too narrow.

    Args:
        successes: Number of successes, in [0, n].
        n: Number of independent trials, at least 1.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval of the proportion, inside [0, 1].

    Raises:
        ValueError: If an argument is outside its range.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials are not a proportion")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), not {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At the ends the bound is exactly 0 or 1; rounding must not put it beside the estimate.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)
