"""Intervals and tests: against independent implementations, and their refusals.

How often intervals cover and tests reject is in `test_coverage`.
"""

from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from bench.stats import (
    Interval,
    clopper_pearson,
    detectable_difference,
    holm,
    mcnemar,
    mean_of_proportions,
    newcombe,
    range_of_proportions,
    tango,
    wilson,
)
from bench.util import rng


@pytest.mark.parametrize("n", [1, 2, 7, 100, 3068])
@pytest.mark.parametrize("share", [0.0, 0.14, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_agrees_with_scipy(n: int, share: float, confidence: float) -> None:
    successes = round(share * n)
    for method, interval in (("wilson", wilson), ("exact", clopper_pearson)):
        expected = binomtest(successes, n).proportion_ci(confidence, method=method)
        got = interval(successes, n, confidence)
        assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_value_by_hand() -> None:
    # 8 of 10 with z = 1.96: centre (0.8 + 0.19207) / 1.38415, half width 0.22659.
    assert wilson(8, 10).low == pytest.approx(0.49016, abs=1e-5)
    assert wilson(8, 10).high == pytest.approx(0.94332, abs=1e-5)


@pytest.mark.parametrize("n", [1, 3, 10, 49, 1000])
def test_ends_are_exact(n: int) -> None:
    for interval in (wilson, clopper_pearson):
        assert interval(0, n).low == 0.0 < interval(0, n).high
        assert interval(n, n).high == 1.0 > interval(n, n).low
    # Closed forms: (alpha / 2)^(1 / n), and by the normal quantile z: n / (n + z^2).
    assert clopper_pearson(n, n).low == pytest.approx(0.025 ** (1 / n))
    assert wilson(n, n).low == pytest.approx(n / (n + norm.ppf(0.975) ** 2))


def test_fractional_successes_lie_between_whole_ones() -> None:
    lower, between, upper = wilson(7, 10), wilson(7.5, 10), wilson(8, 10)
    assert lower.low < between.low < upper.low
    assert lower.high < between.high < upper.high


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0), (float("nan"), 5)])
def test_what_is_no_proportion_is_refused(successes: float, n: int) -> None:
    for interval in (wilson, clopper_pearson, lambda x, n: newcombe(3, 5, x, n)):
        with pytest.raises(ValueError, match="not a proportion"):
            interval(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_fraction(confidence: float) -> None:
    for interval in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match="confidence"):
            interval(3, 5, confidence)


def test_intervals_compare_by_value() -> None:
    assert Interval(0.1, 0.2) == Interval(0.1, 0.2) != Interval(0.1, 0.3)


@pytest.mark.parametrize(
    "counts", [(56, 70, 48, 80), (10, 10, 0, 20), (0, 10, 0, 20), (9, 10, 3, 10)]
)
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_newcombe_agrees_with_statsmodels(counts: tuple[int, ...], confidence: float) -> None:
    alpha = 1 - confidence
    expected = confint_proportions_2indep(*counts, method="newcomb", alpha=alpha)
    got = newcombe(*counts, confidence)
    assert (got.low, got.high) == pytest.approx(expected, abs=1e-12)


def test_newcombe_s_own_example() -> None:
    # Newcombe (1998), table II, (a) under method 10: 56/70 - 48/80.
    got = newcombe(56, 70, 48, 80)
    assert (got.low, got.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_a_gap_of_two_is_their_difference() -> None:
    difference = newcombe(56, 70, 48, 80)
    assert range_of_proportions([48, 56], [80, 70]) == difference
    # A gap has no sign: of a difference that may be 0, the farther end.
    unclear = newcombe(50, 70, 55, 80)
    found = range_of_proportions([50, 55], [70, 80])
    assert found == Interval(0, max(unclear.high, -unclear.low))


def test_a_gap_of_several_is_that_of_a_few_lines() -> None:
    successes, n = [20, 300, 50, 130], [30, 329, 74, 160]
    limits = [
        newcombe(successes[i], n[i], successes[j], n[j], 1 - 0.05 / 6)
        for i in range(4) for j in range(4) if i != j
    ]  # fmt: skip
    expected = Interval(max(i.low for i in limits), max(i.high for i in limits))
    assert range_of_proportions(successes, n) == expected
    assert expected.low > 0
    assert range_of_proportions(successes[::-1], n[::-1]) == expected


def test_groups_all_right_or_one_alone() -> None:
    perfect = range_of_proportions([30, 50], [30, 50])
    assert perfect.low == 0 < perfect.high < 0.2
    for successes, n in (([5], [10]), ([], []), ([5, 6], [10])):
        with pytest.raises(ValueError, match="two groups or more"):
            range_of_proportions(successes, n)
    with pytest.raises(ValueError, match="not a proportion"):
        range_of_proportions([5, 0], [10, 0])


def split(gained: int, lost: int, same: int = 5) -> tuple[list[bool], list[bool]]:
    """Two classifiers that differ on `gained` + `lost` samples."""
    first = [True] * gained + [False] * lost + [True] * same
    return first, [False] * gained + [True] * lost + [True] * same


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (1, 0), (3, 3), (4, 3), (2, 9), (60, 31), (0, 900), (400, 470)]
)
def test_mcnemar_agrees_with_scipy_and_statsmodels(gained: int, lost: int) -> None:
    p = mcnemar(*split(gained, lost))
    table = [[5, gained], [lost, 0]]
    assert p == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue, rel=1e-9)
    if gained + lost:
        assert p == pytest.approx(binomtest(gained, gained + lost).pvalue, rel=1e-9)


