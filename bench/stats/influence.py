"""What each sample contributes to a number that is no mean: scores whose mean is that number.

They are the number's linear expansion in the samples' weights, whose error is of the order of 1 / N
(the infinitesimal jackknife; B. Efron and R. J. Tibshirani, "An introduction to the bootstrap",
1993, ch. 21): an interval of their mean, such as `bench.stats.bootstrap.two_level`, is one of the
number.
"""

from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from bench.stats.calibration import Forecasts, selective_accuracy
from bench.stats.metrics import Counts, macro_f1

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
    half a success and half a failure more, so that the variance is never 0. In simulations a
    nominal 95% covers 95 to 97%, but 91% with seven samples a class, where F1 itself is biased.

    Args:
        counts: Of `bench.stats.confusion`, (K, K + 1), at least one sample.

    Returns:
        At least 1.

    Raises:
        ValueError: If there is no sample, or the shape is another.
    """
    k, present = len(counts), counts.sum(axis=1) > 0
    wrong = 0.5 / max(k - 1, 1)
    more = counts.astype(np.float64)
    more[present, :k] += wrong
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
