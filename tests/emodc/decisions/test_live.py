"""Decisions made live are those of a replay, and do not depend on what shares a micro-batch."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pipelines import PROMPTS, small, tiny

from emodc import EmoDC, Engine, Evaluation, Prompts
from emodc.decisions.decide import TIE, Decisions, Rule, decide, visited
from emodc.decisions.rules import (
    FullGrid,
    MajorityVote,
    PairedTTest,
    SequentialTest,
    Stages,
    Threshold,
)

PLAN = Evaluation(steps=12, precision="float32")
IDS = [f"picture {i}" for i in range(5)]
RULES: list[Rule] = [
    FullGrid(),
    FullGrid(count=5),
    Stages(keep=((3, 2), (10, 1))),
    PairedTTest(p=0.2, minimum=3),
    Threshold(margin=0.002, minimum=2),
    MajorityVote(),
    SequentialTest(delta=0.3),
    SequentialTest(delta=0.3, order="random"),
    SequentialTest(delta=0.3, kind="bounded", bound=0.1, order="random"),
]


@pytest.fixture(params=["small", "latent unet"])
def model(request: pytest.FixtureRequest, images: torch.Tensor) -> EmoDC:
    if request.param == "small":
        return EmoDC(small(images, PROMPTS), PROMPTS, PLAN).eval().requires_grad_(False)
    return EmoDC(tiny(request.param), PROMPTS, PLAN).eval().requires_grad_(False)


@pytest.fixture
def pictures(images: torch.Tensor) -> torch.Tensor:
    return images[:5].float() / 255


def replayed(
    model: EmoDC,
    pictures: torch.Tensor,
    rule: Rule,
    weights: Callable[[NDArray[np.integer]], np.ndarray] | None = None,
) -> Decisions:
    trace = model.trace(pictures, IDS[: len(pictures)])
    times = trace.timesteps.numpy()
    factors = None if weights is None else weights(times)
    return decide(trace.errors.numpy(), times, rule, IDS[: len(pictures)], weights=factors)


def require_equal(live: Decisions, replay: Decisions) -> None:
    np.testing.assert_array_equal(live.winner, replay.winner)
    np.testing.assert_array_equal(live.seen, replay.seen)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_live_decides_as_replay(model: EmoDC, pictures: torch.Tensor, rule: Rule) -> None:
    verdict = model.decide(pictures, IDS, rule, engine=Engine(rows=16))
    require_equal(verdict.decisions, replayed(model, pictures, rule))
    names = (*model.classes, None)  # TIE is the last one
    assert verdict.labels == tuple(names[w] for w in verdict.decisions.winner)
    first, *rest = str(verdict).splitlines()
    assert len(rest) == len(IDS) - 1
    evaluations, steps = verdict.decisions.evaluations[0], verdict.decisions.steps[0]
    said = verdict.labels[0] or "tie"
    assert first.startswith(f"0: {said}, {evaluations} evaluations at {steps} steps, ")
    trace = model.trace(pictures, IDS)
    assert torch.equal(verdict.trace.timesteps, trace.timesteps)
    for row, name in enumerate(IDS):
        every, times = np.ones(PLAN.steps), trace.timesteps[row].numpy()
        order = visited(rule, times, every, PLAN.seed, name)
        for label, count in enumerate(verdict.decisions.seen[row]):
            own = verdict.trace.errors[row, label]
            torch.testing.assert_close(own[order[:count]], trace.errors[row, label, order[:count]])
            assert own.isfinite().sum() == count, "measured what nobody asked for"


def test_classes_that_left_are_not_decoded(
    images: torch.Tensor, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder's features are decoded for 7, then 4, then 2 of seven classes."""
    words = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
    prompts = Prompts(words)
    model = EmoDC(small(images, prompts), prompts, PLAN).eval()
    shapes, plain = [], model.denoiser.errors

    def errors(noisy: torch.Tensor, *others: Any) -> torch.Tensor:
        found = plain(noisy, *others)
        shapes.append(tuple(found.shape))
        return found

    monkeypatch.setattr(model.denoiser, "errors", errors)
    rule = Stages(keep=((3, 3), (6, 2), (12, 1)))
    verdict = model.decide(pictures, IDS, rule, engine=Engine(rows=15))
    assert shapes == [(15, 7), (15, 4), (15, 2), (15, 2)]
    monkeypatch.undo()
    require_equal(verdict.decisions, replayed(model, pictures, rule))
    assert verdict.decisions.evaluations.tolist() == [7 * 3 + 3 * 3 + 2 * 6] * len(IDS)


def test_some_classes_leave_early(model: EmoDC, pictures: torch.Tensor) -> None:
    """Else the tests of this file would say little."""
    seen = model.decide(pictures, IDS, Stages(keep=((3, 2), (10, 1)))).decisions.seen
    assert set(np.unique(seen)) == {3, 10}


def test_weights_of_zero_are_not_measured(model: EmoDC, pictures: torch.Tensor) -> None:
    def weights(timesteps: NDArray[np.integer]) -> np.ndarray:
        return np.where(timesteps < 200, 0.0, timesteps / 250)

    rule = SequentialTest(delta=0.3)
    verdict = model.decide(pictures, IDS, rule, weights=weights)
    require_equal(verdict.decisions, replayed(model, pictures, rule, weights))
    left_out = verdict.trace.timesteps[0] < 200
    assert left_out.any() and verdict.trace.errors[:, :, left_out].isnan().all()


