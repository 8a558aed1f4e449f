"""How well predictions match labels, and what perturbations cost: pure functions.

Codes are positions in a data set's list of K class names. A prediction of -1 is a tie between
classes, or undefined: an error of its label's class and a prediction of none. It has a column of
its own in the counts, so that recall is over the full support. Errors are 1 - accuracy; all are
fractions, not percent. An outcome that has no value is None, and each function says when.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.stats.proportions import of_same_samples

#: (K, K + 1): by label and prediction, the last column ties; whole, or weighted.
Counts = NDArray[Any]


def confusion(labels: ArrayLike, predictions: ArrayLike, classes: int) -> Counts:
    """Count samples by label (row) and prediction (column).

    Args:
        labels: Class codes, integers in [0, K), (N,).
        predictions: Class codes, integers in [-1, K), (N,); -1 for a tie.
        classes: The number of classes K.

    Returns:
        Counts, (K, K + 1). The last column holds the ties, so rows sum to the classes' support.

    Raises:
        ValueError: If the lengths differ, or a code is out of its range.
    """
    truth, guess = (
        _codes("labels", labels, 0, classes),
        _codes("predictions", predictions, -1, classes),
    )
    if truth.shape != guess.shape:
        raise ValueError(f"{truth.shape} labels do not pair with {guess.shape} predictions")
    width = classes + 1
    cells = truth * width + np.where(guess < 0, classes, guess)
    return np.bincount(cells, minlength=classes * width).reshape(classes, width).astype(np.int64)


def accuracy(counts: Counts) -> float:
    """Share of samples recognised; FER papers call it weighted average recall (WAR).

    WAR weighs each class recall by the class's share of the samples, which is the plain share of
    correct samples (Schuller et al., "Cross-corpus acoustic emotion recognition", 2010).

    Args:
        counts: Of `confusion`, (K, K + 1), at least one sample.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample, or the shape is another.
    """
    right, support, _ = _margins(counts)
    return float(right.sum() / support.sum())


def per_class_recall(counts: Counts) -> NDArray[np.float64]:
    """Share of each class's samples that is recognised: TP / (TP + FN), with ties among the FN.

    Args:
        counts: Of `confusion`, (K, K + 1), at least one sample.

    Returns:
        Fractions in [0, 1], (K,); NaN for a class that does not occur among the labels.

    Raises:
        ValueError: If there is no sample, or the shape is another.
    """
    right, support, _ = _margins(counts)
    recalls = np.full(len(right), np.nan)
    return np.divide(right, support, out=recalls, where=support > 0)


def uar(counts: Counts) -> float:
    """Unweighted average recall: the mean recall of the classes that occur among the labels.

    Schuller et al., "The INTERSPEECH 2009 emotion challenge". A class without a sample has no
    recall and is left out, so UAR on a subset averages over fewer classes.

    Args:
        counts: Of `confusion`, (K, K + 1), at least one sample.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample, or the shape is another.
    """
    return float(np.nanmean(per_class_recall(counts)))


def macro_f1(counts: Counts) -> float:
    """Mean over classes of F1 = 2 TP / (2 TP + FP + FN), the averaged F1 of Opitz and Burst (2019).

    A class that is neither a label nor a prediction has F1 = 0/0 and is left out: counted as 0 it
    would punish a subset for what it does not contain, counted as 1 reward it. A class that is
    predicted without occurring counts, with F1 = 0.

    Args:
        counts: Of `confusion`, (K, K + 1), at least one sample.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample, or the shape is another.
    """
    right, support, predicted = _margins(counts)
    total = support + predicted  # = 2 TP + FP + FN
    return float(np.mean(2 * right[total > 0] / total[total > 0]))


def _codes(what: str, values: ArrayLike, least: int, classes: int) -> NDArray[np.intp]:
    """As integers (N,), all in [least, classes)."""
    codes: NDArray[Any] = np.asarray(values)
    if codes.ndim != 1 or (codes.size and codes.dtype.kind not in "iu"):
        raise ValueError(f"{what} are integer codes (N,), not {codes.dtype} {codes.shape}")
    if codes.size and not least <= codes.min() <= codes.max() < classes:
        extremes = f"{codes.min()} to {codes.max()}"
        raise ValueError(f"{what} of {classes} classes lie in [{least}, {classes}), not {extremes}")
    return codes.astype(np.intp)


def _margins(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Per class, (K,): samples recognised, samples, predictions."""
    table = np.asarray(counts)
    if table.ndim != 2 or table.shape[1] != table.shape[0] + 1:
        raise ValueError(f"counts are classes x (classes and ties), not {table.shape}")
    if not table.any():
        raise ValueError("no samples: nothing to measure")
    return table.diagonal(), table.sum(axis=1), table[:, :-1].sum(axis=0)


