"""Bootstrap intervals: against closed forms, drawing, and statsmodels; and their refusals.

How often they cover is in `test_coverage`.
"""

from math import inf, pi, sqrt

import numpy as np
import pytest
from scipy.stats import binom, norm, t
from statsmodels.stats.weightstats import DescrStatsW

from bench.stats.bootstrap import two_level, two_level_difference, two_level_ratio
from bench.util import rng

DRAWS = rng.generator("bootstrap tests")
RIGHT = DRAWS.random((3, 400)) < np.array([[0.7], [0.75], [0.8]])
OTHER = RIGHT ^ (DRAWS.random((3, 400)) < 0.1)


def ends(interval) -> tuple[float, float]:
    return interval.low, interval.high


def test_one_seed_is_the_ordinary_bootstrap_of_a_mean() -> None:
    # Near normal: the interval of the z test, but for skewness.
    expected = DescrStatsW(RIGHT[0].astype(float)).zconfint_mean()
    assert ends(two_level(RIGHT[:1])) == pytest.approx(expected, abs=0.004)


def test_one_seed_of_right_and_wrong_has_binomial_percentiles() -> None:
    n, p = 400, RIGHT[0].mean()
    widening = t.ppf(0.975, n - 1) / norm.ppf(0.975) * sqrt(n / (n - 1))
    expected = [p + widening * (binom.ppf(q, n, p) / n - p) for q in (0.025, 0.975)]
    assert ends(two_level(RIGHT[:1])) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_convolution_and_cumulants_agree(confidence: float) -> None:
    shares = (DRAWS.integers(0, 5, (1, 300)) + DRAWS.integers(0, 2, (3, 300))) / 5
    # Multiples of pi have no common denominator, so they are not convolved.
    others = [end / pi for end in ends(two_level(pi * shares, confidence))]
    assert ends(two_level(shares, confidence)) == pytest.approx(others, abs=0.002)


@pytest.mark.parametrize("n", [60, 150])
def test_percentiles_without_drawing_are_those_of_drawing(n: int) -> None:
    scores = DRAWS.gamma(1.5, 1.0, n)
    means = scores[DRAWS.integers(0, n, (40_000, n))].mean(axis=1)
    widening = t.ppf(0.975, n - 1) / norm.ppf(0.975) * sqrt(n / (n - 1))
    drawn = scores.mean() + widening * (np.quantile(means, (0.025, 0.975)) - scores.mean())
    assert ends(two_level(scores[None])) == pytest.approx(drawn, rel=0.01)


def test_a_skewed_sample_has_a_skewed_interval() -> None:
    rare = np.arange(200) < 4
    low, high = ends(two_level(rare[None]))
    assert high - 0.02 > 1.2 * (0.02 - low) > 0


def test_a_pair_is_the_interval_of_its_differences() -> None:
    differences = RIGHT[0].astype(float) - OTHER[0]
    expected = DescrStatsW(differences).zconfint_mean()
    assert ends(two_level_difference(RIGHT[:1], OTHER[:1])) == pytest.approx(expected, abs=0.003)
    unpaired = two_level_difference(RIGHT[:1], OTHER[:1, ::-1])
    paired = two_level_difference(RIGHT[:1], OTHER[:1])
    assert unpaired.high - unpaired.low > 1.5 * (paired.high - paired.low)


def test_equal_arms_and_constant_scores_have_no_width() -> None:
    assert ends(two_level_difference(RIGHT, RIGHT)) == (0, 0)
    assert ends(two_level(np.ones((3, 5)))) == (1, 1)
    assert ends(two_level_ratio(4 * RIGHT + 4, RIGHT + 1)) == (4, 4)


def test_samples_are_shared_by_the_seeds_of_a_draw() -> None:
    # The same outcomes three times say no more about pictures than one of them.
    tripled = np.repeat(RIGHT[:1], 3, axis=0)
    assert ends(two_level(tripled)) == pytest.approx(ends(two_level(RIGHT[:1])), abs=1e-12)


def test_seeds_that_are_all_that_differs_make_a_t_interval() -> None:
    seeds = np.array([0.5, 0.6, 0.8])
    expected = DescrStatsW(seeds).tconfint_mean()
    assert ends(two_level(seeds[:, None] * np.ones((3, 50)))) == pytest.approx(expected)


