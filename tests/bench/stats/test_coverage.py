"""Coverage by simulation: nominal 95% intervals of 10,000 data sets each, and what tests reject.

A share of 10,000 has a standard deviation of 0.22 points at 95%. An interval whose coverage is
94.5 to 95.5% is therefore measured within 94 to 96%; one at 93.5% is not, with a chance of 99%.
"""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, norm

from bench.report.outcomes import difference
from bench.stats import (
    Interval,
    clopper_pearson,
    holm,
    macro_f1,
    macro_f1_trials,
    mcnemar,
    mean_of_proportions,
    newcombe,
    range_of_proportions,
    tango,
    wilson,
    wilson_of_mean,
)
from bench.stats.bootstrap import two_level, two_level_difference, two_level_ratio
from bench.util import rng

REPEATS = 10_000
LOW, HIGH = 0.94, 0.96


Outcomes = NDArray[np.bool_]


def holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


# Coverage of a binomial interval jumps with p and n, for outcomes are few (Brown, Cai and DasGupta
# 2001). Wilson's is 95% on average over p, so p is drawn as well.


@pytest.mark.parametrize("n", [10, 50, 436])
def test_wilson_covers_on_average(n: int) -> None:
    source = rng.generator("wilson", n)
    p = source.random(REPEATS)
    found = cache(lambda x: wilson(x, n))
    hits = [holds(found(int(x)), q) for x, q in zip(source.binomial(n, p), p, strict=True)]
    assert LOW <= np.mean(hits) <= HIGH


@pytest.mark.parametrize("n", [1, 10, 50, 436])
def test_clopper_pearson_covers_at_every_proportion(n: int) -> None:
    # Not simulated: the chance of every outcome is known.
    p = np.linspace(0.001, 0.999, 999)
    intervals = [clopper_pearson(x, n) for x in range(n + 1)]
    inside = np.array([[holds(interval, q) for interval in intervals] for q in p])
    coverage = (binom.pmf(np.arange(n + 1), n, p[:, None]) * inside).sum(axis=1)
    assert coverage.min() >= 0.95 - 1e-9
    widest = [wilson(x, n) for x in range(n + 1)]
    inside = np.array([[holds(interval, q) for interval in widest] for q in p])
    assert (binom.pmf(np.arange(n + 1), n, p[:, None]) * inside).sum(axis=1).min() < 0.95


def test_newcombe_covers_on_average() -> None:
    source = rng.generator("newcombe")
    p, q = source.random((2, REPEATS))
    x, y = source.binomial(60, p), source.binomial(40, q)
    found = cache(lambda x, y: newcombe(x, 60, y, 40))
    hits = [holds(found(int(a), int(b)), c - d) for a, b, c, d in zip(x, y, p, q, strict=True)]
    assert LOW <= np.mean(hits) <= HIGH


@pytest.mark.parametrize("shares", [[0.8] * 7, [0.9, 0.7, 0.8, 0.8, 0.6, 0.9, 0.5], [0.9, 0.6]])
def test_a_gap_is_covered_though_its_groups_are_chosen(shares: list[float]) -> None:
    source = rng.generator("gap", str(shares))
    n = [30, 329, 74, 160, 1185, 478, 680][: len(shares)]
    gap = max(shares) - min(shares)
    hits, chosen = 0, 0
    for x in source.binomial(n, shares, (REPEATS, len(shares))):
        hits += holds(range_of_proportions(x, n), gap)
        best, worst = np.argmax(x / n), np.argmin(x / n)
        chosen += holds(newcombe(x[best], n[best], x[worst], n[worst]), gap)
    # Of two groups it is Newcombe's, right on average over proportions.
    assert hits / REPEATS >= (0.95 if len(shares) > 2 else LOW)
    # The interval of the two that came out best and worst alone forgets that they were chosen.
    assert (chosen / REPEATS < 0.9) == (shares == [0.8] * 7)


@pytest.mark.parametrize(
    ("recalls", "sizes"),
    [
        ([0.95] * 7, [72] * 7),
        ([0.9] * 7, [7] * 7),  # attacked pictures
        ([0.8, 0.95, 0.85, 0.85, 0.6, 0.8, 0.6], [680, 1185, 478, 329, 74, 162, 160]),
        ([1.0, 1.0, 1.0, 0.99, 0.99, 0.5, 0.5], [72] * 7),
    ],
)
def test_means_of_proportions_cover(recalls: list[float], sizes: list[int]) -> None:
    source = rng.generator("uar", str(recalls), str(sizes))
    found = source.binomial(sizes, recalls, (REPEATS, 7)).tolist()
    truth = float(np.mean(recalls))
    hits = [holds(mean_of_proportions(counts, sizes), truth) for counts in found]
    assert LOW <= np.mean(hits) <= HIGH + 0.005