# ------------------------------------------------------------------------------------------------
# Whether two classifiers fail on the same samples.


def error_consistency(first: ArrayLike, second: ArrayLike) -> float | None:
    """Cohen's kappa of two classifiers' being right or wrong on the same samples.

    R. Geirhos, K. Meding and F. A. Wichmann, "Beyond accuracy: quantifying trial-by-trial behaviour
    of CNNs and humans by measuring error consistency" (NeurIPS 2020), eqs. 1-3: of the agreement
    beyond what independent classifiers of these accuracies would show, the share that is found.
    kappa = (c_obs - c_exp) / (1 - c_exp) with c_exp = p q + (1 - p) (1 - q).

    Args:
        first: Whether the first classifier recognises each sample, bool (N,).
        second: The same of the second classifier on the same samples, bool (N,).

    Returns:
        In [-1, 1]; 0 for independent errors, 1 for errors on the same samples. None where either is
        always right or always wrong: agreement is then settled by the accuracies and says nothing.

    Raises:
        ValueError: If there is no sample, or the lengths differ.
    """
    one, other = of_same_samples(first, second)
    n, right, others = len(one), int(one.sum()), int(other.sum())
    if {right, others} & {0, n}:
        return None
    expected = right * others + (n - right) * (n - others)  # n^2 c_exp
    observed = n * int((one == other).sum())  # n^2 c_obs
    return (observed - expected) / (n**2 - expected)


# ------------------------------------------------------------------------------------------------
# What perturbations cost: of accuracies and errors over severities, and of decisions.


def corruption_error(errors: Sequence[float], reference: Sequence[float]) -> float | None:
    """CE: errors under one corruption in units of a reference classifier's.

    D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions
    and perturbations" (ICLR 2019), sec. 4.2: CE = sum_s E[s] / sum_s E_ref[s]. The number means
    nothing without the reference, which belongs into its name.

    Args:
        errors: The classifier's, in [0, 1], one per severity, at least one.
        reference: The reference's on the same samples, severity by severity.

    Returns:
        1 for the reference itself; None where the reference makes no error at all.

    Raises:
        ValueError: If there is no severity, or the lengths differ.
    """
    _paired(errors, reference)
    return _ratio(fsum(errors), fsum(reference))


def relative_corruption_error(
    errors: Sequence[float], clean: float, reference: Sequence[float], reference_clean: float
) -> float | None:
    """rCE: what one corruption adds to the error, in units of what it adds to a reference's.

    Hendrycks and Dietterich (2019), sec. 4.2: rCE = sum_s (E[s] - E[clean]) / sum_s (E_ref[s] -
    E_ref[clean]). A classifier that is poor on clean pictures already has little left to lose.

    Args:
        errors: The classifier's, in [0, 1], one per severity, at least one.
        clean: Its error on the same samples, unperturbed.
        reference: The reference's, severity by severity.
        reference_clean: The reference's error on the unperturbed samples.

    Returns:
        None where the corruption costs the reference nothing: there is no unit then.

    Raises:
        ValueError: If there is no severity, or the lengths differ.
    """
    _paired(errors, reference)
    added = fsum(error - clean for error in errors)
    return _ratio(added, fsum(error - reference_clean for error in reference))


def mean_corruption_error(each: Sequence[float | None]) -> float | None:
    """The mean of the CEs of all corruptions (mCE), or of their rCEs (relative mCE).

    Hendrycks and Dietterich (2019), sec. 4.2.

    Args:
        each: Of each corruption, at least one.

    Returns:
        None if a corruption has none: a mean over the others would be of another benchmark.

    Raises:
        ValueError: If there is no corruption.
    """
    if len(each) < 1:
        raise ValueError("no corruptions: nothing to average")
    known = [error for error in each if error is not None]
    return fsum(known) / len(known) if len(known) == len(each) else None


def relative_drop(clean: float, perturbed: float) -> float | None:
    """Share of the accuracy on clean pictures that a perturbation takes.

    Args:
        clean: Accuracy on clean pictures, in [0, 1].
        perturbed: Accuracy on the same pictures, perturbed.

    Returns:
        At most 1, negative for a gain; None where the clean accuracy is 0.
    """
    return _ratio(clean - perturbed, clean)


