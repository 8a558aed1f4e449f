"""Drawn clips: onset, apex and offset, smooth motion, the same frames however asked for."""

import hashlib
import os
import pickle
from collections import Counter

import numpy as np
import pytest

from bench import faces
from bench.data.drawn import DrawnClips
from bench.faces import AU_NAMES, EXPRESSIONS, Clip, sample_clip
from bench.faces.clip import LEAST_FRAMES, MOST_FRAMES
from bench.util.files import cache_folder

SIZES = {"train": 14, "val": 7, "test": 7}
CLIPS = [sample_clip(0, "test", index) for index in range(70)]

# A change here changes every result on clips.
DIGESTS = {
    "default": "2096de6b11e72cad6e09761d590beb9fbee648c6d8137075f11456bd45704f8a",
    "archive": "7e02310b104e8902afba433f4ed5db2786fe191dd36bfab4de721025f439663d",
}


def units(clip: Clip, number: int) -> np.ndarray:
    return np.array([getattr(clip.face(number).action_units, name) for name in AU_NAMES])


# Determinism


@pytest.mark.parametrize("domain", DIGESTS)
def test_frames_are_pinned(domain: str) -> None:
    dataset = DrawnClips(SIZES, domain=domain)
    frames = [dataset.clip(sample, [0, 5, 11]) for sample in dataset.samples("test")]
    digest = hashlib.sha256(np.concatenate(frames).tobytes()).hexdigest()
    assert digest == DIGESTS[domain], f"{domain!r}: {digest!r}"