def test_noisy_pictures_have_timesteps_of_their_own(tiny_emodc: EmoDC) -> None:
    tiny_emodc.evaluation = dataclasses.replace(PLAN, noise_aware=True)
    noise = torch.rand((3, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    pictures = 0.5 + (noise - 0.5) * torch.tensor([0.0, 0.3, 1.0])[:, None, None, None]
    rule = SequentialTest(delta=0.3)
    verdict = tiny_emodc.decide(pictures, IDS[:3], rule, engine=Engine(rows=8))
    assert len(verdict.trace.timesteps.unique(dim=0)) > 1
    require_equal(verdict.decisions, replayed(tiny_emodc, pictures, rule))


def test_templates_are_averaged(model: EmoDC, pictures: torch.Tensor) -> None:
    templates = ("a photo of a {} face", "{} photo")
    model.prompts = dataclasses.replace(model.prompts, templates=templates)
    model.train().eval()
    rule = Stages(keep=((3, 2), (10, 1)))
    verdict = model.decide(pictures, IDS, rule, engine=Engine(rows=7))
    require_equal(verdict.decisions, replayed(model, pictures, rule))
    measured = verdict.trace.errors.isfinite()
    expected = model.trace(pictures, IDS).errors[measured]
    torch.testing.assert_close(verdict.trace.errors[measured], expected)


def test_neighbours_change_no_bit(model: EmoDC, pictures: torch.Tensor) -> None:
    """Whatever pictures share its micro-batches, and in whatever order they come."""
    rule = SequentialTest(delta=0.3)
    together = model.decide(pictures, IDS, rule, engine=Engine(rows=16))
    for order in ([3], [4, 2, 0, 1, 3], [1, 0]):
        some = model.decide(pictures[order], [IDS[i] for i in order], rule, engine=Engine(rows=16))
        errors, known = some.trace.errors, together.trace.errors[order]
        assert torch.equal(errors.isnan(), known.isnan())
        assert torch.equal(errors.nan_to_num(), known.nan_to_num())
        np.testing.assert_array_equal(some.decisions.seen, together.decisions.seen[order])


def test_room_in_a_micro_batch_is_used_and_not_counted(
    model: EmoDC, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, plain = [], model.denoiser.errors

    def errors(noisy: torch.Tensor, *others: Any) -> torch.Tensor:
        sizes.append(len(noisy))
        return plain(noisy, *others)

    rule = Stages(keep=((3, 2), (10, 1)))
    expected = model.decide(pictures[:1], IDS[:1], rule, engine=Engine(rows=3)).decisions
    monkeypatch.setattr(model.denoiser, "errors", errors)
    verdict = model.decide(pictures[:1], IDS[:1], rule, engine=Engine(rows=36))
    # All 12 steps of the 3 classes fit; a shared trunk goes on with the two that are left.
    assert sizes == [36] * (1 + model.denoiser.shared_trunk)
    require_equal(verdict.decisions, expected)
    assert verdict.trace.errors.isfinite().sum() == expected.evaluations.sum()


def test_neighbours_change_no_bit_in_half_precision(model: EmoDC, pictures: torch.Tensor) -> None:
    model.evaluation = dataclasses.replace(PLAN, precision="bfloat16")
    together = model.decide(pictures, IDS, FullGrid(), engine=Engine(rows=16)).trace.errors
    backwards = model.decide(pictures.flip(0), IDS[::-1], FullGrid(), engine=Engine(rows=16))
    assert torch.equal(together, backwards.trace.errors.flip(0))
    model.evaluation = PLAN
    single = model.trace(pictures, IDS).errors
    assert not torch.equal(together, single)
    torch.testing.assert_close(together, single, rtol=0.05, atol=0.01)


def test_pictures_of_any_sizes_are_named_by_their_pixels(model: EmoDC) -> None:
    draw = np.random.default_rng(0)
    sizes = [(40, 40, 3), (64, 48, 3), (20, 30, 3)]
    pictures = [draw.integers(0, 256, size, dtype=np.uint8) for size in sizes]
    rule = SequentialTest(delta=0.3)
    verdict = model.decide(pictures, rule=rule)
    alone = model.decide(pictures[1:2], rule=rule)
    assert alone.labels == verdict.labels[1:2]
    assert torch.equal(alone.trace.errors[0].nan_to_num(), verdict.trace.errors[1].nan_to_num())
    assert len({tuple(row) for row in verdict.trace.errors.nan_to_num()[:, 0].tolist()}) == 3


def test_a_tie_has_no_label(tiny_emodc: EmoDC, pictures: torch.Tensor) -> None:
    tiny_emodc.evaluation = PLAN
    torch.nn.init.zeros_(tiny_emodc.denoiser.unet.prompt.layer.weight)  # prompts say nothing
    verdict = tiny_emodc.decide(pictures, IDS, FullGrid())
    assert verdict.labels == (None,) * 5
    assert (verdict.decisions.winner == TIE).all()


def test_seconds_are_shared_out(model: EmoDC, pictures: torch.Tensor) -> None:
    start = time.perf_counter()
    seconds = model.decide(pictures, IDS).seconds
    assert seconds.shape == (5,) and (seconds > 0).all()
    assert seconds.sum() <= time.perf_counter() - start


def test_what_does_not_fit_is_refused(model: EmoDC, pictures: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="5 images but 1 sample ids"):
        model.decide(pictures, ["a"])
    with pytest.raises(ValueError, match="expected uint8 pictures"):
        model.decide([np.zeros((4, 4, 3))])


def test_no_pictures_are_no_decisions(model: EmoDC) -> None:
    verdict = model.decide([])
    assert verdict.labels == () and verdict.trace.errors.shape == (0, 3, PLAN.steps)