def area_under_curve(levels: Sequence[float], accuracies: ArrayLike) -> NDArray[np.float64]:
    """Mean height of the accuracy-severity curve, by the trapezoidal rule, from clean on.

    Unlike the mean over severities it counts the clean accuracy, and levels by their distance.

    Args:
        levels: Of severity, or budgets eps, ascending; the first is clean, usually 0.
        accuracies: At each level, in [0, 1], (L,); or of several curves at once, (L, ...).

    Returns:
        The area over the range of levels: fractions in [0, 1], (...).

    Raises:
        ValueError: If there are fewer than two levels, they do not ascend, or the lengths differ.
    """
    heights = np.asarray(accuracies, np.float64)
    _curve(levels, heights)
    return np.asarray(np.trapezoid(heights, levels, axis=0) / (levels[-1] - levels[0]))


def half_drop(levels: Sequence[float], accuracies: Sequence[float], chance: float) -> float | None:
    """The level at which accuracy has fallen half way from clean to chance.

    Accuracy is taken to be linear between levels. Where the curve falls below half way more than
    once, the first time counts.

    Args:
        levels: Of severity, or budgets eps, ascending; the first is clean, usually 0.
        accuracies: At each level, in [0, 1].
        chance: Accuracy of guessing: 1 / K for K classes.

    Returns:
        In the unit of the levels; None if it is never reached, or if the clean accuracy is no
        better than chance, so that there is nothing to lose.

    Raises:
        ValueError: If there are fewer than two levels, they do not ascend, or the lengths differ.
    """
    _curve(levels, accuracies)
    half = (accuracies[0] + chance) / 2
    if accuracies[0] <= chance:
        return None
    for (a, b), (p, q) in zip(pairwise(levels), pairwise(accuracies), strict=True):
        if q <= half:
            return a + (b - a) * (p - half) / (p - q)
    return None


def flip_probability(predictions: ArrayLike, noise: bool = False) -> float:
    """FP: how often the decision changes along a sequence of perturbed versions of a picture.

    Hendrycks and Dietterich (2019), sec. 4.3: the share of frames 2 to T whose decision differs
    from that of the frame before; for noise, whose frames do not follow from each other, from that
    of the first frame, which is the clean one. A tie (-1) is a decision of its own.

    Args:
        predictions: Codes, (N, T): N sequences of T frames, at least two.
        noise: Whether frames are independent draws rather than steps of a change.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sequence, or fewer than two frames.
    """
    return float(flip_shares(predictions, noise).mean())


def flip_shares(predictions: ArrayLike, noise: bool = False) -> NDArray[np.float64]:
    """What each sequence contributes to `flip_probability`, which is their mean.

    Args:
        predictions: Codes, (N, T): N sequences of T frames, at least two.
        noise: As in `flip_probability`.

    Returns:
        The share of frames 2 to T at which the decision changes, (N,).

    Raises:
        ValueError: If there is no sequence, or fewer than two frames.
    """
    decisions = np.asarray(predictions)
    if decisions.ndim != 2 or decisions.shape[0] < 1 or decisions.shape[1] < 2:
        raise ValueError(f"decisions are sequences x frames, 2 or more, not {decisions.shape}")
    before = decisions[:, :1] if noise else decisions[:, :-1]
    return np.asarray(np.mean(decisions[:, 1:] != before, axis=1))


def flip_rate(probability: float, reference: float) -> float | None:
    """FR: a flip probability in units of a reference classifier's.

    Hendrycks and Dietterich (2019), sec. 4.3; the mean over perturbations is mFR.

    Returns:
        None where the reference never flips.
    """
    return _ratio(probability, reference)


def _ratio(amount: float, unit: float) -> float | None:
    """None where the unit is not positive, but for rounding."""
    return amount / unit if unit > 1e-12 else None


def _paired(errors: Sequence[float], reference: Sequence[float]) -> None:
    if len(errors) < 1 or len(errors) != len(reference):
        raise ValueError(f"{len(errors)} and {len(reference)} errors are not the same severities")


def _curve(levels: Sequence[float], accuracies: Sequence[float] | NDArray[np.float64]) -> None:
    if len(levels) != len(accuracies) or len(levels) < 2:
        raise ValueError(f"{len(levels)} levels and {len(accuracies)} accuracies make no curve")
    if any(b <= a for a, b in pairwise(levels)):
        raise ValueError(f"levels ascend from clean on, these do not: {list(levels)}")
