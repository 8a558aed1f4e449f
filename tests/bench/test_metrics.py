"""Estimators on a case counted by hand.

label    predictions             recall   predicted (right + wrong)
happy    happy happy sad tie     2/4      happy: 2 + 1
sad      sad happy               1/2      sad:   1 + 1
angry    (none)                  -        angry: 0 + 1, by the one of neutral
neutral  angry                   0/1      neutral: 0
fear     (none, never predicted)
"""

import numpy as np
import pandas as pd
import pytest

from bench import metrics

CLASSES = ["happy", "sad", "angry", "neutral", "fear"]
LABELS = ["happy"] * 4 + ["sad"] * 2 + ["neutral"]
PREDICTIONS = ["happy", "happy", "sad", None, "sad", "happy", "angry"]


def test_accuracy_counts_a_tie_as_an_error() -> None:
    assert metrics.accuracy(LABELS, PREDICTIONS) == pytest.approx(3 / 7)


def test_uar_is_over_the_classes_that_occur() -> None:
    assert metrics.uar(LABELS, PREDICTIONS) == pytest.approx((2 / 4 + 1 / 2 + 0) / 3)


def test_recall_is_over_the_full_support() -> None:
    recall = metrics.per_class_recall(LABELS, PREDICTIONS, CLASSES)
    np.testing.assert_allclose(recall, [0.5, 0.5, np.nan, 0.0, np.nan])


def test_macro_f1_leaves_out_only_what_neither_occurs_nor_is_predicted() -> None:
    # 2 TP / (support + predicted): happy 4/7, sad 2/4, angry 0/1, neutral 0/1; fear left out.
    expected = (4 / 7 + 2 / 4 + 0 + 0) / 4
    assert metrics.macro_f1(LABELS, PREDICTIONS, CLASSES) == pytest.approx(expected)


def test_confusion_rows_are_labels_and_a_tie_is_in_no_column() -> None:
    counts = metrics.confusion_matrix(LABELS, PREDICTIONS, CLASSES)
    assert counts.dtype == np.int64
    assert counts.tolist() == [
        [2, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_ties_may_be_none_or_nan_in_lists_or_series() -> None:
    holes = [float("nan") if p is None else p for p in PREDICTIONS]
    for predictions in (holes, pd.Series(PREDICTIONS), pd.Series(PREDICTIONS, dtype="str")):
        assert metrics.accuracy(LABELS, predictions) == pytest.approx(3 / 7)
        counts = metrics.confusion_matrix(LABELS, predictions, CLASSES)
        assert counts.sum() == len(LABELS) - 1


def test_all_ties_score_zero() -> None:
    ties = [None] * len(LABELS)
    assert metrics.accuracy(LABELS, ties) == metrics.uar(LABELS, ties) == 0.0
    assert metrics.macro_f1(LABELS, ties, CLASSES) == 0.0
    assert metrics.confusion_matrix(LABELS, ties, CLASSES).sum() == 0


def test_all_right_scores_one_with_classes_absent() -> None:
    assert metrics.uar(LABELS, LABELS) == metrics.macro_f1(LABELS, LABELS, CLASSES) == 1.0


def test_class_order_moves_rows_not_scores() -> None:
    turned = CLASSES[::-1]
    counts = metrics.confusion_matrix(LABELS, PREDICTIONS, CLASSES)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(LABELS, PREDICTIONS, turned), counts[::-1, ::-1]
    )
    f1 = metrics.macro_f1(LABELS, PREDICTIONS, turned)
    assert f1 == pytest.approx(metrics.macro_f1(LABELS, PREDICTIONS, CLASSES))


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        metrics.accuracy([], [])


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="do not pair"):
        metrics.uar(LABELS, PREDICTIONS[:-1])


@pytest.mark.parametrize(
    ("labels", "predictions"), [(["glad"], ["happy"]), (["happy"], ["glad"])], ids=["label", "pred"]
)
@pytest.mark.parametrize(
    "estimator", [metrics.per_class_recall, metrics.macro_f1, metrics.confusion_matrix]
)
def test_a_name_that_is_no_class_is_named(estimator, labels, predictions) -> None:
    with pytest.raises(ValueError, match="glad"):
        estimator(labels, predictions, CLASSES)
