"""Estimates over pictures with their intervals: pure functions on arrays (N,), no network.

The bench has its own in `bench.stats`; this package is usable without the bench.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

#: Below this share of its mean, a spread is rounding: nothing can be divided by it.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A number, its confidence interval, and the number of pictures behind it."""

    value: float
    low: float
    high: float
    n: int


def correlation(x: Floats, y: Floats, confidence: float = 0.95) -> Estimate | None:
    """Pearson's r with the interval of Fisher's z.

    R. A. Fisher, "On the probable error of a coefficient of correlation", Metron 1 (1921): artanh r
    is nearly normal with variance 1 / (n - 3). Exact for bivariate normal values only.

    Args:
        x: (N,).
        y: (N,).
        confidence: Coverage, in (0, 1).

    Returns:
        None for fewer than four pictures, or if either does not vary.
    """
    if len(x) < 4 or not _varies(x) or not _varies(y):
        return None
    with np.errstate(divide="ignore"):  # |r| = 1 has an infinite z, and itself for an interval
        found = stats.pearsonr(x, y)
        interval = found.confidence_interval(confidence)
    return Estimate(float(found.statistic), float(interval.low), float(interval.high), len(x))


def mean(values: Floats, confidence: float = 0.95) -> Estimate | None:
    """Mean over pictures with Student's interval; NaN values (N,) are left out.

    Returns:
        None for fewer than two values.
    """
    known = values[~np.isnan(values)]
    n = len(known)
    if n < 2:
        return None
    centre = float(known.mean(dtype=np.float64))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * known.std(ddof=1) / sqrt(n))
    return Estimate(centre, centre - half, centre + half, n)


def share(hits: Bools, confidence: float = 0.95) -> Estimate | None:
    """Share of pictures that are hits (N,), with Wilson's score interval; None of no picture."""
    n = len(hits)
    if not n:
        return None
    found = stats.binomtest(int(hits.sum()), n)
    interval = found.proportion_ci(confidence, method="wilson")
    return Estimate(float(found.statistic), float(interval.low), float(interval.high), n)


def separation(gap: Floats, confidence: float = 0.95) -> Estimate | None:
    """The d' of a paired gap: its mean over pictures in units of its standard deviation over them.

    The sensitivity index of Green & Swets (1966) for paired differences. The interval is the delta
    method's: with skewness g and kurtosis k of the gap, the variance of mean / sd is
    (1 - d' g + d'^2 (k - 1) / 4) / n, which for a normal gap is 1 / n + d'^2 / 2n.

    Args:
        gap: d_n - d_p, (N,); NaN values are left out.
        confidence: Coverage, in (0, 1).

    Returns:
        None for fewer than four pictures, or if the gap does not vary.
    """
    known = gap[~np.isnan(gap)]
    n = len(known)
    if n < 4 or not _varies(known):
        return None
    value = float(known.mean(dtype=np.float64) / known.std(ddof=1))
    skew, kurtosis = float(stats.skew(known)), float(stats.kurtosis(known, fisher=False))
    # Never negative for true moments (kurtosis >= skewness^2 + 1); rounding may disagree.
    variance = max(0.0, 1 - value * skew + value**2 * (kurtosis - 1) / 4) / n
    half = float(stats.norm.ppf((1 + confidence) / 2)) * sqrt(variance)
    return Estimate(value, value - half, value + half, n)


def _varies(values: Floats) -> bool:
    return bool(values.std() > _ROUNDING * np.abs(values).mean())
