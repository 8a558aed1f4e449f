"""Whether a classifier's confidence can be believed: functions of its logits and the labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Probabilities that logits stand for, of the samples whose logits are all finite.

    Attributes:
        log_probabilities: Natural logarithms, (M, K).
        labels: Class codes, (M,).
        confidence: Of the most probable class, (M,).
        right: Whether that class is the label, (M,); False where two classes share the top logit.
        excluded: How many samples have a NaN or infinite logit; nothing here counts them.
    """

    log_probabilities: Floats
    labels: NDArray[np.intp]
    confidence: Floats
    right: NDArray[np.bool_]
    excluded: int


@dataclass(frozen=True, eq=False)
class Reliability:
    """Samples in bins of confidence: the bars of a reliability diagram. Empty bins are NaN.

    Attributes:
        confidence: Mean confidence of each bin's samples, (bins,).
        accuracy: Share of each bin's samples that are right, (bins,).
        n: Number of samples in each bin, (bins,).
    """

    confidence: Floats
    accuracy: Floats
    n: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Mean distance of accuracy and confidence over bins, weighed by n: a fraction."""
        held = self.n > 0
        gaps = np.abs(self.accuracy - self.confidence)[held]
        return float(gaps @ self.n[held] / self.n.sum())


def forecasts(logits: ArrayLike, labels: ArrayLike) -> Forecasts:
    """The softmax of logits, in float64.

    A sample with a NaN or infinite logit has no probabilities. It is left out and counted, whatever
    its decision was, so accuracy over forecasts may differ from that over all samples.

    Args:
        logits: (N, K).
        labels: Class codes, integers in [0, K), (N,).

    Raises:
        ValueError: If the shapes do not pair, or a label is out of its range.
    """
    values, codes = np.asarray(logits, np.float64), np.asarray(labels)
    if values.ndim != 2 or codes.shape != values.shape[:1]:
        raise ValueError(f"{codes.shape} labels do not pair with {values.shape} logits")
    if codes.size and not 0 <= codes.min() <= codes.max() < values.shape[1]:
        raise ValueError(f"labels of {values.shape[1]} classes lie in [0, {values.shape[1]})")
    usable = np.isfinite(values).all(axis=1)
    values, codes = values[usable], codes[usable].astype(np.intp)
    # Of the logits: their exponentials may be equal where they are not.
    top = values.max(axis=1, keepdims=True)
    right = (_of(values, codes) == top[:, 0]) & ((values == top).sum(axis=1) == 1)
    total = np.log(np.exp(values - top).sum(axis=1))
    return Forecasts(
        values - top - total[:, None], codes, np.exp(-total), right, int((~usable).sum())
    )


def reliability(given: Forecasts, bins: int = 15) -> Reliability:
    """Samples in bins of equal width, ((b - 1) / bins, b / bins].

    Args:
        given: At least one sample.
        bins: Number of bins.

    Raises:
        ValueError: If there is no sample.
    """
    _check(given)
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    return _binned(given, np.searchsorted(edges, given.confidence), bins)


def adaptive_reliability(given: Forecasts, bins: int = 15) -> Reliability:
    """Samples in bins of equal mass: as many in each, in order of confidence.

    Samples of equal confidence stay together, in the bin of their middle rank, so that the order of
    rows does not matter; bins are then not exactly equal, and some may be empty.

    Args:
        given: At least one sample.
        bins: Number of bins.

    Raises:
        ValueError: If there is no sample.
    """
    _check(given)
    _, which, n = np.unique(given.confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(n) - n / 2  # in (0, N), of each distinct confidence
    return _binned(given, (middle * bins / n.sum()).astype(np.intp)[which], bins)


def ece(given: Forecasts, bins: int = 15) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over equal-width bins.

    M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning" (AAAI
    2015); C. Guo et al., "On calibration of modern neural networks" (ICML 2017), eq. 5, with their
    15 bins. It depends on the binning and is biased upwards where bins hold few samples.

    Args:
        given: At least one sample.
        bins: Number of bins.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample.
    """
    return reliability(given, bins).error


