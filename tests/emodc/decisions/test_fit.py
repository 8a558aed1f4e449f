"""What is learned from validation traces, as functions of the timestep, and how it is kept."""

import json
import subprocess
import sys

import numpy as np
import pytest

from emodc.decisions.fit import (
    SAFETY,
    Fit,
    GapProfile,
    TimestepWeights,
    bins_of,
    bound,
    fit,
    gap_profile,
)
from emodc.decisions.rules import relative_gaps

GRID = np.arange(0, 100, 5)
EDGES = (0.0, 10.0, 20.0, 40.0)


@pytest.fixture(scope="module")
def trace() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors (40, 3, 20) whose gap falls over the timesteps, under noise that classes share."""
    draws = np.random.default_rng(2)
    labels = draws.integers(0, 3, 40)
    wrong = np.arange(3) != labels[:, None]
    gap = wrong[:, :, None] * np.exp(-GRID / 30) * draws.uniform(0.5, 1.5, (40, 1, 1))
    errors = draws.random((40, 1, 20)) + gap + draws.normal(0, 0.4, (40, 3, 20))
    return errors.astype(np.float32), np.tile(GRID, (40, 1)), labels


@pytest.fixture(scope="module")
def content(trace: tuple[np.ndarray, ...]) -> dict[str, object]:
    """What is kept of a fit."""
    return fit(*trace).to_dict()


def test_weights_are_those_of_each_cells_timestep() -> None:
    weights = TimestepWeights(EDGES, (2.0, 1.0, 0.0))
    found = weights.of(np.array([[0, 9, 10], [19, 20, 39], [-5, 10, 90]]))
    assert found.tolist() == [[2, 2, 1], [1, 0, 0], [2, 1, 0]]
    assert not weights.uniform and TimestepWeights(EDGES, (1.0, 1.0, 1.0)).uniform


def test_a_picture_without_any_weight_has_all() -> None:
    weights = TimestepWeights(EDGES, (2.0, 1.0, 0.0))
    assert weights.of(np.array([[25, 30], [15, 30]])).tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize(
    ("edges", "values", "message"),
    [
        (EDGES, (1.0, 1.0), "4 edges do not bound 2 bins"),
        ((0.0,), (), "1 edges do not bound 0"),
        ((0.0, 5.0, 5.0), (1.0, 1.0), "ascend"),
        ((0.0, 5.0), (float("nan"),), "finite"),
        ((0.0, 5.0), (-1.0,), "negative"),
        ((0.0, 5.0), (0.0,), "not all 0"),
    ],
)
def test_weights_that_are_none_are_refused(
    edges: tuple[float, ...], values: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TimestepWeights(edges, values)


def test_outer_bins_hold_what_is_beyond_them() -> None:
    found = bins_of(np.array([-1, 0, 9, 10, 39, 40, 100]), np.array(EDGES))
    assert found.tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_a_profile_is_linear_between_the_middles_of_bins() -> None:
    profile = GapProfile((0.0, 10.0, 20.0), (3.0, 1.0))
    found = profile.at(np.array([[0, 5, 10, 15, 19]]))
    np.testing.assert_allclose(found, [[3, 3, 2, 1, 1]])


def test_the_gap_profile_is_the_mean_difference_to_the_best() -> None:
    errors = np.zeros((2, 3, 4))
    errors[0] = [[5, 5, 5, 5], [9, 7, 6, 6], [7, 7, 6, 6]]  # the best is class 0
    errors[1] = [[9, 5, 2, 2], [5, 5, 1, 1], [5, 9, 2, 2]]  # class 1
    timesteps = np.array([[0, 5, 10, 15], [0, 5, 10, 15]])
    gaps = [np.mean([4, 2, 2, 2, 4, 0, 0, 4]), 1.0]  # by half of the timesteps
    found = gap_profile(errors, timesteps, bins=2)
    assert found.edges == (0.0, 8.0, 16.0)
    np.testing.assert_allclose(found.values, np.array(gaps) / np.mean(gaps))


def test_a_bin_without_a_cell_is_interpolated() -> None:
    errors = np.array([[[0.0, 0.0], [3.0, 1.0]]])
    found = gap_profile(errors, np.array([[0, 29]]), bins=3)
    np.testing.assert_allclose(found.values, [1.5, 1.0, 0.5])


def test_classes_that_lie_nowhere_apart_have_a_flat_profile() -> None:
    found = gap_profile(np.full((3, 4, 6), 0.1), np.tile(np.arange(6), (3, 1)), bins=3)
    assert found.values == (1.0, 1.0, 1.0)


def test_a_planted_profile_is_found(trace: tuple[np.ndarray, ...]) -> None:
    errors, timesteps, _ = trace
    planted = np.exp(-GRID / 30).reshape(5, 4).mean(axis=1)
    found = gap_profile(errors, timesteps, bins=5)
    np.testing.assert_allclose(found.values, planted / planted.mean(), atol=0.3)


def test_the_bound_is_the_largest_difference_with_a_margin() -> None:
    errors = np.zeros((2, 3, 4))
    errors[1, :, 2] = [0.5, -1.0, 3.0]
    assert bound(errors) == pytest.approx(SAFETY * 4)


def test_everything_is_learned_and_comes_back_from_json(trace: tuple[np.ndarray, ...]) -> None:
    found = fit(*trace)
    assert found.n == 40 and found.temperature > 0
    relative = relative_gaps(found.profile, trace[1])[:, None]
    assert found.bound == pytest.approx(bound(trace[0] / relative))
    late = GRID >= 50  # the bound also holds of pictures with only some of the timesteps
    part = trace[0][:, :, late] / relative_gaps(found.profile, trace[1][:, late])[:, None]
    assert bound(part) <= found.bound
    early = trace[0][:, :, ~late] / relative_gaps(found.profile, trace[1][:, ~late])[:, None]
    assert bound(early) <= found.bound
    assert np.mean(found.weights.values) == pytest.approx(1)
    assert Fit.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_surprises_of_views_are_traces_too() -> None:
    draws = np.random.default_rng(4)
    surprises = draws.exponential(size=(30, 3, 2))
    found = fit(surprises, np.tile([0, 1], (30, 1)), draws.integers(0, 3, 30))
    assert len(found.profile.values) == 2
    single = fit(surprises[:, :, :1], np.zeros((30, 1), int), draws.integers(0, 3, 30))
    assert single.weights.uniform and single.profile.values == (1.0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "n: 0"),
        ({"n": True}, "n: True"),
        ({"temperature": -1.0}, "temperature: -1.0"),
        ({"temperature": "40"}, "temperature: '40'"),
        ({"bound": float("nan")}, "bound: nan"),
        ({"weights": [1.0]}, "weights: list in the place of edges, values"),
        ({"weights": {"edges": [0, 1]}}, "weights: values is missing"),
        ({"range": {"edges": [0, 1], "values": ["a"]}}, "range.values: no list of finite"),
        ({"range": {"edges": [0, 1], "values": [-1.0]}}, "range: weights must not be negative"),
        ({"profile": {"edges": [1, 0], "values": [1.0]}}, "profile: edges must ascend"),
        ({"scale": 1.0}, "fit: scale is unknown"),
    ],
)
def test_a_damaged_fit_is_refused_by_field(
    content: dict[str, object], change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Fit.from_dict(content | change)


def test_a_fit_that_lacks_a_field_is_refused(content: dict[str, object]) -> None:
    without = {name: value for name, value in content.items() if name != "bound"}
    with pytest.raises(ValueError, match="fit: bound is missing"):
        Fit.from_dict(without)
    with pytest.raises(ValueError, match="fit: NoneType in the place of n, temperature"):
        Fit.from_dict(None)


def test_fitting_needs_no_torch() -> None:
    code = "import sys, emodc.decisions.fit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