@pytest.mark.parametrize(("right", "size"), [(0.99, 72), (0.95, 72), (0.6, 72), (0.8, 30)])
def test_macro_f1_covers(right: float, size: int) -> None:
    """Seven classes; errors fall on the others alike."""
    source = rng.generator("macro-F1", str(right), size)
    law = np.full((7, 8), (1 - right) / 6)
    law[:, 7] = 0
    np.fill_diagonal(law, right)
    tables = np.stack([source.multinomial(size, row, 2500) for row in law], axis=1)
    hits = []
    for table in tables:  # by symmetry the truth is the share recognised
        interval = wilson_of_mean(macro_f1(table), macro_f1_trials(table))
        hits.append(holds(interval, right))
    assert LOW - 0.015 <= np.mean(hits) <= HIGH + 0.015  # of 2,500 tables


def test_macro_f1_covers_where_only_two_of_the_classes_occur() -> None:
    """Such as neutral and happiness: the others are left out of macro-F1, so of its interval."""
    source = rng.generator("macro-F1 of two classes")
    hits = []
    for few in source.binomial(50, (0.8, 0.8), (2500, 2)):
        table = np.zeros((7, 8), int)
        table[[2, 5], [2, 5]], table[[2, 5], [5, 2]] = few, 50 - few
        trials = macro_f1_trials(table)
        assert trials == pytest.approx(macro_f1_trials(table[np.ix_([2, 5], [2, 5, 7])]))
        hits.append(holds(wilson_of_mean(macro_f1(table), trials), 0.8))
    assert LOW - 0.015 <= np.mean(hits) <= HIGH + 0.015


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(0.02, 0.01, 504), (0.1, 0.06, 504), (0.1, 0.05, 49)]
)
def test_paired_differences_cover(gained: float, lost: float, n: int) -> None:
    """Tango's score interval where few pictures are discordant, the bootstrap where many are."""
    source = rng.generator("paired", str(gained), n)
    draws = source.multinomial(n, [gained, lost, 1 - gained - lost], REPEATS)

    @cache
    def interval(up: int, down: int) -> Interval:
        one, other = np.zeros((2, 1, n))
        one[0, :up], other[0, up : up + down] = 1, 1
        return difference(one, other).interval

    hits = [holds(interval(int(up), int(down)), gained - lost) for up, down, _ in draws]
    assert LOW <= np.mean(hits) <= HIGH


def test_tango_covers_where_next_to_nothing_is_discordant() -> None:
    n, gained, found = 504, 0.006, cache(lambda up: tango(up, 0, n))
    ups = rng.generator("tango").binomial(n, gained, REPEATS)
    assert 0.95 <= np.mean([holds(found(int(up)), gained) for up in ups]) <= 0.98
    resampled = cache(lambda up: two_level_difference([np.arange(n) < up], np.zeros((1, n))))
    assert np.mean([holds(resampled(int(up)), gained) for up in ups]) < 0.93


def test_the_paired_bootstrap_covers() -> None:
    source = rng.generator("paired")
    n, gained, lost = 300, 0.12, 0.06

    @cache
    def found(up: int, down: int) -> Interval:
        first = np.arange(n) < up
        second = (up <= np.arange(n)) & (np.arange(n) < up + down)
        return two_level_difference([first], [second])

    outcomes = source.multinomial(n, [gained, lost, 1 - gained - lost], REPEATS)
    hits = [holds(found(int(up), int(down)), gained - lost) for up, down, _ in outcomes]
    assert LOW <= np.mean(hits) <= HIGH


MEAN = 0.6


def outcomes(
    k: int, n: int, seeds: float, samples: float, repeats: int = REPEATS
) -> Iterator[NDArray[np.bool_]]:
    """Right or wrong of k trainings on n pictures, (k, n), repeated.

    Args:
        k: Seeds.
        n: Pictures.
        seeds: Standard deviation of the trainings' expected accuracy.
        samples: 0 where all pictures are equally hard, 1 where each is either sure or hopeless.
        repeats: Data sets.
    """
    source = rng.generator("outcomes", k, n, str(seeds), str(samples))
    for _ in range(repeats):
        shifts = source.normal(0, seeds, (k, 1))
        # Ranks of pictures by difficulty, shared by the seeds, or of each seed's own.
        common, own = source.random((1, n)), source.random((k, n))
        yield np.where(source.random((1, n)) < samples, common, own) < MEAN + shifts


def coverage(
    data: Iterator[NDArray[np.bool_]], interval: Callable[[NDArray[np.bool_]], Interval]
) -> float:
    return float(np.mean([holds(interval(right), MEAN) for right in data]))


