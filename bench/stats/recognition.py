"""How well predictions match labels: counts of integer codes, and estimators on the counts.

Codes are positions in a data set's list of K class names. A prediction of -1 is a tie between
classes, or undefined: an error of its label's class and a prediction of none. It has a column of
its own in the counts, so that recall is over the full support.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise ValueError(f"{one.shape} and {other.shape} are not the same samples")
    n, right, others = len(one), int(one.sum()), int(other.sum())
    if {right, others} & {0, n}:
        return None
    expected = right * others + (n - right) * (n - others)  # n^2 c_exp
    observed = n * int((one == other).sum())  # n^2 c_obs
    return (observed - expected) / (n**2 - expected)
