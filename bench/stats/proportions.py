"""Proportions: intervals of one, of differences and ranges; tests of differences, one and many."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import bdtr, betaincinv


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval, in the unit of the estimate it belongs to."""

    low: float
    high: float


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
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
    would be wrong: those are paired (`tango`, `bench.stats.bootstrap.two_level_difference`).

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
    limits = [wilson(x, m, each) for x, m in zip(successes, n, strict=True)]
    groups = [(x / m, own) for x, m, own in zip(successes, n, limits, strict=True)]
    pairs = [_difference(*one, *other) for one, other in permutations(groups, 2)]
    return Interval(max(0.0, *(pair.low for pair in pairs)), max(pair.high for pair in pairs))


def mean_of_proportions(
    successes: Sequence[int], trials: Sequence[int], confidence: float = 0.95
) -> Interval:
    """Interval of the unweighted mean of independent proportions, such as of class recalls (UAR).

    Wilson's at the effective number of trials, which is what a single proportion of that size
    would need for the variance of the mean (E. L. Korn and B. I. Graubard, "Confidence intervals
    for proportions with small expected number of positive counts estimated from survey data",
    Survey Methodology 24, 1998, with Wilson's in the place of Clopper and Pearson's). Proportions
    enter the variance with half a success and half a failure more, so that it is never 0.

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
    for own, n in pairs:
        _check(own, n, confidence)
    more = [((own + 0.5) / (n + 1), n) for own, n in pairs]
    variance = sum(p * (1 - p) / n for p, n in more) / len(pairs) ** 2
    centre = sum(p for p, _ in more) / len(pairs)
    mean = sum(own / n for own, n in pairs) / len(pairs)
    return wilson_of_mean(mean, centre * (1 - centre) / variance, confidence)


def wilson_of_mean(mean: float, effective: float, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a mean in [0, 1] that varies as a proportion of `effective` trials.

    Args:
        mean: In [0, 1].
        effective: Number of trials, at least 1, not necessarily whole.
        confidence: Coverage, in (0, 1).

    Raises:
        ValueError: If an argument is outside its range.
    """
    inside = min(max(mean, 0.0), 1.0)  # of rounding
    return wilson(inside * effective, effective, confidence)


def tango(gained: int, lost: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval of a difference of two proportions on the same samples.

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17 (1998), eqs. 11 and 12: the differences that a
    score test does not reject. It covers also where few samples or none are discordant, and a
    bootstrap has next to nothing to resample.

    Args:
        gained: Samples of which only the first is a success.
        lost: Samples of which only the second is.
        n: Number of samples, at least gained + lost.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval of first less second, inside [-1, 1].

    Raises:
        ValueError: If an argument is outside its range.
    """
    _check(gained + lost, n, confidence)
    if min(gained, lost) < 0:
        raise ValueError(f"{gained} gained and {lost} lost are no counts")
    z = NormalDist().inv_cdf((1 + confidence) / 2)

    def score(d: float) -> float:
        b = (2 * n - gained + lost) * d - gained - lost
        q = (sqrt(max(b * b + 8 * n * lost * d * (1 - d), 0.0)) - b) / (4 * n)
        variance = max(2 * q + d * (1 - d), 1e-18)  # 0 where the estimate fits perfectly
        return (gained - lost - n * d) / sqrt(n * variance)

    estimate, end = (gained - lost) / n, 1 - 1e-12
    low = -1.0 if lost == n else brentq(lambda d: score(d) - z, -end, min(estimate, end))
    high = 1.0 if gained == n else brentq(lambda d: score(d) + z, max(estimate, -end), end)
    return Interval(float(low), float(high))


def _difference(p: float, one: Interval, q: float, other: Interval) -> Interval:
    """Newcombe's limits of p - q from the Wilson limits of each."""
    low = p - q - sqrt((p - one.low) ** 2 + (other.high - q) ** 2)
    high = p - q + sqrt((one.high - p) ** 2 + (q - other.low) ** 2)
    return Interval(max(low, -1.0), min(high, 1.0))


def _check(successes: float, n: float, confidence: float) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials are not a proportion")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), not {confidence}")


# ------------------------------------------------------------------------------------------------
# Tests of differences, one and many.


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """McNemar's exact two-sided p value: do two classifiers recognise equally many samples?

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12 (1947): only samples that one classifier recognises and the other
    does not say anything, and without a difference each goes either way with probability 1/2. The
    p value is the binomial one of that split (no chi-square approximation, no mid-p), so a test at
    level alpha rejects a true null hypothesis at most alpha of the time, and often more rarely.

    It takes samples to be independent: rows of several training seeds on the same pictures are
    not, and must not be pooled.

    Args:
        first: Whether the first classifier recognises each sample, bool (N,).
        second: The same of the second classifier on the same samples, bool (N,).

    Returns:
        A probability in [0, 1]; 1 where the classifiers are right on the same samples.

    Raises:
        ValueError: If there is no sample, or the lengths differ.
    """
    one, other = of_same_samples(first, second)
    return float(split_evenly((one & ~other).sum(), (other & ~one).sum()))


