"""Bootstrap intervals over samples, and over training seeds and samples: pure functions.

Numbers that are no means (macro-F1, ratios, kappa) are made means first, see the end.
"""

from functools import lru_cache
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from scipy.special import ndtri, softmax, stdtrit

from bench.stats.calibration import Forecasts, selective_accuracy
from bench.stats.metrics import Counts, macro_f1
from bench.stats.proportions import Interval
from bench.util import rng

#: Below this many samples scores that are no common fractions are resampled by drawing.
FEW = 100
#: Resamples where they must be drawn: the ends of a 95% interval repeat to 2% of its half width.
DRAWS = 5000
_DENOMINATORS = 60  # a mean over 3 seeds of shares of 5 severities comes in fifteenths
_LATTICE = 2**20  # longest exact distribution


def two_level(
    scores: ArrayLike,
    confidence: float = 0.95,
    bounds: tuple[float, float] = (-inf, inf),
) -> Interval:
    """Interval of a mean over training seeds and samples: what other trainings and pictures change.

    Every seed meets every sample, so a sample is a cluster: its scores under all seeds are drawn
    together. Drawing seeds as well (A. B. Owen, "The pigeonhole bootstrap", Annals of Applied
    Statistics 1, 2007) is not honest for few of them: of a variance between k seeds it sees
    (k - 1) / k and nothing beyond the seeds at hand, and where k = 3 seeds dominate its 95%
    interval covers 75%. So samples are bootstrapped, and seeds enter by their variance:

    - S, P, R: estimated variances of the mean from seeds, S = var(seed means) / k; from samples,
      P = var(sample means) / N; and from their interaction, R, the mean square of what neither
      explains, over k N. S and P each contain R, so the variance is S + P - R (two-way random
      effects), here max(S + P - R, S, P): never less than that of one level alone.
    - Distances from the estimate to the bootstrap's percentiles, widened by N / (N - 1) for
      narrowness (T. Hesterberg, "What teachers should know about the bootstrap", The American
      Statistician 69, 2015), are what P explains. What the seeds add joins them in quadrature, a
      side at a time (G. Y. Zou and A. Donner, Statistics in Medicine 27, 2008).
    - All is widened from the normal to Student's t quantile, Hesterberg's expanded percentiles. Its
      degrees of freedom are between k - 1 and N - 1, 1 / df = s / (k - 1) + (1 - s) / (N - 1) at a
      share s of the variance from seeds. F. E. Satterthwaite's df ("An approximate distribution of
      estimates of variance components", Biometrics Bulletin 2, 1946) weigh by s^2 and (1 - s)^2;
      with so few seeds they leave coverage at 92%, for where s comes out small by luck both the
      variance and the quantile are too small.

    A nominal 95% covers 94 to 96% from 3 seeds on where seeds dominate, samples dominate or both
    matter; up to 99% where the interaction dominates, as the variance may not fall below P; 90% or
    more with 2 seeds. With one seed it is the bootstrap over samples.

    Scores that are multiples of a common fraction, such as right or wrong, have the ideal
    bootstrap's percentiles, without drawing: the distribution of a sum of N draws is the N-fold
    convolution of that of one. For others they come from its cumulants (E. A. Cornish and R. A.
    Fisher, "Moments and cumulants in the specification of distributions", 1938; P. Hall, "The
    bootstrap and Edgeworth expansion", 1992, sec. 2.5), with an error of N^-3/2 in units of the
    standard error; only below `FEW` samples they are drawn, addressed by sizes alone, so that equal
    data give equal bytes.

    Args:
        scores: A row per seed, a column per sample, (k, N).
        confidence: Coverage, in (0, 1).
        bounds: Least and greatest possible mean, which the interval does not pass.

    Returns:
        The interval; all of `bounds` for a single sample, which says nothing about others. Scores
        that do not differ at all have no width.

    Raises:
        ValueError: If there is no score or one is not finite, or confidence is no fraction.
    """
    (values,) = _arms(scores)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), not {confidence}")
    n = values.shape[1]
    if n == 1:
        return Interval(float(bounds[0]), float(bounds[1]))
    from_seeds, df = _components(values)
    z = float(ndtri((1 + confidence) / 2))
    widening = float(stdtrit(df, (1 + confidence) / 2)) / z
    below, above = (
        widening * sqrt(distance**2 * n / (n - 1) + z**2 * from_seeds)
        for distance in _percentiles(values.mean(axis=0), confidence)
    )
    estimate = float(values.mean())
    low, high = max(estimate - below, bounds[0]), min(estimate + above, bounds[1])
    return Interval(float(low), float(high))