def test_a_frame_is_the_same_alone_in_a_clip_and_from_the_cache() -> None:
    dataset = DrawnClips(SIZES, seed=31)
    sample = dataset.samples("val")[3]
    count = dataset.frame_count(sample)
    whole = dataset.clip(sample, range(count))
    assert not dataset.is_cached("val")
    np.testing.assert_array_equal(dataset.clip(sample, [7, 2, 7]), whole[[7, 2, 7]])
    drawn: list[int] = []
    pictures = dataset.pictures("val", drawn.append)
    assert sum(drawn) == 7, "progress counts clips"
    assert len(pictures) == sum(dataset.frame_count(each) for each in dataset.samples("val"))
    assert dataset.is_cached("val")
    np.testing.assert_array_equal(dataset.clip(sample, range(count)), whole)
    np.testing.assert_array_equal(dataset.picture(sample), whole[count // 2])
    files = {path: path.stat().st_mtime_ns for path in cache_folder().iterdir()}
    again: DrawnClips = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again.clip(sample, [1]), whole[[1]])
    assert {path: path.stat().st_mtime_ns for path in cache_folder().iterdir()} == files


def test_a_damaged_cache_is_drawn_again() -> None:
    sizes = {"train": 7, "val": 7, "test": 3}
    reference = DrawnClips(sizes, seed=32).pictures("test").copy()
    path = max(cache_folder().glob("clips-test-*.npy"), key=lambda p: p.stat().st_mtime_ns)
    os.truncate(path, path.stat().st_size // 2)
    np.testing.assert_array_equal(DrawnClips(sizes, seed=32).pictures("test"), reference)


def test_every_part_of_the_address_matters() -> None:
    base = sample_clip(0, "test", 3).face(4)
    for other in (sample_clip(1, "test", 3), sample_clip(0, "val", 3), sample_clip(0, "test", 10)):
        assert (faces.draw(other.face(4)) != faces.draw(base)).mean() > 0.5


def test_clips_of_no_frames_and_frames_that_do_not_exist() -> None:
    dataset = DrawnClips(SIZES)
    sample = dataset.samples("test")[0]
    assert dataset.clip(sample, []).shape == (0, 64, 64, 3)
    count = dataset.frame_count(sample)
    for number in (-1, count):
        with pytest.raises(ValueError, match=f"test-00000 has frames 0 to {count - 1}"):
            dataset.clip(sample, [0, number])
    with pytest.raises(ValueError, match="starts at 0"):
        sample_clip(0, "test", -1)


# Who and what


def test_expressions_come_in_turn_and_persons_are_in_one_split() -> None:
    dataset = DrawnClips(SIZES)
    assert [sample.label for sample in dataset.samples("train")] == [*EXPRESSIONS, *EXPRESSIONS]
    people = {sample_clip(0, split, 7 * n).apex.identity for split in SIZES for n in range(10)}
    people |= {faces.sample_face(0, split, 7 * n).identity for split in SIZES for n in range(10)}
    assert len(people) == 60
    assert len({clip.apex.identity for clip in CLIPS[:7]}) == 1


def test_lengths_vary_over_their_range() -> None:
    counts = Counter(faces.frame_count(0, "train", index) for index in range(2000))
    assert set(counts) == set(range(LEAST_FRAMES, MOST_FRAMES + 1)) == set(range(12, 41))
    assert max(counts.values()) < 2 * 2000 / 29


def test_attributes_and_groups_are_those_of_the_middle_frame() -> None:
    dataset = DrawnClips(SIZES)
    for sample, clip in zip(dataset.samples("test"), CLIPS, strict=False):
        known = dataset.attributes(sample)
        assert known["frames"] == clip.frame_count == dataset.frame_count(sample)
        assert known["expression"] == sample.label
        assert known["yaw"] == clip.apex.scene.pose.yaw
        assert dataset.groups(sample) == faces.groups_of(clip.apex)
        assert dataset.size(sample) == dataset.picture(sample).shape[:2]


# Onset, apex, offset


def test_intensity_rises_holds_through_the_middle_and_falls() -> None:
    for clip in CLIPS:
        shown = np.array([clip.face(n).intensity for n in range(clip.frame_count)])
        middle = clip.frame_count // 2
        assert shown[0] == 0.0
        assert shown[middle] == clip.apex.intensity == shown.max()
        assert (np.diff(shown[: middle + 1]) >= 0).all()
        assert (np.diff(shown[middle:]) <= 0).all()
        assert shown[-1] <= 0.05 * clip.apex.intensity
        np.testing.assert_array_equal(units(clip, 0), 0.0)
        np.testing.assert_array_equal(
            units(clip, middle), [getattr(clip.apex.action_units, name) for name in AU_NAMES]
        )
        assert np.abs(np.diff(shown)).max() < 0.65, "no expression comes within one frame"


def test_neutral_clips_stay_neutral() -> None:
    for clip in CLIPS[::7]:
        for number in range(clip.frame_count):
            assert clip.face(number).intensity == 0.0
            levels = dict(zip(AU_NAMES, units(clip, number), strict=True))
            assert levels.pop("au25") <= 0.5 and max(levels.values()) <= 0.3


def test_blinks_close_the_eyes_but_never_at_the_apex() -> None:
    closed = 0
    for clip in [sample_clip(0, "train", index) for index in range(300)]:
        rest = clip.apex.scene.asymmetry.eye_openings
        middle = clip.face(clip.frame_count // 2).scene.asymmetry.eye_openings
        assert middle == rest
        openings = [
            clip.face(n).scene.asymmetry.eye_openings[0] / rest[0] for n in range(clip.frame_count)
        ]
        closed += min(openings) < 0.15
    assert 0.3 * 300 < closed < 0.8 * 300


# Motion


def test_head_and_gaze_move_smoothly_around_the_middle_frame() -> None:
    limits = {"yaw": 0.02, "pitch": 0.012, "roll": 0.01, "shift_x": 0.005, "shift_y": 0.004}
    travelled = dict.fromkeys(limits, 0.0)
    for clip in CLIPS:
        frames = [clip.face(number).scene for number in range(clip.frame_count)]
        assert frames[clip.frame_count // 2].pose == clip.apex.scene.pose
        for name, limit in limits.items():
            path = np.array([getattr(scene.pose, name) for scene in frames])
            assert np.abs(np.diff(path)).max() < limit
            assert np.abs(np.diff(path, 2)).max() < 0.2 * limit, "no jerk"
            travelled[name] = max(travelled[name], float(np.ptp(path)))
    assert travelled["yaw"] > 0.1 and travelled["shift_x"] > 0.02


def test_room_light_and_person_stay_and_grain_is_fresh() -> None:
    clip = CLIPS[4]
    scenes = [clip.face(number).scene for number in range(clip.frame_count)]
    assert len({(s.light, s.background, s.clothes, s.occluder) for s in scenes}) == 1
    assert len({s.camera.grain_key for s in scenes}) == clip.frame_count


def test_frames_of_a_clip_are_much_nearer_to_each_other_than_clips_are() -> None:
    previous = None
    for clip in CLIPS[14:21]:
        frames = np.stack([faces.draw(clip.face(n)) for n in range(clip.frame_count)]).astype(int)
        steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
        assert steps.min() > 0.5, "grain and motion change every frame"
        if previous is not None:
            assert steps.max() < 0.5 * np.abs(frames[0] - previous).mean()
        previous = frames[0]