def test_mcnemar_by_hand_and_symmetric() -> None:
    assert mcnemar(*split(1, 5)) == pytest.approx(2 * (1 + 6) / 2**6)
    first, second = split(7, 2)
    assert mcnemar(first, second) == mcnemar(second, first)


@pytest.mark.parametrize("discordant", [1, 2, 17, 60, 301, 900])
def test_mcnemar_is_exact_in_whole_numbers(discordant: int) -> None:
    for gained in {0, discordant // 3, discordant // 2 - 1, discordant // 2} - {-1}:
        tail = sum(comb(discordant, i) for i in range(gained + 1))
        exact = min(1.0, float(Fraction(2 * tail, 2**discordant)))
        assert mcnemar(*split(gained, discordant - gained)) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize(("first", "second"), [([], []), ([True], [True, False])])
def test_mcnemar_needs_the_same_samples(first: list[bool], second: list[bool]) -> None:
    with pytest.raises(ValueError, match="not the same samples"):
        mcnemar(first, second)


@pytest.mark.parametrize("values", [[0.01, 0.04, 0.03, 0.005], [0.5], [0.9, 0.8, 0.04, 0.04], []])
def test_holm_agrees_with_statsmodels(values: list[float]) -> None:
    expected = multipletests(values, method="holm")[1] if values else []
    assert holm(values) == pytest.approx(list(expected), abs=1e-15)


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        holm([0.2, float("nan")])


@pytest.mark.parametrize(("n", "discordant"), [(200, 0.2), (1050, 0.05), (3068, 0.1), (436, 0.6)])
def test_a_detectable_difference_solves_connors_formula(n: int, discordant: float) -> None:
    d = detectable_difference(n, discordant)
    assert d is not None
    z_a, z_b = norm.ppf(0.975), norm.ppf(0.8)
    needed = (z_a * sqrt(discordant) + z_b * sqrt(discordant - d**2)) ** 2 / d**2
    assert needed == pytest.approx(n, rel=1e-9)


def test_a_detectable_difference_is_detected_as_often_as_it_says() -> None:
    n, discordant = 600, 0.12
    d = detectable_difference(n, discordant)
    source = rng.generator("power")
    shares = [(discordant + d) / 2, (discordant - d) / 2, 1 - discordant]
    found = sum(
        mcnemar(*split(int(gained), int(lost))) < 0.05
        for gained, lost, _ in source.multinomial(n, shares, 800)
    )
    # The exact test is a little less powerful than the approximate one of the formula.
    assert 0.72 < found / 800 < 0.84


def test_no_difference_is_detectable_with_too_few_samples() -> None:
    assert detectable_difference(10, 0.1) is None
    assert detectable_difference(1000, 0.0) is None
    with pytest.raises(ValueError, match="no such design"):
        detectable_difference(0, 0.1)


def test_the_mean_of_one_proportion_has_nearly_its_own_interval() -> None:
    found, own = mean_of_proportions([70], [100]), wilson(70, 100)
    assert (found.low, found.high) == pytest.approx((own.low, own.high), abs=0.002)


def test_equal_recalls_of_equal_classes_have_the_interval_of_accuracy() -> None:
    found, own = mean_of_proportions([68] * 7, [72] * 7), wilson(7 * 68, 7 * 72)
    assert (found.low, found.high) == pytest.approx((own.low, own.high), abs=0.001)


def test_the_mean_of_proportions_by_hand() -> None:
    # (x + 1/2) / (n + 1): 0.8333 of 2/2 and twice 0.5 of 1/2, so u(1 - u) = 0.2377 at u = 0.6111,
    # and the variance of the mean is (0.1389 + 0.25 + 0.25) / 2 / 9 = 0.03549.
    found, own = mean_of_proportions([2, 1, 1], [2, 2, 2]), wilson(2 / 3 * 6.6957, 6.6957)
    assert (found.low, found.high) == pytest.approx((own.low, own.high), abs=1e-4)


def test_tango_rejects_what_the_score_test_rejects() -> None:
    n, gained, lost = 60, 9, 3
    for d in (tango(gained, lost, n).low, tango(gained, lost, n).high):
        # The chance of `lost` under the hypothesis, by brute force instead of the closed form.
        grid = np.linspace(max(0.0, -d), (1 - d) / 2, 2_000_001)[1:-1]
        both = n - gained - lost
        with np.errstate(divide="ignore"):
            likelihood = gained * np.log(grid + d) + lost * np.log(grid)
            likelihood += both * np.log(1 - 2 * grid - d)
        q = grid[np.argmax(likelihood)]
        z = (gained - lost - n * d) / np.sqrt(n * (2 * q + d - d**2))
        assert abs(z) == pytest.approx(1.95996, abs=1e-4)


def test_tango_where_nothing_is_discordant() -> None:
    found, square = tango(0, 0, 504), 1.959964**2
    end = square / (504 + square)
    assert (found.low, found.high) == pytest.approx((-end, end))
    turned, other = tango(3, 1, 50), tango(1, 3, 50)
    assert (turned.low, turned.high) == pytest.approx((-other.high, -other.low))
    assert tango(20, 0, 20).high == 1 and tango(0, 20, 20).low == -1


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_tango_needs_counts(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"not a proportion|no counts"):
        tango(*counts)


def test_the_mean_of_no_proportion_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to average"):
        mean_of_proportions([], [])
