from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
import torch

from bench.data.base import ClipDataSet, Sample, Split
from bench.data.clips import (
    CROP_AREA,
    CROP_RATIO,
    PADDINGS,
    SAMPLERS,
    Augment,
    ClipBatches,
    ClipFrames,
    ShownClips,
    clip_tensor,
    random_view,
    stacked_clips,
)
from bench.data.config import Padding, Sampler
from bench.perturb.base import Address
from bench.perturb.clips import DEFECTS
from bench.util import rng
from bench.util.errors import UserError

COUNTS = {"short": 5, "exact": 16, "long": 50}


class MadeUp(ClipDataSet):
    """Clips of 40x60 whose red is the frame's number, whose green rises to the right and whose
    blue rises downwards."""

    name, kind, digest = "made_up", "made-up clips", "0"
    classes = ("neutral", "happiness", "sadness")

    def samples(self, split: Split) -> Sequence[Sample]:
        return [Sample(name, label) for name, label in zip(COUNTS, self.classes, strict=True)]

    def size(self, sample: Sample) -> tuple[int, int]:
        return 40, 60

    def frame_count(self, sample: Sample) -> int:
        return COUNTS[sample.id]

    def clip(self, sample: Sample, frames: Sequence[int]) -> np.ndarray:
        clip = np.zeros((len(frames), 40, 60, 3), np.uint8)
        clip[..., 0] = np.array(frames)[:, None, None]
        clip[..., 1] = np.arange(60) * 4
        clip[..., 2] = np.arange(40)[:, None] * 6
        return clip


def shown(clip: torch.Tensor) -> list[int]:
    """The numbers of the frames in a clip."""
    return (clip[0, :, 0, 0] * 255).round().int().tolist()


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


def test_a_batch_is_a_function_of_seed_and_step(dataset: MadeUp) -> None:
    clips, labels = ClipBatches(dataset, 6, seed=0, size=20)(3)
    assert clips.shape == (6, 3, 16, 20, 20) and clips.dtype == torch.float32
    assert labels.shape == (6,) and labels.dtype == torch.int64
    again, same = ClipBatches(dataset, 6, seed=0, size=20)(3)
    assert torch.equal(clips, again) and torch.equal(labels, same)
    assert not torch.equal(clips, ClipBatches(dataset, 6, seed=0, size=20)(4)[0])
    assert not torch.equal(clips, ClipBatches(dataset, 6, seed=1, size=20)(3)[0])


def test_a_row_has_draws_of_its_own(dataset: MadeUp) -> None:
    clips, labels = ClipBatches(dataset, 4, seed=5, size=20)(7)
    for row, label in enumerate(labels):
        draws = rng.generator(5, "clip", 7, row)
        alone = clip_tensor(
            dataset,
            dataset.samples("train")[label],
            size=20,
            sampler="tsn_random",
            draws=draws,
            augment=Augment(),
        )
        assert torch.equal(clips[row], alone)


def test_clips_keep_their_labels(dataset: MadeUp) -> None:
    """Each made-up clip is known by its last frame."""
    clips, labels = ClipBatches(dataset, 60, seed=0, size=8, sampler="linspace")(0)
    last = [COUNTS[name] - 1 for name in COUNTS]
    assert [shown(clip)[-1] for clip in clips] == [last[label] for label in labels]
    assert labels.bincount().min() > 8


def test_training_sees_other_frames_at_other_steps(dataset: MadeUp) -> None:
    batches = ClipBatches(dataset, 12, seed=0, size=8, balanced=True)
    seen = {tuple(shown(clip)) for step in range(3) for clip in batches(step)[0]}
    assert len(seen) > 8
    assert all(list(frames) == sorted(frames) for frames in seen)


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


def test_readers_change_nothing_whatever_the_order_of_steps(dataset: MadeUp) -> None:
    alone, several = (ClipBatches(dataset, 5, seed=2, size=12, readers=n) for n in (1, 3))
    for step in (0, 1, 2, 9, 3):
        expected, labels = alone(step)
        found, same = several(step)
        assert torch.equal(expected, found) and torch.equal(labels, same)


def test_stacked_clips_are_the_evaluation_s_frames(dataset: MadeUp) -> None:
    clips, labels = stacked_clips(dataset, "val", 4, 20)
    assert clips.shape == (3, 3, 4, 20, 20) and clips.dtype == torch.uint8
    assert labels.tolist() == [0, 1, 2]
    alone = clip_tensor(dataset, dataset.samples("val")[2], 4, 20)
    assert (clips[2].float() / 255 - alone).abs().max() <= 0.5 / 255 + 1e-6


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
