"""How well predictions match labels: pure functions on arrays of class names, one per estimator.

Labels and predictions are names, never ids. A prediction of None or NaN is a tie between classes:
it equals no label, so it is an error of its label's class and a prediction of none.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Share of samples recognised; FER papers call it weighted average recall (WAR).

    WAR weighs each class recall by the class's share of the samples, which is the plain share of
    correct samples (Schuller et al., "Cross-corpus acoustic emotion recognition", 2010).

    Args:
        labels: Names, (N,), at least one.
        predictions: Names or None, (N,).

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample, or the lengths differ.
    """
    truth, guess = _paired(labels, predictions)
    return float(np.mean(truth == guess))


def per_class_recall(
    labels: ArrayLike, predictions: ArrayLike, classes: Sequence[str]
) -> NDArray[np.float64]:
    """Of each class's samples, the share recognised: TP / (TP + FN), with ties among the FN.

    Args:
        labels: Names, (N,), at least one.
        predictions: Names or None, (N,).
        classes: The K class names, in the order of the result.

    Returns:
        Fractions in [0, 1], (K,); NaN for a class that does not occur among the labels.

    Raises:
        ValueError: If there is no sample, the lengths differ, or a name is not a class.
    """
    truth, guess = _paired(labels, predictions, classes)
    recalls = np.full(len(classes), np.nan)
    for k, name in enumerate(classes):
        own = truth == name
        if own.any():
            recalls[k] = np.mean(guess[own] == name)
    return recalls


def uar(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Unweighted average recall: the mean recall of the classes that occur among the labels.

    Schuller et al., "The INTERSPEECH 2009 emotion challenge". A class without a sample has no
    recall and is left out, so UAR on a subset averages over fewer classes.

    Args:
        labels: Names, (N,), at least one.
        predictions: Names or None, (N,).

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample, or the lengths differ.
    """
    truth, guess = _paired(labels, predictions)
    return float(np.mean([np.mean(guess[truth == name] == name) for name in sorted(set(truth))]))


def macro_f1(labels: ArrayLike, predictions: ArrayLike, classes: Sequence[str]) -> float:
    """Mean over classes of F1 = 2 TP / (2 TP + FP + FN), the averaged F1 of Opitz and Burst (2019).

    A class that is neither a label nor a prediction has F1 = 0/0 and is left out: counted as 0 it
    would punish a subset for what it does not contain, counted as 1 reward it. A class that is
    predicted without occurring counts, with F1 = 0.

    Args:
        labels: Names, (N,), at least one.
        predictions: Names or None, (N,).
        classes: The data set's K class names.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If there is no sample, the lengths differ, or a name is not a class.
    """
    truth, guess = _paired(labels, predictions, classes)
    scores = []
    for name in classes:
        own, named = truth == name, guess == name
        total = own.sum() + named.sum()  # = 2 TP + FP + FN
        if total:
            scores.append(2 * (own & named).sum() / total)
    return float(np.mean(scores))


def confusion_matrix(
    labels: ArrayLike, predictions: ArrayLike, classes: Sequence[str]
) -> NDArray[np.int64]:
    """Count samples by label (row) and prediction (column).

    A tie appears in no column, so a row may sum to less than its class's support. Recall is
    therefore the diagonal over the support (`per_class_recall`), not over the row's sum.

    Args:
        labels: Names, (N,), at least one.
        predictions: Names or None, (N,).
        classes: The K class names, in the order of rows and columns.

    Returns:
        Counts, (K, K).

    Raises:
        ValueError: If there is no sample, the lengths differ, or a name is not a class.
    """
    truth, guess = _paired(labels, predictions, classes)
    order = {name: k for k, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for label, prediction in zip(truth, guess, strict=True):
        if prediction is not None:
            counts[order[label], order[prediction]] += 1
    return counts


def _paired(
    labels: ArrayLike, predictions: ArrayLike, classes: Sequence[str] | None = None
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Both as arrays of objects, ties as None; checked against each other and the classes."""
    truth = np.asarray(labels, dtype=object)
    # NaN is how pandas hands a null back; it is the only value that differs from itself.
    guess = np.array([None if p != p else p for p in np.asarray(predictions, dtype=object)], object)
    if truth.ndim != 1 or truth.shape != guess.shape:
        raise ValueError(f"{truth.shape} labels do not pair with {guess.shape} predictions")
    if not len(truth):
        raise ValueError("no samples: nothing to measure")
    if classes is not None:
        strange = (set(truth) | set(guess) - {None}) - set(classes)
        if strange:
            names = ", ".join(sorted(map(str, strange)))
            raise ValueError(f"not among the classes {', '.join(classes)}: {names}")
    return truth, guess
