"""What perturbations cost: against numbers by hand and a few lines of arithmetic."""

from statistics import fmean

import numpy as np
import pytest

from bench import stats as metrics
from bench.util import rng

ERRORS, REFERENCE = [0.2, 0.3, 0.4, 0.5, 0.6], [0.4, 0.5, 0.6, 0.7, 0.8]


def test_corruption_errors_are_in_units_of_the_reference() -> None:
    assert metrics.corruption_error(ERRORS, REFERENCE) == pytest.approx(2 / 3)
    assert metrics.corruption_error(REFERENCE, REFERENCE) == 1
    # Over sums, not the mean of the severities' own ratios.
    assert metrics.corruption_error([0.1, 0.5], [0.2, 0.5]) == pytest.approx(0.6 / 0.7)


def test_relative_corruption_errors_leave_out_what_was_wrong_already() -> None:
    # Adds 0.1, 0.2, ... 0.5 on 0.1; the reference 0.1, ... 0.5 on 0.3: as much, at half the level.
    assert metrics.relative_corruption_error(ERRORS, 0.1, REFERENCE, 0.3) == pytest.approx(1)
    assert metrics.relative_corruption_error(ERRORS, 0.2, REFERENCE, 0.4) == pytest.approx(1)
    assert metrics.relative_corruption_error([0.1], 0.1, [0.5], 0.3) == 0


def test_a_reference_that_loses_nothing_is_no_unit() -> None:
    assert metrics.corruption_error(ERRORS, [0.0] * 5) is None
    assert metrics.relative_corruption_error(ERRORS, 0.1, [0.3] * 5, 0.3) is None
    assert metrics.relative_corruption_error(ERRORS, 0.1, [0.1 + 0.2] * 5, 0.3) is None
    assert metrics.relative_corruption_error(ERRORS, 0.1, [0.2] * 5, 0.3) is None
    assert metrics.flip_rate(0.2, 0.0) is None
    assert metrics.relative_drop(0.0, 0.0) is None


def test_means_over_corruptions_are_of_all_or_none() -> None:
    assert metrics.mean_corruption_error([0.5, 1.0]) == pytest.approx(0.75)
    assert metrics.mean_corruption_error([0.5, None]) is None


def test_drops_and_flip_rates() -> None:
    assert metrics.relative_drop(0.8, 0.6) == pytest.approx(0.25)
    assert metrics.relative_drop(0.5, 0.6) == pytest.approx(-0.2)
    assert metrics.flip_rate(0.1, 0.4) == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_agrees_with_numpy(seed: int) -> None:
    source = rng.generator("area", seed)
    levels, accuracies = np.cumsum(source.random(6)), source.random(6)
    expected = np.trapezoid(accuracies, levels) / (levels[-1] - levels[0])
    assert metrics.area_under_curve(levels, accuracies) == pytest.approx(expected)
    assert metrics.area_under_curve(levels, [0.7] * 6) == pytest.approx(0.7)


def test_half_drop_is_between_the_levels_around_it() -> None:
    # Half way from 0.9 to 0.1 is 0.5, half way between 0.6 at 2 and 0.4 at 4.
    assert metrics.half_drop([0, 2, 4, 5], [0.9, 0.6, 0.4, 0.3], 0.1) == pytest.approx(3)
    assert metrics.half_drop([0, 1, 2], [0.9, 0.5, 0.2], 0.1) == pytest.approx(1)
    # The first time counts, though the curve recovers.
    assert metrics.half_drop([0, 1, 2, 3], [0.9, 0.1, 0.9, 0.1], 0.1) == pytest.approx(0.5)


def test_half_drop_of_what_never_falls_so_far_or_has_nothing_to_lose() -> None:
    assert metrics.half_drop([0, 1, 2], [0.9, 0.8, 0.51], 0.1) is None
    assert metrics.half_drop([0, 1], [1 / 7, 0.0], 1 / 7) is None
    assert metrics.half_drop([0, 1], [0.1, 0.0], 1 / 7) is None


def test_flips_are_counted_between_frames_or_against_the_first() -> None:
    sequences = [[0, 0, 1, 1, 0], [2, 2, 2, 2, 2], [0, -1, -1, 0, 0]]
    assert metrics.flip_probability(sequences) == pytest.approx((2 + 0 + 2) / 12)
    assert metrics.flip_probability(sequences, noise=True) == pytest.approx((2 + 0 + 2) / 12)
    moved = [[0, 1, 1, 1, 1]]
    assert metrics.flip_probability(moved) == pytest.approx(1 / 4)
    assert metrics.flip_probability(moved, noise=True) == 1


def test_flips_of_random_sequences_agree_with_loops() -> None:
    frames = rng.generator("flips").integers(-1, 4, (7, 6))
    follow = fmean(row[j] != row[j - 1] for row in frames for j in range(1, 6))
    first = fmean(row[j] != row[0] for row in frames for j in range(1, 6))
    assert metrics.flip_probability(frames) == pytest.approx(follow)
    assert metrics.flip_probability(frames, noise=True) == pytest.approx(first)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.corruption_error([], []), "same severities"),
        (lambda: metrics.relative_corruption_error([0.1], 0.1, [0.1, 0.2], 0.1), "same severities"),
        (lambda: metrics.mean_corruption_error([]), "no corruptions"),
        (lambda: metrics.area_under_curve([0], [0.9]), "no curve"),
        (lambda: metrics.half_drop([0, 1], [0.9], 0.1), "no curve"),
        (lambda: metrics.half_drop([0, 2, 1], [0.9, 0.8, 0.7], 0.1), "ascend"),
        (lambda: metrics.flip_probability([[1]]), "2 or more"),
        (lambda: metrics.flip_probability(np.zeros((0, 3))), "2 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
