"""Classifiers of pictures that are shown clips: the middle frame, the mean over frames, EmoDC."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.classifiers.around import FrameMean, MiddleFrame
from bench.classifiers.base import as_images
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier, spread_steps
from bench.util import rng
from emodc import EmoDC

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """Logits that depend on the mean alone."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.dim() == 4
        mean = images.mean((1, 2, 3)) * self.scale
        return torch.stack([mean * 8, 4 - mean], 1)


def clips(count: int = 2, frames: int = 5) -> list[np.ndarray]:
    draws = rng.generator("clips", count, frames)
    light = draws.integers(0, 200, (count, frames, 1, 1, 1))
    noise = draws.integers(0, 50, (count, frames, 64, 64, 3))
    return list((light + noise).astype(np.uint8))


def brightness() -> DiscriminativeClassifier:
    return DiscriminativeClassifier(Brightness(), ("dark", "light"), "0", CPU)


def each_frame(clip: np.ndarray) -> torch.Tensor:
    return Brightness()(as_images(list(clip))).detach()


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_frame_mean_averages_whatever_the_order(average: Any) -> None:
    found = FrameMean(brightness(), average).measure(clips(), ["a", "b"])
    turned = FrameMean(brightness(), average).measure([c[::-1] for c in clips()], ["a", "b"])
    for logits, same, clip in zip(found.logits, turned.logits, clips(), strict=True):
        own = each_frame(clip)
        if average == "logits":
            expected = own.mean(0)
            np.testing.assert_allclose(logits, expected, rtol=1e-5)
        else:
            np.testing.assert_allclose(np.exp(logits), own.softmax(1).mean(0), rtol=1e-5)
        np.testing.assert_allclose(logits, same, rtol=1e-6)
    assert found.traces is None and found.evaluations.tolist() == [5, 5]


def test_the_middle_frame_alone_counts() -> None:
    found = MiddleFrame(brightness()).measure(clips(), ["a", "b"])
    for logits, clip in zip(found.logits, clips(), strict=True):
        np.testing.assert_allclose(logits, each_frame(clip)[2], rtol=1e-6)


@pytest.mark.parametrize("wrap", [MiddleFrame, FrameMean])
def test_targets_of_attacks_say_what_is_measured_and_stay_in_evaluation(wrap: Any) -> None:
    classifier = wrap(brightness())
    target = classifier.attack_target("a")
    assert not target.training and not any(m.training for m in target.modules())
    found = target(as_images(clips(1)).requires_grad_())
    expected = classifier.measure(clips(1), ["a"]).logits
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-5)
    assert found.requires_grad


@pytest.mark.parametrize(("count", "length"), [(6, 4), (6, 6), (100, 16), (5, 16), (1, 3), (4, 1)])
def test_every_step_is_measured_once_and_frames_take_turns(count: int, length: int) -> None:
    found = spread_steps(count, length)
    assert len(found) == length
    assert sorted(step for steps in found for step in steps) == list(range(count))
    sizes = [len(steps) for steps in found]
    assert max(sizes) - min(sizes) <= 1
    if length > 1 and length <= count:  # neighbours in time are on different frames
        assert all(b - a == length for steps in found for a, b in itertools.pairwise(steps))


@pytest.fixture
def emodc(tiny_emodc: EmoDC) -> DiffusionClassifier:
    return DiffusionClassifier(tiny_emodc, "0", None, 2, CPU)


def trace(model: EmoDC, frame: np.ndarray, name: str) -> np.ndarray:
    errors: np.ndarray = model.trace(as_images([frame]), [name]).errors[0].numpy()
    return errors


def test_spread_steps_are_those_of_the_frames_traces(emodc: DiffusionClassifier) -> None:
    (clip,) = clips(1, 4)
    found = FrameMean(emodc).measure([clip], ["a"])
    assert found.traces is not None and found.traces.ids == ("a",)
    whole = [trace(emodc.model, frame, "a") for frame in clip]
    for number, steps in enumerate(spread_steps(6, 4)):
        own = found.traces.errors[0][:, steps]
        np.testing.assert_allclose(own, whole[number][:, steps], rtol=1e-4)
    assert found.evaluations.tolist() == [6 * 3]
    expected = -40.0 * found.traces.errors[0].mean(axis=1)
    np.testing.assert_allclose(found.logits[0], expected, rtol=1e-4)


@pytest.mark.parametrize("shared", [True, False])
def test_all_steps_are_means_over_frames(emodc: DiffusionClassifier, shared: bool) -> None:
    (clip,) = clips(1, 3)
    found = FrameMean(emodc, steps="all", shared_noise=shared).measure([clip], ["a"])
    names: Sequence[str] = ["a"] * 3 if shared else ["a#0", "a#1", "a#2"]
    whole = [trace(emodc.model, f, name) for f, name in zip(clip, names, strict=True)]
    assert found.traces is not None
    np.testing.assert_allclose(found.traces.errors[0], np.mean(whole, axis=0), rtol=1e-5)
    assert found.evaluations.tolist() == [3 * 6 * 3]


def test_a_still_clip_is_its_picture_to_an_emodc(emodc: DiffusionClassifier) -> None:
    """Shared noise, or spread steps: the mean over equal frames is the frame's own trace."""
    clip = np.repeat(clips(1, 1)[0], 4, axis=0)
    picture = emodc.measure([clip[0]], ["a"])
    for options in ({"steps": "spread"}, {"steps": "all", "shared_noise": True}):
        found = FrameMean(emodc, **options).measure([clip], ["a"])  # type: ignore[arg-type]
        np.testing.assert_allclose(found.traces.errors, picture.traces.errors, rtol=1e-4)  # type: ignore[union-attr]
        np.testing.assert_allclose(found.logits, picture.logits, rtol=1e-4)


def test_the_target_of_spread_steps_is_the_verdict(emodc: DiffusionClassifier) -> None:
    (clip,) = clips(1, 4)
    classifier = FrameMean(emodc)
    images = as_images([clip]).requires_grad_()
    logits = classifier.attack_target("a")(images)
    np.testing.assert_allclose(logits.detach(), classifier.measure([clip], ["a"]).logits, rtol=1e-4)
    logits[0, 0].backward()
    assert images.grad is not None
    assert all(images.grad[0, :, k].abs().max() > 0 for k in range(4))  # every frame has a step
