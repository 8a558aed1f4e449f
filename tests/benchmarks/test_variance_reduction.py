"""`benchmarks.variance_reduction` on few pictures and steps, and its arithmetic."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from emodc import EmoDC, Evaluation
from emodc.decisions.decide import visited
from emodc.decisions.rules import SequentialTest, _innovations

STEPS, IDS = 20, [f"picture_{i}" for i in range(4)]
CHECKPOINT = Path(__file__).parents[2] / "results/regression/checkpoints/emodc_amdit"


@pytest.fixture
def banks() -> ModuleType:
    from benchmarks.variance import banks

    return banks


@pytest.fixture
def controls() -> ModuleType:
    from benchmarks.variance import controls

    return controls


@pytest.fixture
def ingredients() -> ModuleType:
    from benchmarks.variance import ingredients

    return ingredients


@pytest.fixture
def model() -> EmoDC:
    model = EmoDC.from_pretrained(CHECKPOINT)
    model.evaluation = Evaluation(steps=STEPS, noise_aware=True, precision="float32")
    return model


@pytest.fixture
def measured(banks: ModuleType, model: EmoDC, images: torch.Tensor) -> Any:
    return banks.measure(model, images[: len(IDS)].float() / 255, IDS)


def made_up(banks: ModuleType, steps: int) -> Any:
    """Random errors and products of 2 pictures and 3 classes."""
    draw = np.random.default_rng(0)
    return banks.Measured(
        ["a", "b"],
        {("independent", 0): draw.normal(size=(2, 3, steps))},
        draw.integers(0, 500, (2, steps)),
        draw.normal(size=(2, steps, steps, 3)).astype(np.float32),
    )


def test_the_independent_bank_is_the_library_s_trace(
    measured: Any, model: EmoDC, images: torch.Tensor
) -> None:
    trace = model.trace(images[:2].float() / 255, IDS[:2])
    np.testing.assert_allclose(measured.errors["independent", 0][:2], trace.errors, rtol=1e-5)
    np.testing.assert_array_equal(measured.timesteps[:2], trace.timesteps)


def test_antithetic_steps_cancel(banks: ModuleType) -> None:
    noise = banks._noise("antithetic", 0, "a", 6, (2, 3))
    assert (noise[::2] == -noise[1::2]).all() and noise[::2].std() > 0.5


def test_the_order_is_the_one_that_is_decided_in(ingredients: ModuleType) -> None:
    times = np.arange(9, dtype=np.int64)[None]
    orders, sizes = ingredients._visits(SequentialTest(), ["a"], times, 3)
    ones = np.ones(9)
    expected = visited(SequentialTest(), times[0], ones, 3, "a")
    np.testing.assert_array_equal(orders[0], expected)
    assert (sizes == 1).all()


def test_a_corrected_error_is_looked_at_with_its_control(
    banks: ModuleType, controls: ModuleType
) -> None:
    draw = np.random.default_rng(1)
    errors, control = draw.normal(size=(2, 2, 3, 6))
    control[:, :, -1] = 0
    sizes = draw.uniform(1, 3, (2, 6))
    found = controls.corrected(errors, sizes, control)
    np.testing.assert_allclose(
        _innovations(found, sizes)[0], _innovations(errors, sizes)[0] + control
    )
    np.testing.assert_allclose(controls.looked_at(errors, sizes), _innovations(errors, sizes)[0])
    np.testing.assert_allclose(found.sum(axis=2), errors.sum(axis=2))


@pytest.mark.parametrize("seen", [1, 3])
def test_controls_have_mean_zero_over_what_may_come_next(
    banks: ModuleType, controls: ModuleType, seen: int
) -> None:
    steps = 6
    found = made_up(banks, steps)
    errors, sizes = found.errors["independent", 0], np.linspace(1, 3, steps)
    effects, gaps = [], []
    for following in range(seen, steps):
        others = [i for i in range(seen, steps) if i != following]
        order = np.array([*range(seen), following, *others])
        effect = controls.class_effects(found, np.stack([order] * 2), sizes[order][None][[0, 0]])
        gap = controls.gap_control(errors[:, :, order], 1 + found.timesteps[:, order] / 100)
        effects.append(effect[:, :, seen] * sizes[following])
        gaps.append(gap[:, :, seen])
    for control in (effects, gaps):
        assert np.abs(np.sum(control, axis=0)).max() < 1e-9
        assert np.abs(control).max(axis=0).min() > 1e-6


def test_an_estimate_from_equal_sizes_is_the_mean(ingredients: ModuleType) -> None:
    errors = np.random.default_rng(2).normal(size=(2, 3, 10))
    winner = ingredients.winners(errors)
    missed = errors[:, :, :2].mean(axis=2) - errors.mean(axis=2)
    missed -= missed[[0, 1], winner][:, None]
    expected = [np.delete(row, best) ** 2 for row, best in zip(missed, winner, strict=True)]
    np.testing.assert_allclose(ingredients._squares(errors, np.ones((2, 10)), winner), expected)


def test_every_ingredient_is_reported(
    measured: Any,
    ingredients: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from benchmarks import variance_reduction

    monkeypatch.setattr(ingredients, "ORDERS", 1)
    monkeypatch.setattr(variance_reduction, "RESAMPLES", 20)
    variance_reduction.report("clean", measured, measured)
    told = capsys.readouterr().out
    assert "nan" not in told and "of 4 [" in told
    rows = {
        name: next(line for line in told.splitlines() if line.startswith(name))
        for name in ingredients.INGREDIENTS
    }
    for row in rows.values():
        evaluations, agreement, elsewhere = map(float, row.split()[-3:])
        assert 7 * 6 <= evaluations <= 7 * STEPS
        assert 0 <= elsewhere <= 1 and agreement >= 0.5
    assert rows["plain"].count("1.00 [1.00, 1.00]") == 3