def two_level_difference(
    first: ArrayLike,
    second: ArrayLike,
    confidence: float = 0.95,
    bounds: tuple[float, float] = (-inf, inf),
) -> Interval:
    """Interval of the mean of `first` minus that of `second`, over training seeds and samples.

    As `two_level`, of the differences: both classifiers share seeds and samples.

    Args:
        first: A row per seed, a column per sample, (k, N).
        second: The same seeds and samples of the other classifier, (k, N).
        confidence: Coverage, in (0, 1).
        bounds: Least and greatest possible difference.

    Raises:
        ValueError: If there is no score, the shapes differ, or confidence is no fraction.
    """
    one, other = _arms(first, second)
    return two_level(one - other, confidence, bounds)


def two_level_ratio(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval of a mean of `first` in units of that of `second`: the mean over seeds of ratios.

    As `two_level`, of the ratio's linear expansion about its estimate, whose error is of the order
    of 1 / N: a sample scores r + (x - r y) / mean(y) where r = mean(x) / mean(y) is its seed's
    ratio (the infinitesimal jackknife; Efron and Tibshirani 1993, ch. 21).

    Args:
        first: A row per seed, a column per sample, (k, N).
        second: The same seeds and samples of what is compared with, positive, (k, N).
        confidence: Coverage, in (0, 1).

    Returns:
        The interval, not below 0 if no score of `first` is.

    Raises:
        ValueError: If there is no score, the shapes differ, a score of `second` is not positive, or
            confidence is no fraction.
    """
    one, other = _arms(first, second)
    if not (other > 0).all():
        raise ValueError("only positive scores make a ratio")
    unit = other.mean(axis=1, keepdims=True)
    ratio = one.mean(axis=1, keepdims=True) / unit
    bounds = (-inf if (one < 0).any() else 0.0, inf)
    return two_level(ratio + (one - ratio * other) / unit, confidence, bounds)


def _arms(*scores: ArrayLike) -> list[NDArray[np.float64]]:
    """Each as float64 (k, N); of one shape, not empty and finite."""
    arrays = [np.asarray(values, dtype=np.float64) for values in scores]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"scores that do not pair: {', '.join(map(str, sorted(shapes)))}")
    (shape,) = shapes
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"scores are seeds x samples, at least one of each, not {shape}")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("scores are finite numbers; leave out samples that have none")
    return arrays


def _components(values: NDArray[np.float64]) -> tuple[float, float]:
    """What seeds add to the mean's variance from samples, and the sum's degrees of freedom."""
    k, n = values.shape
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    if k == 1:
        return 0.0, n - 1
    samples = float(columns.var(ddof=1)) / n
    seeds = float(rows.var(ddof=1)) / k
    rest = values - rows[:, None] - columns + values.mean()
    interaction = float((rest**2).sum()) / ((k - 1) * (n - 1)) / (k * n)
    total = max(seeds + samples - interaction, seeds, samples)
    share = seeds / total if total else 0.0
    return total - samples, 1 / (share / (k - 1) + (1 - share) / (n - 1))


def _percentiles(scores: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """How far the percentiles of bootstrapped means lie below and above the mean of scores (N,)."""
    tail = (1 - confidence) / 2
    denominator = _denominator(scores)
    if denominator and np.ptp(scores) * denominator * len(scores) < _LATTICE:
        whole = np.rint(scores * denominator).astype(np.intp)
        below, above = _exact(whole - whole.min(), tail)
        return below / denominator, above / denominator
    if len(scores) >= FEW:
        return _cornish_fisher(scores, tail)
    centred = scores - scores.mean()
    low, high = np.quantile(_counts(len(scores)) @ centred / len(scores), [tail, 1 - tail])
    return max(0.0, -float(low)), max(0.0, float(high))


def _cornish_fisher(scores: NDArray[np.float64], tail: float) -> tuple[float, float]:
    """Percentiles of the bootstrapped mean, from the first four cumulants of the scores."""
    n, centred = len(scores), scores - scores.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    if spread == 0:
        return 0.0, 0.0
    unit = centred / spread
    skewness = float(np.mean(unit**3)) / sqrt(n)
    kurtosis = (float(np.mean(unit**4)) - 3) / n
    z = ndtri(np.array([tail, 1 - tail]))
    w = z + (z**2 - 1) * skewness / 6
    w += (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skewness**2 / 36
    low, high = spread / sqrt(n) * w
    return max(0.0, -float(low)), max(0.0, float(high))


def _denominator(scores: NDArray[np.float64]) -> int | None:
    """The smallest number that makes all scores whole, None if there is none or it is large."""
    first = np.outer(np.arange(1, _DENOMINATORS + 1), scores[:20])
    for i in np.flatnonzero((np.abs(first - np.rint(first)) < 1e-9).all(axis=1)):
        scaled = scores * (i + 1)
        if (np.abs(scaled - np.rint(scaled)) < 1e-9).all():
            return int(i) + 1
    return None


def _exact(scores: NDArray[np.intp], tail: float) -> tuple[float, float]:
    """Percentiles of the mean of whole numbers from 0 on, over all possible draws."""
    n, top = len(scores), int(scores.max())
    size = n * top + 1
    length = fft.next_fast_len(size, real=True)
    one = fft.rfft(np.bincount(scores) / n, length)
    total = fft.irfft(one**n, length)[:size]  # chance of each sum of n scores
    enough = tail - 1e-12  # rounding must not skip a sum
    lowest = int(np.argmax(np.cumsum(total) >= enough))
    highest = size - 1 - int(np.argmax(np.cumsum(total[::-1]) >= enough))
    mean = int(scores.sum())
    return max(0, mean - lowest) / n, max(0, highest - mean) / n


@lru_cache(maxsize=8)
def _counts(n: int) -> NDArray[np.float64]:
    """How often each of n samples occurs in each draw, (DRAWS, n)."""
    chosen = rng.generator("bootstrap samples", n, DRAWS).integers(0, n, (DRAWS, n))
    flat = chosen + n * np.arange(DRAWS)[:, None]
    return np.bincount(flat.ravel(), minlength=DRAWS * n).reshape(DRAWS, n).astype(np.float64)


# ------------------------------------------------------------------------------------------------
# What each sample contributes to a number that is no mean: scores whose mean is that number.
#
# They are the number's linear expansion in the samples' weights, whose error is of the order of
# 1 / N (the infinitesimal jackknife; B. Efron and R. J. Tibshirani, "An introduction to the
# bootstrap", 1993, ch. 21): an interval of their mean, such as `two_level`, is one of the number.
# ------------------------------------------------------------------------------------------------

SampleScores = NDArray[np.float64]


def macro_f1_scores(counts: Counts) -> NDArray[np.float64]:
    """Macro-F1 as a mean over samples: the score of a sample with each label and prediction.

    K. Takahashi et al., "Confidence interval for micro-averaged F1 and macro-averaged F1 scores",
    Applied Intelligence 52 (2022): the delta method. F1 of a class is 2 TP / (labels + predictions)
    and moves with one more sample by (2 [both are the class] - F1 ([label is] + [prediction is])) /
    (share of labels + share of predictions). Added to macro-F1 itself, these have macro-F1 as their
    mean over the samples, and its standard error as that of their mean.

    Args:
        counts: Of `bench.stats.confusion`, (K, K + 1), at least one sample.

    Returns:
        Scores by label and prediction, ties last, (K, K + 1). They are no fractions: a wrong
        prediction of a rare class is far below 0.

    Raises:
        ValueError: If there is no sample, or the shape is another.
    """
    centre = macro_f1(counts)
    classes = len(counts)
    total = counts.sum(axis=1) + counts[:, :-1].sum(axis=0)
    present = total > 0
    weight = counts.sum() / np.maximum(total, 1) * present / present.sum()
    f1 = 2 * np.diag(counts) / np.maximum(total, 1)
    scores = np.full(counts.shape, centre)
    scores -= (weight * f1)[:, None]
    scores[:, :-1] -= weight * f1
    scores[np.arange(classes), np.arange(classes)] += 2 * weight
    return scores


def macro_f1_trials(counts: Counts) -> float:
    """How many trials a single proportion would need to vary as little as this macro-F1.

    For `bench.stats.wilson_of_mean`, whose interval covers near 0 and 1, where the normal one of
    `macro_f1_scores` does not. As in `bench.stats.mean_of_proportions` every class that occurs has
    half a success and half a failure more, so that the variance is never 0. Failures go to the
    classes that occur or are predicted: to others macro-F1, which leaves them out, would be another
    number. In simulations a nominal 95% covers 95 to 97%, but 91% with seven samples a class, where
    F1 itself is biased.

    Args:
        counts: Of `bench.stats.confusion`, (K, K + 1), at least one sample.

    Returns:
        At least 1.

    Raises:
        ValueError: If there is no sample, or the shape is another.
    """
    k, present = len(counts), counts.sum(axis=1) > 0
    seen = present | (counts[:, :k].sum(axis=0) > 0)
    wrong = 0.5 / max(int(seen.sum()) - 1, 1)
    more = counts.astype(np.float64)
    more[:, :k] += wrong * np.outer(present, seen)
    more[np.diag_indices(k)] += present * (0.5 - wrong)
    centre = macro_f1(more)
    spread = (more * (macro_f1_scores(more) - centre) ** 2).sum() / more.sum()
    return max(1.0, float(counts.sum() * centre * (1 - centre) / spread)) if spread else 1.0


def ratio_scores(first: SampleScores, second: SampleScores) -> SampleScores:
    """The ratio of two means over the same samples: r + (x - r y) / mean(y) of each sample.

    Args:
        first: x, (k, N).
        second: y, (k, N) of the same seeds, or (1, N), with a mean other than 0.

    Returns:
        (k, N).
    """
    unit = float(second.mean())
    ratio = float(first.mean()) / unit
    return np.asarray(ratio + (first - ratio * second) / unit)


def kappa_scores(first: SampleScores, second: SampleScores) -> SampleScores:
    """Error consistency (`bench.stats.error_consistency`), each row of its own.

    kappa = (o - e) / (1 - e) moves with the observed agreement o and the expected one e, and e =
    p q + (1 - p) (1 - q) with both accuracies.

    Args:
        first: 1 where the first classifier recognises a sample, else 0, (k, N).
        second: The same of the second; no row of ones, or zeros, in both.

    Returns:
        (k, N).
    """
    p, q = first.mean(axis=1, keepdims=True), second.mean(axis=1, keepdims=True)
    agree = first == second
    observed = agree.mean(axis=1, keepdims=True)
    expected = p * q + (1 - p) * (1 - q)
    moved = (2 * q - 1) * (first - p) + (2 * p - 1) * (second - q)
    scores = (agree - observed) / (1 - expected)
    scores -= (1 - observed) / (1 - expected) ** 2 * moved
    return np.asarray((observed - expected) / (1 - expected) + scores)


def scale_scores(logits: ArrayLike, labels: NDArray[np.integer], scale: float) -> SampleScores:
    """The scale of least NLL of softmax(scale * logits), as a mean over samples.

    A sample moves the root of the mean slope, E_p[logit] - logit of the label, by its own slope
    over the mean curvature, the variance of the logits under p (P. J. Huber, "The behavior of
    maximum likelihood estimates under nonstandard conditions", 1967).

    Args:
        logits: Finite, (N, K).
        labels: (N,).
        scale: At the least NLL; elsewhere the mean of the scores is another.

    Returns:
        (N,).
    """
    values = np.asarray(logits, np.float64)
    p = softmax(scale * values, axis=1)
    expected = (p * values).sum(axis=1)
    curvature = (p * (values - expected[:, None]) ** 2).sum(axis=1).mean()
    return np.asarray(scale + (values[np.arange(len(labels)), labels] - expected) / curvature)


def aurc_scores(given: Forecasts) -> SampleScores:
    """Area under the risk-coverage curve (`bench.stats.aurc`).

    AURC is the mean over samples of the risk r(j) of answering those at least as confident as the
    j-th. A sample moves it as one of these thresholds, and by being among those answered at all
    thresholds that are no more confident than it.

    Args:
        given: At least one sample.

    Returns:
        (M,).
    """
    _, which, size = np.unique(-given.confidence, return_inverse=True, return_counts=True)
    risk = 1 - selective_accuracy(given)
    answered = np.arange(1, len(risk) + 1)
    from_here = np.cumsum((1 / answered)[::-1])[::-1], np.cumsum((risk / answered)[::-1])[::-1]
    # Samples of equal confidence share their ranks, so each has the mean of their places.
    block = np.repeat(np.arange(len(size)), size)
    own, times, against = (np.bincount(block, v) / size for v in (risk, *from_here))
    return np.asarray(own[which] + ~given.right * times[which] - against[which])


def selective_scores(given: Forecasts, coverage: float) -> SampleScores:
    """Accuracy over the most confident share of samples, for the threshold as it is.

    The ratio of those answered and right to those answered. That other samples would put the
    threshold elsewhere is left out.

    Args:
        given: At least one sample.
        coverage: Share that is answered, rounded up to whole samples, in (0, 1].

    Returns:
        (M,), with the mean `selective_accuracy(given)[ceil(coverage * M) - 1]`.
    """
    _, which, size = np.unique(-given.confidence, return_inverse=True, return_counts=True)
    wanted = ceil(coverage * len(which) - 1e-9)
    # Of samples of equal confidence at the threshold each is answered in part.
    before = np.cumsum(size) - size
    answered = np.clip((wanted - before) / size, 0, 1)[which]
    return ratio_scores((answered * given.right)[None], answered[None])[0]
