"""Intervals of proportions, of their difference and of their range: pure functions on numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import sqrt
from statistics import NormalDist

from scipy.special import betaincinv


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
    _check(successes, n, confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At the ends the bound is exactly 0 or 1; rounding must not put it beside the estimate.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Clopper and Pearson's exact interval of a proportion.

    C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the
    case of the binomial", Biometrika 26 (1934): the proportions under which neither so few nor so
    many successes have a chance below (1 - confidence) / 2. Its ends are quantiles of beta
    distributions. It covers at least as often as it says for every proportion and n, and usually
    more often; Wilson's covers as often as it says on average.

    Args:
        successes: Number of successes, in [0, n].
        n: Number of independent trials, at least 1.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval of the proportion, inside [0, 1].

    Raises:
        ValueError: If an argument is outside its range.
    """
    _check(successes, n, confidence)
    tail = (1 - confidence) / 2
    failures = n - successes
    low = betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return Interval(float(low), float(high))


def newcombe(successes: float, n: int, others: float, m: int, confidence: float = 0.95) -> Interval:
    """Interval of the difference of two independent proportions, successes / n - others / m.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions:
    comparison of eleven methods", Statistics in Medicine 17 (1998), method 10: distances from each
    proportion to its Wilson limits, in quadrature. Of the same samples under two classifiers it
    would be wrong: those are paired (`bench.bootstrap.paired_bootstrap`).

    Args:
        successes: Successes of the first, in [0, n].
        n: Number of the first's independent trials, at least 1.
        others: Successes of the second, in [0, m].
        m: Number of the second's independent trials, at least 1.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval of the difference, inside [-1, 1].

    Raises:
        ValueError: If an argument is outside its range.
    """
    one, other = wilson(successes, n, confidence), wilson(others, m, confidence)
    return _difference(successes / n, one, others / m, other)


def range_of_proportions(
    successes: Sequence[float], n: Sequence[int], confidence: float = 0.95
) -> Interval:
    """Interval of the largest minus the smallest of G independent proportions: worst-best gap.

    Which groups come out best and worst is chosen by the data, so an interval of their difference
    alone would not cover. All G (G - 1) / 2 differences get Newcombe intervals at Bonferroni's
    level, which hold together with at least the confidence. Where they do, the true gap is one of
    the differences, so it is not above the largest upper limit, and it is no smaller than any
    difference, so not below the largest lower limit: whichever groups they are. The price is an
    interval that covers more often than it says.

    Args:
        successes: Successes of each group, in [0, n], (G,).
        n: Number of each group's independent trials, at least 1, (G,).
        confidence: Coverage at least, in (0, 1).

    Returns:
        The interval of the gap, inside [0, 1].

    Raises:
        ValueError: If there are fewer than two groups, the lengths differ, or an argument is
            outside its range.
    """
    if len(successes) != len(n) or len(n) < 2:
        raise ValueError(f"a gap is between two groups or more, not {len(successes)}, {len(n)}")
    each = 1 - (1 - confidence) / (len(n) * (len(n) - 1) / 2)
    groups = [(x / m, wilson(x, m, each)) for x, m in zip(successes, n, strict=True)]
    pairs = [_difference(*one, *other) for one, other in permutations(groups, 2)]
    return Interval(max(0.0, *(pair.low for pair in pairs)), max(pair.high for pair in pairs))


def mean_of_proportions(
    successes: Sequence[int], trials: Sequence[int], confidence: float = 0.95
) -> Interval:
    """Interval of the unweighted mean of independent proportions, such as of class recalls (UAR).

    G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general
    approach", Statistics in Medicine 27 (2008), eq. 3 (MOVER): distances of the proportions' own
    limits, here Wilson's, add as squares, lower and upper apart. Unlike the normal approximation it
    is not empty where every proportion is 0 or 1.

    Args:
        successes: Number of successes of each proportion, (K,), at least one proportion.
        trials: Number of trials of each, (K,).
        confidence: Coverage, in (0, 1).

    Raises:
        ValueError: If there is no proportion, the lengths differ, or one is not a proportion.
    """
    if not len(successes):
        raise ValueError("no proportions: nothing to average")
    pairs = list(zip(successes, trials, strict=True))
    own = [wilson(s, n, confidence) for s, n in pairs]
    mean = sum(s / n for s, n in pairs) / len(pairs)
    below = sqrt(sum((s / n - i.low) ** 2 for (s, n), i in zip(pairs, own, strict=True)))
    above = sqrt(sum((i.high - s / n) ** 2 for (s, n), i in zip(pairs, own, strict=True)))
    return Interval(max(0.0, mean - below / len(pairs)), min(1.0, mean + above / len(pairs)))


def no_discordance(n: int, confidence: float = 0.95) -> Interval:
    """Interval of a difference of two proportions on the same samples that none tells apart.

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17 (1998): his score interval, which has
    z^2 / (n + z^2) for its limits where no sample is discordant. A bootstrap has no width then.

    Args:
        n: Number of samples, at least 1.
        confidence: Coverage, in (0, 1).

    Raises:
        ValueError: If an argument is outside its range.
    """
    _check(0, n, confidence)
    square = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    return Interval(-square / (n + square), square / (n + square))


def _difference(p: float, one: Interval, q: float, other: Interval) -> Interval:
    """Newcombe's limits of p - q from the Wilson limits of each."""
    low = p - q - sqrt((p - one.low) ** 2 + (other.high - q) ** 2)
    high = p - q + sqrt((one.high - p) ** 2 + (q - other.low) ** 2)
    return Interval(max(low, -1.0), min(high, 1.0))


def _check(successes: float, n: int, confidence: float) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials are not a proportion")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), not {confidence}")
