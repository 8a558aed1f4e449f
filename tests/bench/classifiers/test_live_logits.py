"""Logits of decisions that measured only some errors."""

import numpy as np
import pytest

from bench.classifiers.emodc import logits_of, means_of
from emodc.decisions.decide import TIE, Decisions, successive

NAN = float("nan")


def logits(errors: list[list[float]], winner: int, scale: float = 10.0) -> np.ndarray:
    """Of one picture."""
    own = np.array([errors], np.float32)
    decisions = Decisions(np.array([winner]), np.isfinite(own).sum(axis=2))
    found = logits_of(means_of(own, decisions, np.ones((1, own.shape[2]))), decisions, scale)
    assert found.dtype == np.float32 and found.shape == own.shape[:2]
    return found[0]


def test_classes_that_stayed_have_their_mean_error() -> None:
    found = logits([[1.0, 2.0, NAN], [4.0, 1.0, NAN]], winner=0)
    np.testing.assert_allclose(found, [-15.0, -25.0])


def test_a_class_that_left_is_estimated_from_where_both_were_measured() -> None:
    """The second was 2 above the first at two cells; the first has mean 3 over all."""
    found = logits([[1.0, 2.0, 6.0], [3.0, 4.0, NAN]], winner=0)
    np.testing.assert_allclose(found, [-30.0, -50.0])


@pytest.mark.parametrize("early", [0.5, 1.0])
def test_a_class_that_left_cannot_come_back(early: float) -> None:
    """It led, or was level, where it was measured; the rule decided otherwise."""
    found = logits([[1.0, 2.0, 3.0], [early, NAN, NAN]], winner=0)
    assert found.argmax() == 0 and found[1] == np.nextafter(found[0], np.float32(-np.inf))


def test_means_that_differ_less_than_a_logit_can_show_are_no_tie() -> None:
    found = logits([[1e6, 1e6, 1e6], [1e6, 1e6, 1e6 - 0.0625]], winner=1, scale=1.0)
    assert found[1] > found[0]


def test_another_decision_than_by_means_is_the_highest_logit() -> None:
    """As a majority vote may."""
    found = logits([[1.0, 1.0, 9.0], [2.0, 2.0, 2.0]], winner=0)
    assert found.argmax() == 0


@pytest.mark.parametrize("second", [[2.0, 1.0], [9.0, 9.0]])
def test_of_a_tie_two_are_highest(second: list[float]) -> None:
    found = logits([[1.0, 2.0], second, [20.0, NAN]], winner=TIE)
    assert (found == found.max()).sum() == 2 and found[2] < found[0] == found[1]


def test_cells_that_are_visited_sooner_weigh_less() -> None:
    """Over many orders the estimate is the mean of all cells; the plain mean is far from it."""
    steps, orders = 60, 400
    sizes = np.linspace(0.2, 3.0, steps)
    errors = np.stack([sizes, sizes + 1.0])  # greater where cells are larger
    estimates, plain = [], []
    for number in range(orders):
        own = np.full((1, 2, steps), NAN)
        first = successive(sizes, np.random.default_rng(number))[:12]
        own[0][:, first] = errors[:, first]
        found = means_of(own, Decisions(np.array([0]), np.array([[12, 12]])), sizes[None])
        estimates.append(found[0, 0])
        plain.append(np.nanmean(own[0, 0]))
        assert found[0, 1] - found[0, 0] == pytest.approx(1.0)
    assert np.mean(plain) > 1.2 * sizes.mean()
    assert np.mean(estimates) == pytest.approx(sizes.mean(), rel=0.05)