def test_both_levels_add_up() -> None:
    """Two-way random effects in a few lines; with this many samples percentiles are normal."""
    source = rng.generator("both levels")
    scores = source.normal(0, 0.05, (4, 1)) + source.normal(0, 1, (1, 800)) * np.ones((4, 1))
    scores += source.normal(0, 0.3, (4, 800))
    grand, rows, columns = scores.mean(), scores.mean(1), scores.mean(0)
    rest = ((scores - rows[:, None] - columns + grand) ** 2).sum() / (3 * 799)
    seeds = rows.var(ddof=1) / 4
    variance = seeds + columns.var(ddof=1) / 800 - rest / 3200
    df = 1 / (seeds / variance / 3 + (1 - seeds / variance) / 799)
    half = t.ppf(0.975, df) * sqrt(variance)
    assert 5 < df < 100
    expected = (grand - half, grand + half)
    assert ends(two_level(scores)) == pytest.approx(expected, abs=0.05 * half)


def test_agreeing_seeds_do_not_narrow_what_pictures_leave_open() -> None:
    # Both seeds are right on half of the pictures, on the other half each.
    opposed = np.array([[0, 1] * 20, [1, 0] * 20])
    assert ends(two_level(opposed)) == (0.5, 0.5)  # every picture scores the same
    partly = np.array([[0, 1] * 20, [1, 0] * 10 + [0, 1] * 10])
    low, high = ends(two_level(partly))
    alone = DescrStatsW(partly.mean(axis=0)).tconfint_mean()
    assert (low, high) == pytest.approx(alone, abs=0.02)


def test_an_interval_keeps_to_what_is_possible() -> None:
    scores = np.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1]])
    assert two_level(scores).high > 1
    assert two_level(scores, bounds=(0, 1)).high == 1
    assert two_level_difference([[1, 1, 1, 0]], [[0, 0, 0, 0]], bounds=(-1, 1)).high == 1


def test_a_single_sample_says_nothing() -> None:
    assert ends(two_level([[1.0]], bounds=(0, 1))) == (0, 1)
    assert ends(two_level_difference([[1.0], [1.0]], [[0.0], [1.0]])) == (-inf, inf)
    assert ends(two_level_ratio([[2.0]], [[1.0]])) == (0, inf)


def test_a_ratio_is_of_means_and_over_seeds() -> None:
    source = rng.generator("ratio")
    unit = source.gamma(4, 0.1, 500)
    amount = unit * (1.1 + source.normal(0, 0.2, 500))
    counts = source.multinomial(500, np.full(500, 1 / 500), 20_000)
    expected = np.quantile((counts @ amount) / (counts @ unit), [0.025, 0.975])
    found = ends(two_level_ratio(amount[None], unit[None]))
    assert found == pytest.approx(list(expected), abs=0.0015)
    # Seeds of different scale, about the mean of their own ratios 2, 3 and 2.5.
    low, high = ends(
        two_level_ratio([[2.0] * 9, [6.0] * 9, [2.5] * 9], [[1.0] * 9, [2.0] * 9, [1.0] * 9])
    )
    assert (low, high) == pytest.approx(DescrStatsW([2, 3, 2.5]).tconfint_mean())
    scaled = two_level_ratio(2 * RIGHT + 2, RIGHT + 1.0)
    assert ends(scaled) == pytest.approx((2, 2))


def test_draws_repeat() -> None:
    scores = pi * RIGHT[:, :60]
    assert two_level(scores) == two_level(scores.copy())
    mirrored = [1 - end for end in ends(two_level(RIGHT))]
    assert ends(two_level(1 - RIGHT)) == pytest.approx(mirrored[::-1])


def test_the_order_of_samples_and_seeds_does_not_matter() -> None:
    turned = RIGHT[::-1, DRAWS.permutation(400)]
    assert ends(two_level(turned)) == pytest.approx(ends(two_level(RIGHT)), abs=1e-12)


@pytest.mark.parametrize("scores", [np.zeros((0, 5)), np.zeros((3, 0)), np.zeros(5)])
def test_nothing_to_draw_from_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="seeds x samples"):
        two_level(scores)


def test_what_does_not_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="do not pair"):
        two_level_difference(RIGHT, OTHER[:2])
    with pytest.raises(ValueError, match="finite"):
        two_level([[0.5, float("nan")]])
    with pytest.raises(ValueError, match="positive"):
        two_level_ratio(RIGHT, OTHER)
    with pytest.raises(ValueError, match="confidence"):
        two_level(RIGHT, 95)