def adaptive_ece(given: Forecasts, bins: int = 15) -> float:
    """Expected calibration error over bins of equal mass.

    K. Nguyen and B. O'Connor, "Posterior calibration and exploratory analysis for natural language
    processing models" (EMNLP 2015): no bin is nearly empty, and crowded confidences are resolved.

    Args:
        given: At least one sample.
        bins: Number of bins.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample.
    """
    return adaptive_reliability(given, bins).error


def nll(given: Forecasts) -> float:
    """Negative log-likelihood of the labels, mean over samples, in nats.

    The logarithmic score of I. J. Good, "Rational decisions" (1952).

    Args:
        given: At least one sample.

    Returns:
        At least 0; log K for a classifier that always finds all K classes equally probable.

    Raises:
        ValueError: If there is no sample.
    """
    _check(given)
    return float(nll_scores(given).mean())


def nll_scores(given: Forecasts) -> Floats:
    """Negative log-likelihood of each label, (M,)."""
    return -given.log_probabilities[np.arange(len(given.labels)), given.labels]


def brier(given: Forecasts) -> float:
    """Brier score: squared distance of probabilities and label, summed over classes.

    G. W. Brier, "Verification of forecasts expressed in terms of probability" (1950), eq. 2. For
    two classes it is twice the score of one of them that is also called Brier's.

    Args:
        given: At least one sample.

    Returns:
        The mean over samples, in [0, 2].

    Raises:
        ValueError: If there is no sample.
    """
    _check(given)
    return float(brier_scores(given).mean())


def brier_scores(given: Forecasts) -> Floats:
    """Squared distance of each sample's probabilities and label, (M,)."""
    truth = np.eye(given.log_probabilities.shape[1])[given.labels]
    return ((np.exp(given.log_probabilities) - truth) ** 2).sum(axis=1)


def selective_accuracy(given: Forecasts) -> Floats:
    """Accuracy over the i most confident samples, for every i from 1 to M.

    Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks" (NeurIPS 2017):
    a classifier that may abstain answers the share i / M of samples, its coverage. Among samples of
    equal confidence it abstains at random, and the expected accuracy is given, so that the order of
    rows does not matter.

    Args:
        given: At least one sample.

    Returns:
        Fractions in [0, 1], (M,); the last is the accuracy over all M samples.

    Raises:
        ValueError: If there is no sample.
    """
    _check(given)
    _, which, n = np.unique(-given.confidence, return_inverse=True, return_counts=True)
    right = np.bincount(which, given.right)
    answered = np.arange(1, len(which) + 1)
    # Expected numbers right grow evenly among samples of equal confidence.
    expected = np.interp(answered, np.append(0, np.cumsum(n)), np.append(0, np.cumsum(right)))
    return np.asarray(expected / answered, np.float64)


def aurc(given: Forecasts) -> float:
    """Area under the risk-coverage curve: mean selective error over all coverages.

    Y. Geifman, G. Uziel and R. El-Yaniv, "Bias-reduced uncertainty estimation for deep neural
    classifiers" (ICLR 2019), sec. 2. Lower is better; a classifier whose confidence says nothing
    has its error rate on average.

    Args:
        given: At least one sample.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample.
    """
    return float(1 - selective_accuracy(given).mean())


def _binned(given: Forecasts, which: NDArray[np.intp], bins: int) -> Reliability:
    n = np.bincount(which, minlength=bins)
    empty = np.full(bins, np.nan)
    confidence, accuracy = (
        np.divide(np.bincount(which, of, bins), n, out=empty.copy(), where=n > 0)
        for of in (given.confidence, given.right)
    )
    return Reliability(confidence, accuracy, n)


def _of(values: Floats, labels: NDArray[np.intp]) -> Floats:
    """The label's value of each sample, (M,)."""
    return values[np.arange(len(labels)), labels]


def _check(given: Forecasts) -> None:
    if not len(given.labels):
        raise ValueError(f"no samples with finite logits ({given.excluded} without)")
