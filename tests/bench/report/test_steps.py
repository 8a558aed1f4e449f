"""Accuracy from part of the stored steps."""

from dataclasses import replace

import numpy as np
import pytest

from bench.report.groups import Group
from bench.report.results import read
from bench.report.traces.steps import accuracy_by_steps, evenly_spaced
from bench.report.traces.traced import Traced
from bench.stats import wilson

N, K, S = 6, 3, 12
LABELS = np.arange(N) % K


@pytest.fixture
def group(build) -> Group:
    for seed in range(2):
        build.add("emodc", "clean", "0", [True] * N, d_p=[0.5] * N, seed=seed)
    return read(build.plan()).groups[0]


def traced(group: Group, seed: int) -> Traced:
    """Errors of noise alone, steps in an order of its own for every picture."""
    draws = np.random.default_rng(seed)
    errors = draws.random((N, K, S)).astype(np.float32)
    grid = np.stack([draws.permutation(np.arange(0, 240, 20)) for _ in range(N)])
    result = group.clean("emodc").results[seed]
    return Traced(result, errors, grid.astype(np.int32))


def shares(one: Traced, timesteps: list[int]) -> float:
    """Share of pictures whose right class has the lowest sum of errors at these timesteps."""
    hits = []
    for errors, grid, label in zip(one.errors, one.timesteps, LABELS, strict=True):
        sums = [sum(row[list(grid).index(t)] for t in timesteps) for row in errors]
        hits.append(int(np.argmin(sums)) == label)
    return sum(hits) / len(hits)


def test_subsets_are_evenly_spaced_over_the_timesteps(group: Group) -> None:
    one = traced(group, 0)
    found = accuracy_by_steps([one])
    chosen = {
        1: [120],
        2: [60, 180],
        5: [20, 60, 120, 160, 200],
        12: list(range(0, 240, 20)),
    }
    assert [point.steps for point in found] == [1, 2, 5, 10, 12]
    by_steps = {point.steps: point for point in found}
    for steps, timesteps in chosen.items():
        assert by_steps[steps].accuracy.value == pytest.approx(shares(one, timesteps))


def test_evaluations_are_the_stored_ones_in_proportion(group: Group) -> None:
    # The rows say 6 for all 12 steps.
    assert [point.evaluations for point in accuracy_by_steps([traced(group, 0)])] == [
        0.5, 1, 2.5, 5, 6,
    ]  # fmt: skip


def test_seeds_are_averaged(group: Group) -> None:
    both = accuracy_by_steps([traced(group, 0), traced(group, 1)])
    alone = [accuracy_by_steps([traced(group, seed)]) for seed in range(2)]
    for point, first, second in zip(both, *alone, strict=True):
        mean = (first.accuracy.value + second.accuracy.value) / 2
        assert point.accuracy.value == pytest.approx(mean)
        assert point.accuracy.interval.low <= mean <= point.accuracy.interval.high


def test_where_all_agree_the_interval_is_not_a_point(group: Group) -> None:
    easy = np.ones((N, K, S), np.float32)
    easy[np.arange(N), LABELS] = 0
    seeds = [replace(traced(group, seed), errors=easy) for seed in range(2)]
    for point in accuracy_by_steps(seeds):
        assert (point.accuracy.value, point.accuracy.interval) == (1.0, wilson(N, N))


def test_pictures_that_a_seed_lacks_are_left_out(build) -> None:
    build.add("emodc", "clean", "0", [True] * N, d_p=[0.5] * N)
    build.add("emodc", "clean", "0", [True] * (N - 2), d_p=[0.5] * (N - 2), seed=1)
    group = read(build.plan()).groups[0]
    first, second = traced(group, 0), traced(group, 1)
    second = replace(second, errors=second.errors[:-2], timesteps=second.timesteps[:-2])
    part = replace(first, errors=first.errors[:-2], timesteps=first.timesteps[:-2])
    mean = (_whole(part) + _whole(second)) / 2
    assert accuracy_by_steps([first, second])[-1].accuracy.value == pytest.approx(mean)


def _whole(one: Traced) -> float:
    hits = one.errors.sum(axis=2).argmin(axis=1) == LABELS[: len(one.errors)]
    return float(hits.mean())


@pytest.mark.parametrize(("total", "count"), [(7, 3), (100, 50), (5, 5), (1, 1)])
def test_spacing_has_no_repeats_and_is_centred(total: int, count: int) -> None:
    found = evenly_spaced(total, count)
    assert len(set(found)) == count
    assert abs(found.mean() - (total - 1) / 2) <= 0.5
    assert np.ptp(np.diff(found)) <= 1 if count > 1 else True
