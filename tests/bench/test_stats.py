"""Wilson's interval: against an independent implementation, at its ends, and its refusals."""

import pytest
from scipy.stats import binomtest

from bench.stats import Interval, wilson


@pytest.mark.parametrize("n", [1, 2, 7, 100, 3068])
@pytest.mark.parametrize("share", [0.0, 0.14, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_agrees_with_scipy(n: int, share: float, confidence: float) -> None:
    successes = round(share * n)
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    got = wilson(successes, n, confidence)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_value_by_hand() -> None:
    # 8 of 10 with z = 1.96: centre (0.8 + 0.19207) / 1.38415, half width 0.22659.
    assert wilson(8, 10).low == pytest.approx(0.49016, abs=1e-5)
    assert wilson(8, 10).high == pytest.approx(0.94332, abs=1e-5)


@pytest.mark.parametrize("n", [1, 3, 10, 49, 1000])
def test_ends_are_exact(n: int) -> None:
    assert wilson(0, n).low == 0.0 < wilson(0, n).high
    assert wilson(n, n).high == 1.0 > wilson(n, n).low


def test_fractional_successes_lie_between_whole_ones() -> None:
    lower, between, upper = wilson(7, 10), wilson(7.5, 10), wilson(8, 10)
    assert lower.low < between.low < upper.low
    assert lower.high < between.high < upper.high


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0), (float("nan"), 5)])
def test_what_is_no_proportion_is_refused(successes: float, n: int) -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_fraction(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        wilson(3, 5, confidence)


def test_intervals_compare_by_value() -> None:
    assert Interval(0.1, 0.2) == Interval(0.1, 0.2) != Interval(0.1, 0.3)
