"""Uncertainty of what the bench reports: pure functions on numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike


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
        A probability in (0, 1]; 1 where the classifiers are right on the same samples.

    Raises:
        ValueError: If there is no sample, or the lengths differ.
    """
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise ValueError(f"{one.shape} and {other.shape} are not the same samples")
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    discordant = gained + lost
    tail = sum(comb(discordant, i) for i in range(min(gained, lost) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**discordant)))


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
