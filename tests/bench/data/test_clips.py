from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
import torch
from made_up_clips import MadeUp, shown

from bench.data.base import Sample
from bench.data.clips import (
    CROP_AREA,
    CROP_RATIO,
    PADDINGS,
    SAMPLERS,
    Augment,
    ClipFrames,
    ShownClips,
    clip_tensor,
    random_view,
)
from bench.data.config import Padding, Sampler
from bench.perturb.base import Address
from bench.perturb.clips import DEFECTS
from bench.util import rng
from bench.util.errors import UserError


@pytest.fixture
def dataset() -> MadeUp:
    return MadeUp()


def sample(name: str) -> Sample:
    return Sample(name, "neutral")


def test_native_frames_are_exact(dataset: MadeUp) -> None:
    clip = clip_tensor(dataset, sample("long"), length=8, size=None)
    assert clip.shape == (3, 8, 40, 60) and clip.dtype == torch.float32
    numbers = shown(clip)
    assert numbers == [3, 9, 15, 21, 28, 34, 40, 46]  # middles of eight segments of 6.25
    expected = torch.from_numpy(dataset.clip(sample("long"), numbers)).permute(3, 0, 1, 2)
    assert torch.equal(clip, expected.float() / 255.0)


def test_evaluation_is_deterministic_and_of_the_size_asked_for(dataset: MadeUp) -> None:
    clip = clip_tensor(dataset, sample("long"), size=32)
    assert clip.shape == (3, 16, 32, 32) and clip.is_contiguous()
    assert clip.min() >= 0.0 and clip.max() <= 1.0
    assert torch.equal(clip, clip_tensor(dataset, sample("long"), size=32))
    assert (clip[1, 0, 0].diff() > 0).all() and (clip[2, 0, :, 0].diff() > 0).all()


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("edge", [0, 1, 2, 3, 4] + [4] * 11),
        ("first", [0] * 16),
    ],
)
def test_short_clips_are_padded(dataset: MadeUp, padding: str, expected: list[int]) -> None:
    assert shown(clip_tensor(dataset, sample("short"), size=16, padding=padding)) == expected


def test_what_is_random_needs_draws(dataset: MadeUp) -> None:
    for options in ({"augment": Augment()}, {"sampler": "tsn_random"}):
        with pytest.raises(ValueError, match="draws"):
            clip_tensor(dataset, sample("long"), **options)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="tsn_middle"):
        clip_tensor(dataset, sample("long"), sampler="tsn_midle")


def test_all_frames_of_a_clip_are_cropped_and_mirrored_alike(dataset: MadeUp) -> None:
    mirrored = 0
    for seed in range(60):
        draws = rng.generator("augmented", seed)
        clip = clip_tensor(dataset, sample("long"), size=24, draws=draws, augment=Augment())
        assert clip.shape == (3, 16, 24, 24)
        assert torch.equal(clip[1:], clip[1:, :1].expand(-1, 16, -1, -1))
        assert shown(clip) == shown(clip_tensor(dataset, sample("long"), size=24))
        assert (clip[2, 0, :, 0].diff() > 0).all()  # never upside down
        mirrored += int(clip[1, 0, 0, 0] > clip[1, 0, 0, -1])
    assert 15 < mirrored < 45


def test_views_keep_to_their_area_and_ratio_and_reach_every_corner() -> None:
    views = [random_view(rng.generator("view", n), 100, 140) for n in range(500)]
    for view in views:
        assert view.top >= 0 and view.top + view.height <= 100
        assert view.left >= 0 and view.left + view.width <= 140
    inner = [view for view in views if view.height * view.width < 100 * 140]
    areas = np.array([view.height * view.width / (100 * 140) for view in inner])
    ratios = np.array([view.width / view.height for view in inner])
    assert len(inner) > 450
    assert areas.min() > CROP_AREA[0] - 0.01 and areas.min() < 0.12 and areas.max() > 0.8
    assert ratios.min() > CROP_RATIO[0] - 0.03 and ratios.max() < CROP_RATIO[1] + 0.05
    assert min(view.top for view in views) == min(view.left for view in views) == 0
    assert max(view.top + view.height for view in views) == 100
    assert max(view.left + view.width for view in views) == 140


