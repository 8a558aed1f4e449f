"""Calibration: against loops over bins, scipy's softmax, hand counts and closed forms."""

from itertools import pairwise
from math import log
from statistics import fmean

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from bench import stats as metrics
from bench.util import rng


def case(seed: int, n: int = 300, classes: int = 7):
    source = rng.generator("calibration", seed)
    logits = source.normal(0, 2, (n, classes)).astype(np.float32)
    return logits, source.integers(0, classes, n)


def of_confidence(confidence: list[float], right: list[int]):
    """Forecasts over two classes with these confidences in class 0, right where it is the label."""
    p = np.array(confidence)
    logits = np.stack([np.log(p), np.log(1 - p)], axis=1)
    return metrics.forecasts(logits, 1 - np.array(right))


@pytest.mark.parametrize("seed", range(5))
def test_random_cases_agree_with_independent_arithmetic(seed: int) -> None:
    logits, labels = case(seed)
    given = metrics.forecasts(logits, labels)
    p = softmax(logits.astype(np.float64), axis=1)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    total = 0.0
    for low, high in pairwise(np.linspace(0, 1, 16)):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    assert metrics.ece(given) == pytest.approx(total / 300)
    # 300 distinct confidences make 15 bins of 20.
    order = np.argsort(confidence).reshape(15, 20)
    gaps = [abs(confidence[own].mean() - right[own].mean()) for own in order]
    assert metrics.adaptive_ece(given) == pytest.approx(fmean(gaps))
    chosen = log_softmax(logits.astype(np.float64), axis=1)[np.arange(300), labels]
    assert metrics.nll(given) == pytest.approx(-chosen.mean())
    assert metrics.brier(given) == pytest.approx(((p - np.eye(7)[labels]) ** 2).sum(1).mean())
    ranked = right[np.argsort(-confidence)]
    curve = [ranked[:i].mean() for i in range(1, 301)]
    np.testing.assert_allclose(metrics.selective_accuracy(given), curve)
    assert metrics.aurc(given) == pytest.approx(fmean(1 - a for a in curve))


def test_bins_of_a_diagram_by_hand() -> None:
    given = of_confidence([0.55, 0.58, 0.75, 0.95], [1, 0, 1, 1])
    bars = metrics.reliability(given, bins=5)
    assert bars.n.tolist() == [0, 0, 2, 1, 1]
    np.testing.assert_allclose(bars.confidence, [np.nan, np.nan, 0.565, 0.75, 0.95])
    np.testing.assert_allclose(bars.accuracy, [np.nan, np.nan, 0.5, 1, 1])
    assert bars.error == pytest.approx((2 * 0.065 + 0.25 + 0.05) / 4)


def test_an_upper_edge_belongs_to_its_bin() -> None:
    certain = metrics.forecasts([[1000.0, 0.0], [0.0, 0.0]], [0, 0])
    assert metrics.reliability(certain, bins=2).n.tolist() == [1, 1]  # 1/2 in (0, 1/2]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_does_not_matter_where_confidences_are_equal(seed: int) -> None:
    source = rng.generator("ties", seed)
    logits = source.integers(0, 2, (120, 3)).astype(float)
    labels, order = source.integers(0, 3, 120), source.permutation(120)
    given = metrics.forecasts(logits, labels)
    turned = metrics.forecasts(logits[order], labels[order])
    assert len(np.unique(given.confidence)) < 6
    for estimator in (metrics.ece, metrics.adaptive_ece, metrics.aurc, metrics.nll, metrics.brier):
        assert estimator(given) == pytest.approx(estimator(turned), abs=1e-12)
    curves = (metrics.selective_accuracy(each) for each in (given, turned))
    np.testing.assert_allclose(*curves, atol=1e-12)


def test_abstaining_at_random_among_equal_confidences() -> None:
    given = of_confidence([0.9, 0.7, 0.7, 0.7, 0.6], [1, 0, 1, 1, 0])
    # 2/3 of the three are right, in whatever order they stand.
    expected = [1, (1 + 2 / 3) / 2, (1 + 4 / 3) / 3, 3 / 4, 3 / 5]
    np.testing.assert_allclose(metrics.selective_accuracy(given), expected)


def test_equal_confidences_share_a_bin_of_equal_mass() -> None:
    constant = of_confidence([0.7] * 10, [1] * 6 + [0] * 4)
    bars = metrics.adaptive_reliability(constant, bins=5)
    assert sorted(bars.n) == [0, 0, 0, 0, 10]
    assert metrics.adaptive_ece(constant, bins=5) == pytest.approx(0.1)


def test_knowing_nothing_and_everything() -> None:
    labels = np.arange(7)
    nothing = metrics.forecasts(np.zeros((7, 7)), labels)
    assert metrics.nll(nothing) == pytest.approx(log(7))
    assert metrics.brier(nothing) == pytest.approx(6 / 7)
    assert not nothing.right.any()  # a tie is an error, not class 0
    sure = metrics.forecasts(1000 * np.eye(7), labels)
    assert metrics.nll(sure) == metrics.brier(sure) == metrics.ece(sure) == metrics.aurc(sure) == 0
    wrong = metrics.forecasts(1000 * np.eye(7), (labels + 1) % 7)
    assert (metrics.nll(wrong), metrics.brier(wrong), metrics.ece(wrong)) == (1000, 2, 1)


def test_nan_and_infinite_logits_are_left_out_and_counted() -> None:
    logits, labels = case(9)
    broken = logits.copy()
    broken[3, 1], broken[50, 0], broken[51] = np.nan, np.inf, -np.inf
    given = metrics.forecasts(broken, labels)
    rest = np.delete(np.arange(300), [3, 50, 51])
    kept = metrics.forecasts(logits[rest], labels[rest])
    assert (given.excluded, kept.excluded, len(given.labels)) == (3, 0, 297)
    assert metrics.ece(given) == metrics.ece(kept)
    none = metrics.forecasts(np.full((4, 3), np.nan), [0, 1, 2, 0])
    for estimator in (metrics.ece, metrics.adaptive_ece, metrics.nll, metrics.brier, metrics.aurc):
        with pytest.raises(ValueError, match="no samples with finite logits"):
            estimator(none)


def test_one_sample_is_enough() -> None:
    given = of_confidence([0.8], [1])
    assert metrics.ece(given) == pytest.approx(0.2)
    assert metrics.adaptive_ece(given) == pytest.approx(0.2)
    assert metrics.aurc(given) == 0


@pytest.mark.parametrize(
    ("labels", "words"), [([0], "do not pair"), ([0, 2], "lie in"), ([-1, 0], "lie in")]
)
def test_labels_that_do_not_fit_are_refused(labels: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        metrics.forecasts(np.zeros((2, 2)), labels)
