"""Tests of differences, one and many: pure functions on arrays."""

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr
from scipy.stats import binom


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
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise ValueError(f"{one.shape} and {other.shape} are not the same samples")
    return float(split_evenly((one & ~other).sum(), (other & ~one).sum()))


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
        for positive, chance in enumerate(binom.pmf(np.arange(count + 1), count, 0.5)):
            # The part that moves beyond the ends is 0: no sum is larger than `reach`.
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
