"""Tests of differences, one and many: pure functions on arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr


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
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    discordant = gained + lost
    return min(1.0, 2 * float(bdtr(min(gained, lost), discordant, 0.5)))


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