@pytest.mark.parametrize(
    ("k", "n", "seeds", "samples"),
    [
        (1, 400, 0.0, 1.0),
        (3, 400, 0.12, 0.8),  # seeds dominate: 10 to 1, as variances of the mean
        (5, 400, 0.12, 0.8),
        (3, 300, 0.01, 1.0),  # pictures dominate
        (3, 200, 0.05, 0.8),  # both
        (5, 200, 0.06, 0.8),
        (3, 100, 0.0, 0.8),  # seeds differ by chance alone
    ],
)
def test_two_levels_cover(k: int, n: int, seeds: float, samples: float) -> None:
    assert LOW <= coverage(outcomes(k, n, seeds, samples), two_level) <= HIGH


def test_percentiles_of_drawn_seeds_do_not() -> None:
    """The uncorrected pigeonhole bootstrap where three seeds dominate, in a few lines."""
    source = rng.generator("pigeonhole")
    counts = source.multinomial(200, np.full(200, 1 / 200), 400) / 200
    drawn = source.integers(0, 3, (400, 3))

    def pigeonhole(right: NDArray[np.bool_]) -> Interval:
        means = np.take_along_axis(counts @ right.T, drawn, axis=1).mean(axis=1)
        return Interval(*np.quantile(means, [0.025, 0.975]))

    found = coverage(outcomes(3, 200, 0.1, 0.8, 2000), pigeonhole)
    assert found < 0.88
    assert coverage(outcomes(3, 200, 0.1, 0.8, 2000), two_level) > found + 0.06


def test_two_seeds_cover_less() -> None:
    assert 0.9 <= coverage(outcomes(2, 200, 0.1, 0.8), two_level) < LOW


def test_where_nothing_but_chance_is_at_work_they_cover_more() -> None:
    # No picture is hard, no seed is good: the variance may not fall below that of the pictures.
    found = coverage(outcomes(3, 100, 0.0, 0.0, 4000), two_level)
    assert HIGH < found < 0.995


@pytest.mark.parametrize(("k", "seeds"), [(1, 0.0), (3, 0.04), (3, 0.01), (5, 0.03)])
def test_differences_cover(k: int, seeds: float) -> None:
    """Two arms that share seeds and pictures; one is better, on some pictures more than others."""
    source = rng.generator("differences", k, str(seeds))
    n, better, hits = 200, 0.1, 0
    for _ in range(REPEATS):
        gains = better + source.normal(0, seeds, (k, 1))
        ease, chance = source.random((1, n)), source.random((2, k, n))
        first = np.where(chance[0] < 0.85, ease, chance[1]) < 0.7
        second = np.where(chance[0] < 0.85, ease, chance[1]) < 0.7 - gains
        hits += holds(two_level_difference(first, second), better)
    assert LOW <= hits / REPEATS <= HIGH


def test_ratios_cover() -> None:
    """Scores that are no multiples of anything: percentiles from cumulants."""
    source = rng.generator("ratios")
    k, n, hits = 3, 100, 0
    for _ in range(REPEATS):
        hard = source.gamma(4, 0.1, (1, n))
        own = 1.1 + source.normal(0, 0.02, (k, 1)) + source.normal(0, 0.1, (k, n))
        hits += holds(two_level_ratio(own * hard, hard * np.ones((k, 1))), 1.1)
    assert LOW <= hits / REPEATS <= HIGH


# A test at level alpha rejects a true null hypothesis at most that often.


@pytest.mark.parametrize(("n", "discordant"), [(60, 0.15), (3068, 0.1)])
def test_mcnemar_keeps_its_size(n: int, discordant: float) -> None:
    source = rng.generator("size", n)
    total = source.binomial(n, discordant, REPEATS)
    gained = source.binomial(total, 0.5)

    @cache
    def p(up: int, down: int) -> float:
        one_right, other_right, both = (True, False), (False, True), (True, True)
        pairs = [one_right] * up + [other_right] * down + [both]
        return mcnemar(*zip(*pairs, strict=True))

    rejected = [p(int(up), int(d - up)) < 0.05 for up, d in zip(gained, total, strict=True)]
    assert 0.005 < np.mean(rejected) <= 0.05
    # Three trainings that agree, pooled as if they were three times the samples, do not.
    pooled = [p(3 * int(up), 3 * int(d - up)) < 0.05 for up, d in zip(gained, total, strict=True)]
    assert np.mean(pooled) > 0.15


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_holm_keeps_the_chance_of_any_false_rejection(shared: float) -> None:
    """Ten tests, two of real differences; independent, and of the same samples."""
    source = rng.generator("family", str(shared))
    z = np.sqrt(shared) * source.normal(size=(REPEATS, 1))
    z = z + np.sqrt(1 - shared) * source.normal(size=(REPEATS, 10))
    z[:, :2] += 5
    p = 2 * norm.sf(np.abs(z))
    adjusted = np.array([holm(row) for row in p.tolist()])
    assert 0.01 < (adjusted[:, 2:].min(axis=1) < 0.05).mean() <= 0.05
    assert (p[:, 2:].min(axis=1) < 0.05).mean() > 0.12
    assert (adjusted[:, :2] < 0.05).mean() > 0.95
