"""Bootstrap intervals: against normal theory and statsmodels, by simulation, and their refusals."""

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from bench import rng
from bench.bootstrap import paired_bootstrap, two_level, two_level_difference, two_level_ratio

DRAWS = rng.generator("bootstrap tests")
RIGHT = DRAWS.random((3, 400)) < np.array([[0.7], [0.75], [0.8]])
OTHER = RIGHT ^ (DRAWS.random((3, 400)) < 0.1)


def ends(interval) -> tuple[float, float]:
    return interval.low, interval.high


def test_one_seed_is_the_ordinary_bootstrap_of_a_mean() -> None:
    # Near normal: the interval of the z test, but for skewness.
    expected = DescrStatsW(RIGHT[0].astype(float)).zconfint_mean()
    assert ends(two_level(RIGHT[:1])) == pytest.approx(expected, abs=0.004)


def test_a_pair_is_the_interval_of_its_differences() -> None:
    differences = RIGHT[0].astype(float) - OTHER[0]
    expected = DescrStatsW(differences).zconfint_mean()
    assert ends(paired_bootstrap(RIGHT[0], OTHER[0])) == pytest.approx(expected, abs=0.003)
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


def test_seeds_widen_an_interval_as_far_as_they_go() -> None:
    seeds = np.array([[0.5], [0.6], [0.8]]) * np.ones((3, 50))
    assert ends(two_level(seeds)) == pytest.approx((0.5, 0.8))
    # All three draw the lowest once in 27, more often than a tail of 2.5%, not of 25%.
    assert two_level(seeds, 0.5).low > 0.5


def test_a_ratio_is_of_means_and_over_seeds() -> None:
    first = np.array([[1.0, 3.0], [1.0, 1.0]])
    second = np.array([[1.0, 1.0], [4.0, 4.0]])
    # Per seed 1 to 3 (the samples drawn), and 1/4.
    assert ends(two_level_ratio(first, second)) == (0.25, 3)
    scaled = two_level_ratio(2 * RIGHT + 2, RIGHT + 1.0)
    assert ends(scaled) == pytest.approx((2, 2))


def test_draws_repeat_and_hang_on_sizes_alone() -> None:
    assert two_level(RIGHT) == two_level(RIGHT.copy())
    mirrored = [1 - end for end in ends(two_level(RIGHT))]
    assert ends(two_level(1 - RIGHT)) == pytest.approx(mirrored[::-1])


def test_more_draws_than_fit_at_once_are_as_asked() -> None:
    few, many = two_level(RIGHT, draws=501), two_level(RIGHT, draws=20_000)
    assert ends(few) == pytest.approx(ends(many), abs=0.01)
    assert few != many


def coverage(k: int, between: float, n: int = 150, repeats: int = 250) -> float:
    """How often the interval of k seeds holds the expected accuracy, pictures and seeds drawn."""
    source = rng.generator("coverage", k, str(between))
    hits = 0
    for _ in range(repeats):
        ease = source.beta(3, 2, n)[None] + source.normal(0, between, k)[:, None]
        low, high = ends(two_level(source.random((k, n)) < ease, draws=400))
        hits += low <= 0.6 <= high
    return hits / repeats


def test_it_covers_where_pictures_vary_more_than_seeds() -> None:
    assert coverage(1, 0.0) >= 0.9
    assert coverage(3, 0.0) >= 0.93
    assert coverage(3, 0.02) >= 0.93


def test_three_seeds_that_differ_greatly_cover_three_quarters() -> None:
    source = rng.generator("worst case")
    seeds = source.normal(0, 1, (400, 3))
    intervals = [ends(two_level(three[:, None], draws=400)) for three in seeds]
    share = np.mean([low <= 0 <= high for low, high in intervals])
    assert share == pytest.approx(0.75, abs=0.06)  # 1 - 2 / 2^3, as the docstring warns


@pytest.mark.parametrize("scores", [np.zeros((0, 5)), np.zeros((3, 0)), np.zeros(5)])
def test_nothing_to_draw_from_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="seeds x samples"):
        two_level(scores)


def test_what_does_not_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="do not pair"):
        two_level_difference(RIGHT, OTHER[:2])
    with pytest.raises(ValueError, match="positive"):
        two_level_ratio(RIGHT, OTHER)
    with pytest.raises(ValueError, match="confidence"):
        two_level(RIGHT, 95)
