"""Estimators on a case counted by hand, and on random cases against loops over the samples.

label    predictions             recall   predicted (right + wrong)
happy    happy happy sad tie     2/4      happy: 2 + 1
sad      sad happy               1/2      sad:   1 + 1
angry    (none)                  -        angry: 0 + 1, by the one of neutral
neutral  angry                   0/1      neutral: 0
fear     (none, never predicted)
"""

from statistics import fmean

import numpy as np
import pytest

from bench import stats as metrics
from bench.util import rng

HAPPY, SAD, ANGRY, NEUTRAL, FEAR, TIE = 0, 1, 2, 3, 4, -1
LABELS = [HAPPY] * 4 + [SAD] * 2 + [NEUTRAL]
PREDICTIONS = [HAPPY, HAPPY, SAD, TIE, SAD, HAPPY, ANGRY]
COUNTS = metrics.confusion(LABELS, PREDICTIONS, 5)


def test_rows_are_labels_and_the_last_column_ties() -> None:
    assert COUNTS.dtype == np.int64
    assert COUNTS.tolist() == [
        [2, 1, 0, 0, 0, 1],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]


def test_accuracy_counts_a_tie_as_an_error() -> None:
    assert metrics.accuracy(COUNTS) == pytest.approx(3 / 7)


def test_uar_is_over_the_classes_that_occur() -> None:
    assert metrics.uar(COUNTS) == pytest.approx((2 / 4 + 1 / 2 + 0) / 3)


def test_recall_is_over_the_full_support() -> None:
    recall = metrics.per_class_recall(COUNTS)
    np.testing.assert_allclose(recall, [0.5, 0.5, np.nan, 0.0, np.nan])


def test_macro_f1_leaves_out_only_what_neither_occurs_nor_is_predicted() -> None:
    # 2 TP / (support + predicted): happy 4/7, sad 2/4, angry 0/1, neutral 0/1; fear left out.
    assert metrics.macro_f1(COUNTS) == pytest.approx((4 / 7 + 2 / 4 + 0 + 0) / 4)


@pytest.mark.parametrize("seed", range(20))
def test_random_cases_agree_with_loops_over_the_samples(seed: int) -> None:
    source = rng.generator("recognition", seed)
    classes, n = int(source.integers(1, 8)), int(source.integers(1, 60))
    labels = source.integers(0, classes, n).astype(np.int8)
    predictions = source.integers(-1, classes, n).astype(np.int16)
    counts = metrics.confusion(labels, predictions, classes)
    pairs = list(zip(labels.tolist(), predictions.tolist(), strict=True))
    recalls = [[p == k for y, p in pairs if y == k] for k in range(classes)]
    scores = []
    for k in range(classes):
        tp = sum(y == p == k for y, p in pairs)
        fp, fn = sum(p == k != y for y, p in pairs), sum(y == k != p for y, p in pairs)
        scores += [2 * tp / (2 * tp + fp + fn)] if tp + fp + fn else []
    assert counts.sum() == n and counts[:, -1].sum() == sum(p < 0 for _, p in pairs)
    assert metrics.accuracy(counts) == pytest.approx(fmean(y == p for y, p in pairs))
    assert metrics.uar(counts) == pytest.approx(fmean(fmean(own) for own in recalls if own))
    assert metrics.macro_f1(counts) == pytest.approx(fmean(scores))
    found = metrics.per_class_recall(counts)
    assert [fmean(own) if own else None for own in recalls] == [
        None if np.isnan(value) else pytest.approx(value) for value in found
    ]


def test_all_ties_score_zero() -> None:
    counts = metrics.confusion(LABELS, [TIE] * len(LABELS), 5)
    assert metrics.accuracy(counts) == metrics.uar(counts) == metrics.macro_f1(counts) == 0.0


def test_all_right_scores_one_with_classes_absent() -> None:
    counts = metrics.confusion(LABELS, LABELS, 5)
    assert metrics.accuracy(counts) == metrics.uar(counts) == metrics.macro_f1(counts) == 1.0


def test_one_sample_is_enough_and_none_is_refused() -> None:
    assert metrics.uar(metrics.confusion([2], [2], 3)) == 1.0
    for estimator in (metrics.accuracy, metrics.per_class_recall, metrics.uar, metrics.macro_f1):
        with pytest.raises(ValueError, match="no samples"):
            estimator(metrics.confusion([], [], 3))


@pytest.mark.parametrize(
    ("labels", "predictions", "words"),
    [
        ([0, 1], [0], "do not pair"),
        ([-1], [0], "labels of 3 classes"),
        ([3], [0], "labels of 3 classes"),
        ([0], [-2], "predictions of 3 classes"),
        ([0], [3], "predictions of 3 classes"),
        ([0.0], [0], "integer codes"),
        ([[0]], [[0]], "integer codes"),
    ],
)
def test_what_is_no_pair_of_codes_is_refused(labels, predictions, words) -> None:
    with pytest.raises(ValueError, match=words):
        metrics.confusion(labels, predictions, 3)


def test_counts_without_a_column_of_ties_are_refused() -> None:
    with pytest.raises(ValueError, match="ties"):
        metrics.accuracy(COUNTS[:, :-1])
