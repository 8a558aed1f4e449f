import pytest
import torch
from made_up_clips import COUNTS, MadeUp, shown

from bench.data.clips import Augment, clip_tensor
from bench.training.loop import Batches, ClipBatches, stacked_clips
from bench.util import rng


@pytest.fixture
def dataset() -> MadeUp:
    return MadeUp()


def test_a_batch_is_a_function_of_seed_and_step(images: torch.Tensor) -> None:
    labels = torch.arange(24)
    batches = Batches(images, labels, 8, seed=0)
    first, names = batches(5)
    again, same = Batches(images, labels, 8, seed=0)(5)
    assert torch.equal(first, again) and torch.equal(names, same)
    assert not torch.equal(first, batches(6)[0])
    assert not torch.equal(first, Batches(images, labels, 8, seed=1)(5)[0])


def test_pictures_keep_their_labels_and_range(images: torch.Tensor) -> None:
    flat = torch.arange(24, dtype=torch.uint8)[:, None, None, None].expand(24, 3, 64, 64) * 10
    rows, labels = Batches(flat.contiguous(), torch.arange(24), 64, seed=3)(0)
    assert rows.shape == (64, 3, 64, 64)
    torch.testing.assert_close(rows.mean(dim=(1, 2, 3)) * 255, labels.float() * 10)
    assert len(labels.unique()) > 15


def test_pictures_are_flipped_and_shifted() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(1, 3, 64, 64).contiguous()
    rows, _ = Batches(ramp, torch.zeros(1, dtype=torch.int64), 200, seed=0)(0)
    slopes = rows[:, 0, 0, 40] - rows[:, 0, 0, 20]
    assert 60 < (slopes < 0).sum() < 140
    starts = (rows[slopes > 0][:, 0, 0, 20] * 255).round().unique().tolist()
    assert starts == [float(v) for v in range(16, 25)]


def test_a_batch_of_clips_is_a_function_of_seed_and_step(dataset: MadeUp) -> None:
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