def test_a_frame_in_which_no_crop_fits_is_taken_whole() -> None:
    assert random_view(rng.generator("view"), 1, 4000)[:4] == (0, 0, 1, 4000)


def test_jitter_is_one_draw_for_all_frames(dataset: MadeUp) -> None:
    """Frames that are equal stay equal, and plain augmentation draws as before."""
    still = MadeUp()
    still.clip = lambda sample, frames: np.repeat(  # type: ignore[method-assign]
        MadeUp.clip(still, sample, [9]), len(frames), axis=0
    )
    plain, jittered = (
        clip_tensor(
            still, sample("long"), size=24, draws=rng.generator("j"), augment=Augment(0.5, jitter)
        )
        for jitter in (0.0, 0.4)
    )
    assert torch.equal(jittered, jittered[:, :1].expand(-1, 16, -1, -1))
    assert (jittered - plain).abs().max() > 0.02
    assert jittered.min() >= 0.0 and jittered.max() <= 1.0


def test_what_is_shown_is_a_clip_and_the_picture_stays_the_middle_frame(dataset: MadeUp) -> None:
    found = ShownClips(dataset, 8)
    clip = found.shown(sample("long"))
    assert clip.shape == (8, 40, 60, 3) and clip.dtype == np.uint8
    assert clip[:, 0, 0, 0].tolist() == [3, 9, 15, 21, 28, 34, 40, 46]
    assert found.picture(sample("long"))[0, 0, 0] == 25
    assert found.name == "made_up_t8" and found.length == 8 and found.clips is dataset
    assert ShownClips(dataset, 8, "linspace", "tile").name == "made_up_t8_linspace_tile"
    assert "8 frames of a clip, sampled by tsn_middle" in found.protocol


def test_another_choice_of_frames_is_another_digest_and_the_same_training_data(
    dataset: MadeUp,
) -> None:
    choices = [(8,), (9,), (8, "linspace"), (8, "tsn_middle", "tile"), (8, "tsn_random")]
    found = [ShownClips(dataset, *choice) for choice in choices]  # type: ignore[arg-type]
    assert len({one.digest for one in found}) == len(choices)
    assert {one.training_digest for one in found} == {dataset.digest}


def test_random_samplers_are_fixed_by_seed_and_sample(dataset: MadeUp) -> None:
    first, same, other = (ShownClips(dataset, 8, "m3dfel_jitter", seed=s) for s in (0, 0, 1))
    clips = [one.shown(sample("long")) for one in (first, same, other)]
    np.testing.assert_array_equal(clips[0], clips[1])
    assert (clips[0] != clips[2]).any() and first.digest != other.digest


def test_a_clip_of_one_frame_and_one_of_many(dataset: MadeUp) -> None:
    """Of 10,000 frames only those that are shown are read, however many are blended."""
    read: list[int] = []

    class Long(MadeUp):
        def frame_count(self, sample: Sample) -> int:
            return 1 if sample.id == "short" else 10_000

        def clip(self, sample: Sample, frames: Sequence[int]) -> np.ndarray:
            read.append(len(frames))
            return np.zeros((len(frames), 40, 60, 3), np.uint8)

    found = ShownClips(Long(), 16)
    assert found.shown(sample("short")).shape == (16, 40, 60, 3)
    assert found.shown(sample("long")).shape == (16, 40, 60, 3)
    blended = DEFECTS["frame_blend"]
    clip = blended.read(found, sample("long"), "5", Address(0, "x"))
    assert clip.shape == (16, 40, 60, 3)
    assert max(read) == 23 and sum(read) == 16 + 16 + 16 * 23


def test_frames_of_clips_are_pictures_for_training(dataset: MadeUp) -> None:
    found = ClipFrames(dataset, 4)
    samples = found.samples("train")
    assert [one.id for one in samples[:5]] == [
        "short#0",
        "short#1",
        "short#2",
        "short#3",
        "exact#0",
    ]
    assert [found.picture(one)[0, 0, 0] for one in samples[-4:]] == [6, 18, 31, 43]
    assert found.digest != dataset.digest and found.size(samples[0]) == (40, 60)


def test_a_config_knows_every_sampler_and_padding() -> None:
    assert set(get_args(Sampler)) == set(SAMPLERS) and set(get_args(Padding)) == set(PADDINGS)
