"""Bootstrap intervals over samples, and over training seeds and samples: pure functions."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench import rng
from bench.stats import Interval

#: Resamples: the ends of a 95% interval then repeat to about 2% of its half width.
DRAWS = 5000
_CHUNK = 500  # draws in memory at once as floats


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, draws: int = DRAWS
) -> Interval:
    """Interval of the mean of `first` minus that of `second`, over the same samples.

    B. Efron and R. J. Tibshirani, "An introduction to the bootstrap" (1993), sec. 13.3, the
    percentile interval: samples are drawn with replacement, both classifiers' scores of a sample
    together, and the interval cuts equal tails off the differences. See `two_level` for draws.

    Args:
        first: Scores such as right (1) or wrong (0), (N,).
        second: The other classifier's scores of the same samples, (N,).
        confidence: Coverage, in (0, 1).
        draws: Number of resamples.

    Raises:
        ValueError: If there is no sample, the lengths differ, or confidence is no fraction.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    return two_level_difference(one[None], other[None], confidence, draws)


def two_level(scores: ArrayLike, confidence: float = 0.95, draws: int = DRAWS) -> Interval:
    """Interval of a mean over training seeds and samples.

    A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007): every seed meets
    every sample, so rows and columns are drawn with replacement, independently. The samples
    of a draw are the same for all its seeds; samples drawn anew for each seed would average away
    what a hard sample is to all of them. It covers what another training and other pictures would
    change. With one seed it is the ordinary bootstrap over samples.

    Few seeds cannot show how far seeds vary: of a variance between k seeds a bootstrap sees
    (k - 1) / k, and nothing outside the k seeds. In the worst case, seeds that differ and pictures
    that do not matter, the 95% interval of three seeds reaches from the lowest to the highest, and
    covers the truth 75% of the time; where pictures vary more than seeds it covers 95% or more.

    Draws are addressed by sizes alone: equal sizes get equal draws, so intervals of one table rest
    on the same pictures and the same data give the same bytes.

    Args:
        scores: A row per seed, a column per sample, (k, N).
        confidence: Coverage, in (0, 1).
        draws: Number of resamples.

    Raises:
        ValueError: If there is no score, or confidence is no fraction.
    """
    (values,) = _arms(scores)
    return _percentiles(_over_seeds(_means(values, draws), draws), confidence)


def two_level_difference(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, draws: int = DRAWS
) -> Interval:
    """Interval of the mean of `first` minus that of `second`, over training seeds and samples.

    As `two_level`, of the differences: both classifiers share the seeds and samples of a draw.

    Args:
        first: A row per seed, a column per sample, (k, N).
        second: The same seeds and samples of the other classifier, (k, N).
        confidence: Coverage, in (0, 1).
        draws: Number of resamples.

    Raises:
        ValueError: If there is no score, the shapes differ, or confidence is no fraction.
    """
    one, other = _arms(first, second)
    return two_level(one - other, confidence, draws)


def two_level_ratio(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, draws: int = DRAWS
) -> Interval:
    """Interval of a mean of `first` in units of that of `second`: the mean over seeds of ratios.

    As `two_level`; a seed's ratio is that of its means over the drawn samples.

    Args:
        first: A row per seed, a column per sample, (k, N).
        second: The same seeds and samples of what is compared with, positive, (k, N).
        confidence: Coverage, in (0, 1).
        draws: Number of resamples.

    Raises:
        ValueError: If there is no score, the shapes differ, a score of `second` is not positive, or
            confidence is no fraction.
    """
    one, other = _arms(first, second)
    if not (other > 0).all():
        raise ValueError("only positive scores make a ratio")
    return _percentiles(_over_seeds(_means(one, draws) / _means(other, draws), draws), confidence)


def _arms(*scores: ArrayLike) -> list[NDArray[np.float64]]:
    """Each as float64 (k, N); of one shape and not empty."""
    arrays = [np.asarray(values, dtype=np.float64) for values in scores]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"scores that do not pair: {', '.join(map(str, sorted(shapes)))}")
    (shape,) = shapes
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"scores are seeds x samples, at least one of each, not {shape}")
    return arrays


@lru_cache(maxsize=4)
def _counts(n: int, draws: int) -> NDArray[np.uint16]:
    """How often each of n samples occurs in each draw, (draws, n)."""
    counts = np.empty((draws, n), dtype=np.uint16)
    source = rng.generator("bootstrap samples", n, draws)
    for start in range(0, draws, _CHUNK):
        rows = len(counts[start : start + _CHUNK])
        flat = source.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        counts[start : start + rows] = np.bincount(flat.ravel(), minlength=rows * n).reshape(-1, n)
    return counts


def _means(scores: NDArray[np.float64], draws: int) -> NDArray[np.float64]:
    """Mean over the samples of each draw, for each seed, (draws, k)."""
    n = scores.shape[1]
    counts = _counts(n, draws)
    chunks = (counts[start : start + _CHUNK] for start in range(0, draws, _CHUNK))
    return np.concatenate([chunk.astype(np.float64) @ scores.T for chunk in chunks]) / n


def _over_seeds(values: NDArray[np.float64], draws: int) -> NDArray[np.float64]:
    """Mean over the seeds of each draw, (draws,), of values (draws, k)."""
    k = values.shape[1]
    chosen = rng.generator("bootstrap seeds", k, draws).integers(0, k, (draws, k))
    return np.take_along_axis(values, chosen, axis=1).mean(axis=1)


def _percentiles(values: NDArray[np.float64], confidence: float) -> Interval:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), not {confidence}")
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