def of_same_samples(
    first: ArrayLike, second: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which samples two classifiers recognise, as arrays.

    Raises:
        ValueError: If there is no sample, or the lengths differ.
    """
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise ValueError(f"{one.shape} and {other.shape} are not the same samples")
    return one, other


def split_evenly(gained: ArrayLike, lost: ArrayLike) -> NDArray[np.float64]:
    """P values of McNemar's exact test from the discordant samples alone, many at once.

    Args:
        gained: Samples that only the first classifier recognises, whole numbers (...).
        lost: Samples that only the second does, of the same shape.

    Returns:
        Probabilities in [0, 1], (...); 1 where no sample is discordant.
    """
    one, other = np.asarray(gained, np.float64), np.asarray(lost, np.float64)
    tail = bdtr(np.minimum(one, other), (one + other).astype(np.int64), 0.5)
    return np.asarray(np.minimum(1.0, 2 * tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for looking at all of them: reject what stays below alpha.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979): the smallest of m is multiplied by m, the next by m - 1, and so on, and
    none may fall below one before it. The chance of any false rejection is at most alpha, however
    the tests depend on each other.

    Args:
        p_values: In any order, (m,).

    Returns:
        Adjusted p values in the same order, in [0, 1]; none for none.

    Raises:
        ValueError: If a value is not in [0, 1].
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p values lie in [0, 1], these do not: {list(p_values)}")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def sign_flip(differences: ArrayLike) -> float:
    """Exact two-sided p value of paired differences: could each as well have the other sign?

    R. A. Fisher, "The design of experiments" (1935), sec. 21; E. J. G. Pitman, "Significance tests
    which may be applied to samples from any populations", JRSS Supplement 4 (1937): if two
    classifiers are exchangeable on every picture, all 2^N choices of signs are equally likely, and
    the p value is the share of them whose sum is at least as far from 0 as the one seen. Pictures
    are the units, so the outcomes of one picture in several cells or trainings, which hang
    together, are flipped together; the trainings are taken as given.

    Differences of -1, 0 and 1, one outcome per picture, make it McNemar's exact test. The sums are
    whole numbers, so their distribution is built up exactly and nothing is drawn.

    Args:
        differences: How much oftener the second classifier recognises each picture, whole numbers
            (N,).

    Returns:
        A probability in [0, 1]; 1 where the differences are all 0.

    Raises:
        ValueError: If there is no difference.
    """
    values = np.asarray(differences, np.int64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"differences are one per picture, at least one, not {values.shape}")
    sizes, counts = np.unique(np.abs(values[values != 0]), return_counts=True)
    reach = int((sizes * counts).sum())
    chances = np.zeros(2 * reach + 1)  # of the sums -reach..reach
    chances[reach] = 1.0
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        before, chances = chances, np.zeros_like(chances)
        for positive in range(count + 1):
            # The part that moves beyond the ends is 0: no sum is larger than `reach`.
            chance = comb(count, positive) / 2**count
            chances += chance * np.roll(before, size * (2 * positive - count))
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(values.sum()))
    return min(1.0, float(chances[far].sum()))


# ------------------------------------------------------------------------------------------------
# What a test could find at all: a pure function on numbers.


def detectable_difference(
    n: int, discordant: float, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest difference of two accuracies on the same n samples that a test would find.

    R. J. Connor, "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 43 (1987): McNemar's test needs n = (z_alpha/2 sqrt(psi) + z_power
    sqrt(psi - d^2))^2 / d^2 samples for a difference d at a share psi of discordant ones; here that
    is solved for d. The formula is for the approximate test; the exact one needs slightly more.

    Args:
        n: Number of samples, at least 1.
        discordant: Share of samples that exactly one of the two classifiers recognises, in [0, 1].
        alpha: Level of the two-sided test.
        power: Probability of finding the difference, in [0.5, 1).

    Returns:
        A fraction in (0, discordant]; None if so few samples cannot show a difference at all, which
        is at most `discordant`.

    Raises:
        ValueError: If an argument is outside its range.
    """
    if n < 1 or not 0 <= discordant <= 1 or not 0 < alpha < 1 or not 0.5 <= power < 1:
        raise ValueError(f"no such design: n {n}, discordant {discordant}, {alpha=}, {power=}")
    normal = NormalDist()
    a = normal.inv_cdf(1 - alpha / 2) * sqrt(discordant)
    b = normal.inv_cdf(power)
    # (d sqrt(n) - a)^2 = b^2 (psi - d^2), a quadratic in d; its larger root has d sqrt(n) >= a.
    root = a**2 * n - (n + b**2) * (a**2 - b**2 * discordant)
    if root < 0:
        return None
    found = (a * sqrt(n) + sqrt(root)) / (n + b**2)
    return found if 0 < found <= discordant else None
