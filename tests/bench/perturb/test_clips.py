"""Corrupted clips: the temporal choice, and frames that do not depend on which others are asked."""

import itertools

import numpy as np
import pytest

from bench.data.drawn import DrawnClips
from bench.perturb import CORRUPTIONS
from bench.perturb.clips import DEFECTS, corrupt_clip, drawn_burst, shown_frames
from bench.util.errors import UserError

DATASET = DrawnClips({"train": 7, "val": 7, "test": 7}, seed=5)
SAMPLE = DATASET.samples("test")[2]
COUNT = DATASET.frame_count(SAMPLE)
CLIP = DATASET.clip(SAMPLE, range(COUNT))
ADDRESS = {"seed": 0, "dataset": DATASET.name, "sample_id": SAMPLE.id}
NOISE, BLUR = CORRUPTIONS["gaussian_noise"], CORRUPTIONS["gaussian_blur"]


@pytest.mark.parametrize("temporal", ["camera", "sensor"])
@pytest.mark.parametrize("name", ["gaussian_noise", "gaussian_blur", "motion_blur"])
def test_a_frame_is_the_same_whatever_others_are_asked_for(name: str, temporal: str) -> None:
    corruption = CORRUPTIONS[name]
    whole = corrupt_clip(corruption, CLIP, 3, temporal=temporal, **ADDRESS)
    for numbers in ([0], [7, 2, 7], range(COUNT - 1, -1, -1)):
        frames = DATASET.clip(SAMPLE, numbers)
        part = corrupt_clip(corruption, frames, 3, temporal=temporal, numbers=numbers, **ADDRESS)
        np.testing.assert_array_equal(part, whole[list(numbers)])


def test_noise_of_the_camera_stands_still_and_noise_of_the_sensor_does_not() -> None:
    still = np.repeat(CLIP[:1], 5, axis=0)
    camera = corrupt_clip(NOISE, still, 2, temporal="camera", **ADDRESS)
    sensor = corrupt_clip(NOISE, still, 2, temporal="sensor", **ADDRESS)
    assert (camera == camera[0]).all()
    for one, other in itertools.combinations(sensor, 2):
        assert (one != other).mean() > 0.5
    # The noise of two frames is independent, not shifted or scaled.
    first, second = (sensor[i].astype(float) - sensor.mean(axis=0) for i in (0, 1))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1] + 1 / 4) < 0.05


def test_what_draws_nothing_is_the_same_in_both() -> None:
    camera, sensor = (
        corrupt_clip(BLUR, CLIP, 4, temporal=t, **ADDRESS) for t in ("camera", "sensor")
    )
    np.testing.assert_array_equal(camera, sensor)
    assert (camera != CLIP).any()


