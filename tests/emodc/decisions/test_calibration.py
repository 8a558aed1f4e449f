"""Scales and weights against known optima, finite differences and planted values."""

from math import log

import numpy as np
import pytest
from scipy import optimize, special

from emodc.decisions import fit as calibration
from emodc.decisions import fit as held_out
from emodc.decisions.fit import temperature, timestep_range, weights

K, S, HIGH = 4, 20, 500
GRID = np.linspace(0, HIGH - 1, S).astype(int)


@pytest.fixture
def draws() -> np.random.Generator:
    return np.random.default_rng(11)


def simulated(
    draws: np.random.Generator, n: int, factors: np.ndarray, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors (n, K, S), timesteps, and labels drawn from softmax(-mean of factors * errors)."""
    errors = draws.normal(5, noise, (n, K, S))
    odds = special.softmax(-(errors * factors).mean(axis=2), axis=1)
    labels = (draws.random(n)[:, None] > odds.cumsum(axis=1)).sum(axis=1)
    return errors, np.tile(GRID, (n, 1)), labels


def test_two_classes_have_the_scale_of_their_odds() -> None:
    """Three of four right at a gap of 2: the logistic of scale * 2 is 3/4."""
    errors = np.tile(np.array([[1.0, 3.0], [3.0, 1.0]]), (10, 1))[:, :, None]
    labels = np.tile([0, 1, 0, 1, 0, 1, 1, 0], 3)[:20]
    right = (errors[:, :, 0].argmin(axis=1) == labels).mean()
    assert temperature(errors, labels) == pytest.approx(log(right / (1 - right)) / 2)


def test_the_scale_is_that_of_a_search_over_the_likelihood(draws: np.random.Generator) -> None:
    errors, _, labels = simulated(draws, 300, np.full(S, 6.0))
    means = errors.mean(axis=2)

    def loss(scale: float) -> float:
        return -special.log_softmax(-scale * means, axis=1)[np.arange(300), labels].mean()

    best = optimize.minimize_scalar(loss, bounds=(0, 100), method="bounded").x
    assert temperature(errors, labels) == pytest.approx(best, rel=1e-4)


def test_a_planted_scale_is_found_in_any_units(draws: np.random.Generator) -> None:
    errors, _, labels = simulated(draws, 20_000, np.full(S, 8.0))
    found = temperature(errors, labels)
    assert found == pytest.approx(8, rel=0.05)
    assert temperature(1e-5 * errors, labels) == pytest.approx(1e5 * found)
    assert temperature(errors + 100, labels) == pytest.approx(found)


def test_logits_get_a_factor(draws: np.random.Generator) -> None:
    errors, _, labels = simulated(draws, 200, np.full(S, 8.0))
    logits = -40 * errors.mean(axis=2)
    factor = temperature(-logits[:, :, None], labels)
    assert 40 * factor == pytest.approx(temperature(errors, labels))


def test_where_all_are_right_confidence_is_laplaces() -> None:
    errors = np.ones((20, 3, 2))
    errors[:, 0] = 0.5
    scale = temperature(errors, np.zeros(20, int))
    assert special.softmax([-0.5 * scale, -scale, -scale])[0] == pytest.approx(21 / 22)
    errors[:, 0] = 0.5 * np.linspace(0.1, 1, 20)[:, None]  # pictures of several gaps
    confidence = special.softmax(
        -temperature(errors, np.zeros(20, int)) * errors.mean(axis=2), axis=1
    )
    assert confidence[:, 0].mean() == pytest.approx(21 / 22)


def test_where_all_are_wrong_the_order_of_classes_stays() -> None:
    errors = np.ones((20, 3, 2))
    errors[:, 0] = 0.5
    scale = temperature(errors, np.ones(20, int))
    assert scale > 0
    assert special.softmax([-0.5 * scale, -scale, -scale])[0] == pytest.approx(1 / 3, abs=1e-3)


def test_ties_for_the_lowest_error_do_not_stop_the_search() -> None:
    errors = np.ones((20, 3, 1))
    errors[:, :2] = 0.5  # two classes tie everywhere: confidence never passes a half
    assert np.isfinite(temperature(errors, np.zeros(20, int)))


def test_the_gradient_is_that_of_finite_differences(draws: np.random.Generator) -> None:
    scores, labels = draws.normal(size=(30, K, 6)), draws.integers(0, K, 30)
    for ridge in (0.0, 0.7):
        factors = draws.random(6)
        _, found = calibration.nll(factors, scores, labels, ridge)
        expected = optimize.approx_fprime(
            factors, lambda x, r=ridge: calibration.nll(x, scores, labels, r)[0], 1e-7
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_planted_weights_are_found(draws: np.random.Generator) -> None:
    planted = np.repeat([0.0, 3.0, 1.0, 0.0], S // 4)
    errors, timesteps, labels = simulated(draws, 6000, 10 * planted)
    found = weights(errors, timesteps, labels, bins=4)
    assert np.mean(found.values) == pytest.approx(1)
    np.testing.assert_allclose(found.values, [0, 3, 1, 0], atol=0.25)
    np.testing.assert_allclose(found.of(timesteps)[0], planted, atol=0.25)


def test_a_planted_range_is_found(draws: np.random.Generator) -> None:
    inside = np.repeat([0.0, 0.0, 1.0, 1.0, 0.0], S // 5)
    errors, timesteps, labels = simulated(draws, 1500, 20 * inside)
    found = timestep_range(errors, timesteps, labels, bins=5)
    np.testing.assert_allclose(found.values, [0, 0, 2.5, 2.5, 0])
    assert found.of(timesteps)[0].astype(bool).tolist() == inside.astype(bool).tolist()


def test_what_has_nothing_to_win_stays_uniform() -> None:
    """Of ten simulations a one-standard-error rule lets few through, and the range none."""
    kept = []
    for seed in range(10):
        errors, timesteps, labels = simulated(np.random.default_rng(seed), 200, np.full(S, 8.0))
        kept.append(weights(errors, timesteps, labels, bins=5).uniform)
        assert timestep_range(errors, timesteps, labels, bins=5).uniform
    assert sum(kept) >= 8


def test_the_order_of_pictures_does_not_matter(draws: np.random.Generator) -> None:
    errors, timesteps, labels = simulated(draws, 200, np.linspace(0, 20, S))
    order = draws.permutation(200)
    again = errors[order], timesteps[order], labels[order]
    assert temperature(again[0], again[2]) == pytest.approx(temperature(errors, labels))
    for function in (weights, timestep_range):
        first, second = function(errors, timesteps, labels), function(*again)
        np.testing.assert_allclose(first.values, second.values, atol=1e-6)


def test_folds_have_their_share_of_every_class(draws: np.random.Generator) -> None:
    errors, labels = draws.random((103, K, S)), draws.integers(0, K, 103)
    folds = held_out.dealt(errors, labels)
    for label in range(K):
        counts = np.bincount(folds[labels == label], minlength=held_out.FOLDS)
        assert np.ptp(counts) <= 1
    assert np.ptp(np.bincount(folds)) <= 1


def test_held_out_losses_are_of_pictures_that_were_not_fitted(draws: np.random.Generator) -> None:
    scores, labels = draws.normal(size=(12, K, 2)), draws.integers(0, K, 12)
    folds = np.arange(12) % 3
    seen: list[int] = []

    def fit(own: np.ndarray, own_labels: np.ndarray) -> np.ndarray:
        seen.append(len(own_labels))
        return np.full(2, float(own.sum()))

    losses = held_out.held_out(scores, labels, folds, fit)
    assert seen == [8, 8, 8]
    factors = np.full(2, scores[folds != folds[5]].sum())
    expected = -special.log_softmax(scores[5] @ factors)[labels[5]]
    assert losses[5] == pytest.approx(expected)


def test_what_cannot_be_fitted_is_refused(draws: np.random.Generator) -> None:
    errors, timesteps, labels = simulated(draws, 20, np.full(S, 8.0))
    with pytest.raises(ValueError, match="4 validation pictures; 5 are"):
        temperature(errors[:4], labels[:4])
    with pytest.raises(ValueError, match="do not pair"):
        weights(errors, timesteps, labels[:10])
    with pytest.raises(ValueError, match=r"lie in \[0, 4\)"):
        timestep_range(errors, timesteps, labels + 4)
    with pytest.raises(ValueError, match="tell classes apart"):
        temperature(np.ones_like(errors), labels)
    errors[3, 1, 2] = np.nan
    with pytest.raises(ValueError, match="full grid"):
        temperature(errors, labels)
