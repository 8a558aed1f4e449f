"""Logistic regression against closed forms, and features that continue."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from bench.training.discriminative import PENALTIES, Features, chosen_probe, fit_probe


def two_places(shares: tuple[float, float], n: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Features -1 and +1, n each, and labels of two classes; `shares` of class 1 at each."""
    features = np.repeat([-1.0, 1.0], n)[:, None]
    labels = [np.arange(n) < round(share * n) for share in shares]
    return features, np.concatenate(labels).astype(int)


@pytest.mark.parametrize("shares", [(0.1, 0.7), (0.5, 0.5), (0.9, 0.2)])
def test_without_a_penalty_it_predicts_the_shares(shares: tuple[float, float]) -> None:
    """With as many parameters as places the maximum likelihood is the shares themselves."""
    features, labels = two_places(shares)
    weights = fit_probe(features, labels, 0.0, 2)
    logits = np.array([[-1.0, 1.0], [1.0, 1.0]]) @ weights.T
    assert expit(logits[:, 1] - logits[:, 0]) == pytest.approx(shares, abs=1e-4)


@pytest.mark.parametrize("penalty", [0.01, 0.3, 3.0])
def test_with_a_penalty_the_slope_solves_its_equation(penalty: float) -> None:
    """Labels are the sides: with w = w_1 = -w_0, the mean loss is softplus(-2w), and |W|^2 = 2w^2.

    Its derivative is 0 where 2 penalty w = 2 expit(-2w).
    """
    features, labels = two_places((0.0, 1.0))
    weights = fit_probe(features, labels, penalty, 2)
    slope = weights[1, 0]
    assert slope > 0
    assert weights[0, 0] == pytest.approx(-slope, abs=1e-5)
    assert penalty * slope == pytest.approx(expit(-2 * slope), abs=1e-5)


def test_the_penalty_is_chosen_on_validation_pictures() -> None:
    """Few pictures with many features of noise: a weak penalty fits the noise."""
    draws = np.random.default_rng(0)

    def made(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = draws.integers(0, 3, n)
        features = draws.normal(size=(n, 60))
        features[np.arange(n), labels] += 1.5
        return features * 7 + 100, labels  # neither centred nor of unit size

    train, val = made(90), made(300)
    weight, bias, said = chosen_probe(train, val, 3)
    logits = val[0] @ weight.T + bias
    assert said["accuracy"] == pytest.approx((logits.argmax(axis=1) == val[1]).mean())
    assert min(PENALTIES) < said["penalty"] < max(PENALTIES)
    spread = train[0].std(axis=0)
    weak = fit_probe((train[0] - train[0].mean(axis=0)) / spread, train[1], 1e-6, 3)
    overfit = (val[0] - train[0].mean(axis=0)) / spread @ weak[:, :-1].T + weak[:, -1]
    assert (logits.argmax(1) == val[1]).mean() > (overfit.argmax(1) == val[1]).mean() + 0.03


def test_a_constant_feature_is_left_out() -> None:
    features, labels = two_places((0.1, 0.9))
    constant = np.concatenate([features, np.full_like(features, 5.0)], axis=1)
    weight, bias, _ = chosen_probe((constant, labels), (constant, labels), 2)
    assert np.isfinite(weight).all()
    assert np.isfinite(bias).all()
    assert (weight[:, 1] == 0).all()


def test_features_continue_where_they_stopped() -> None:
    pictures = torch.arange(10.0).reshape(5, 2)
    whole, first, second = (Features(lambda x: 2 * x, 5, 2) for _ in range(3))
    for number in range(3):
        whole.step(pictures[2 * number : 2 * number + 2], torch.zeros(2))
    first.step(pictures[:2], torch.zeros(2))
    second.load_state_dict(first.state_dict())
    while not second.finished:
        at = second.position
        second.step(pictures[2 * at : 2 * at + 2], torch.zeros(2))
    assert whole.finished
    assert torch.equal(torch.cat(whole.found), torch.cat(second.found))
    assert torch.equal(torch.cat(whole.found), 2 * pictures)