@pytest.mark.parametrize("name", ["gaussian_noise", "glass_blur", "defocus_blur"])
def test_classifiers_of_pictures_meet_the_middle_frame_of_the_camera(name: str) -> None:
    """A run on clips corrupts the middle frame as a picture: the choice "camera"."""
    corruption = CORRUPTIONS[name]
    clip = corrupt_clip(corruption, CLIP, 5, temporal="camera", **ADDRESS)
    picture = corruption(DATASET.picture(SAMPLE), 5, **ADDRESS)
    np.testing.assert_array_equal(clip[COUNT // 2], picture)


def test_severity_zero_and_no_frames_change_nothing() -> None:
    same = corrupt_clip(NOISE, CLIP, 0, temporal="sensor", **ADDRESS)
    np.testing.assert_array_equal(same, CLIP)
    assert len(corrupt_clip(NOISE, CLIP[:0], 3, temporal="sensor", **ADDRESS)) == 0


def test_the_frames_given_are_left_as_they_are() -> None:
    before = CLIP.copy()
    corrupt_clip(NOISE, CLIP, 5, temporal="camera", **ADDRESS)
    np.testing.assert_array_equal(before, CLIP)


def test_a_burst_is_a_stretch_of_the_stated_length_and_leaves_the_rest() -> None:
    burst = drawn_burst(COUNT, 0.3, corruption=NOISE.name, **ADDRESS)
    assert len(burst) == int(np.ceil(0.3 * COUNT))
    assert burst.start >= 0 and burst.stop <= COUNT
    found = corrupt_clip(NOISE, CLIP, 3, temporal="sensor", burst=burst, **ADDRESS)
    whole = corrupt_clip(NOISE, CLIP, 3, temporal="sensor", **ADDRESS)
    inside = np.isin(np.arange(COUNT), burst)
    np.testing.assert_array_equal(found[~inside], CLIP[~inside])
    np.testing.assert_array_equal(found[inside], whole[inside])


def test_bursts_begin_anywhere() -> None:
    starts = [
        drawn_burst(12, 0.25, seed=0, dataset="c", sample_id=str(i), corruption="fog").start
        for i in range(400)
    ]
    assert set(starts) == set(range(10))
    assert drawn_burst(12, 1.0, seed=0, dataset="c", sample_id="a", corruption="fog") == range(12)


@pytest.mark.parametrize("defect", DEFECTS)
def test_defects_repeat_the_past_and_more_so_the_severer(defect: str) -> None:
    repeated = []
    for severity in range(6):
        shares = []
        for i in range(60):
            address = {"seed": 0, "dataset": "c", "sample_id": str(i)}
            shown = shown_frames(defect, 40, severity, **address)
            assert shown == shown_frames(defect, 40, severity, **address)
            assert len(shown) == 40 and shown[0] == 0
            assert all(a <= b for a, b in itertools.pairwise(shown))
            assert all(number <= place for place, number in enumerate(shown))
            shares.append(1 - len(set(shown)) / 40)
        repeated.append(np.mean(shares))
    assert repeated[0] == 0
    assert all(a < b - 0.02 for a, b in itertools.pairwise(repeated))


@pytest.mark.parametrize(
    ("defect", "severity", "share"), [("frame_drop", 3, 0.3), ("freeze", 3, 0.5)]
)
def test_defects_have_the_stated_strength(defect: str, severity: int, share: float) -> None:
    shown = [
        shown_frames(defect, 100, severity, seed=0, dataset="c", sample_id=str(i))
        for i in range(200)
    ]
    assert np.mean([1 - len(set(s)) / 100 for s in shown]) == pytest.approx(share, abs=0.02)


def test_the_frame_rate_falls_by_the_stated_factor() -> None:
    shown = shown_frames("frame_rate", 40, 3, seed=0, dataset="c", sample_id="a")
    runs = [len(list(own)) for _, own in itertools.groupby(shown)]
    assert set(runs[1:-1]) == {4}


def test_clips_of_one_frame_survive_every_defect() -> None:
    for defect in DEFECTS:
        assert shown_frames(defect, 1, 5, seed=0, dataset="c", sample_id="a") == [0]


def test_a_frame_beyond_the_defect_comes_from_the_data_set() -> None:
    shown = shown_frames("freeze", COUNT, 5, **ADDRESS)
    frames = DATASET.clip(SAMPLE, shown)
    np.testing.assert_array_equal(frames[-1], CLIP[shown[-1]])
    assert shown[-1] < COUNT // 2


def test_mistakes_are_told() -> None:
    with pytest.raises(ValueError, match="3 frames cannot have 2 numbers"):
        corrupt_clip(NOISE, CLIP[:3], 1, temporal="camera", numbers=[0, 1], **ADDRESS)
    with pytest.raises(ValueError, match='"camera" or "sensor"'):
        corrupt_clip(NOISE, CLIP[:3], 1, temporal="lens", **ADDRESS)
    with pytest.raises(UserError, match="freeze"):
        shown_frames("freez", 5, 1, **ADDRESS)
