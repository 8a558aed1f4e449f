"""Perturbed clips: the temporal choice, defects in time, attacks on frames."""

import itertools
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.config import Config, parse
from bench.data.clips import ShownClips
from bench.data.drawn import DrawnClips
from bench.perturb import ATTACKS, CONTINUOUS, CORRUPTIONS, SEQUENCES
from bench.perturb.base import Address, Batch, Clean, Validation
from bench.perturb.clips import (
    BURST,
    DEFECTS,
    AttackedFrames,
    CorruptedFrames,
    FrameDefect,
    Transmitted,
    usual_temporal,
)
from bench.sweep.run import dry_run
from bench.util.errors import UserError

DATASET = ShownClips(DrawnClips({"train": 7, "val": 7, "test": 7}, seed=5), 6)
SAMPLE = DATASET.samples("test")[2]
CLIP = DATASET.shown(SAMPLE)
ADDRESS = Address(0, DATASET.name)
SENSOR, CAMERA, BURSTS = (
    CorruptedFrames(CORRUPTIONS["gaussian_noise"], temporal)
    for temporal in ("sensor", "camera", "burst")
)


def changed(perturbation: Any, clips: Sequence[np.ndarray], level: str = "3") -> list[np.ndarray]:
    names = [f"{SAMPLE.id}{n}" for n in range(len(clips))]
    found: list[np.ndarray] = perturbation.apply(
        Batch(clips, names, [SAMPLE.label] * len(clips)), level, ADDRESS, None
    )
    return found


@pytest.mark.parametrize("temporal", ["camera", "sensor", "burst"])
@pytest.mark.parametrize("name", ["gaussian_noise", "gaussian_blur", "motion_blur"])
def test_a_clip_is_the_same_whatever_it_came_with(name: str, temporal: Any) -> None:
    corruption = CorruptedFrames(CORRUPTIONS[name], temporal)
    others = [CLIP, CLIP[::-1], CLIP[:2], CLIP[:, :32]]  # of another length, of another size
    before = [clip.copy() for clip in others]
    together = changed(corruption, others)
    assert [clip.shape for clip in together] == [clip.shape for clip in others]
    for number in range(len(others)):
        names = [f"{SAMPLE.id}{number}"]
        (alone,) = corruption.apply(
            Batch([others[number]], names, [SAMPLE.label]), "3", ADDRESS, None
        )
        np.testing.assert_array_equal(alone, together[number])
        np.testing.assert_array_equal(before[number], others[number])


def test_noise_of_the_camera_stands_still_and_noise_of_the_sensor_does_not() -> None:
    still = np.repeat(CLIP[:1], 5, axis=0)
    (camera,), (sensor,) = changed(CAMERA, [still], "2"), changed(SENSOR, [still], "2")
    assert (camera == camera[0]).all()
    for one, other in itertools.combinations(sensor, 2):
        assert (one != other).mean() > 0.5
    # The noise of two frames is independent, not shifted or scaled.
    first, second = (sensor[i].astype(float) - sensor.mean(axis=0) for i in (0, 1))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1] + 1 / 4) < 0.05


@pytest.mark.parametrize("name", ["gaussian_noise", "glass_blur", "defocus_blur"])
def test_a_frame_of_the_camera_is_corrupted_as_a_picture(name: str) -> None:
    (clip,) = changed(CorruptedFrames(CORRUPTIONS[name], "camera"), [CLIP], "5")
    where = {"seed": 0, "dataset": DATASET.name, "sample_id": f"{SAMPLE.id}0"}
    for before, after in zip(CLIP, clip, strict=True):
        np.testing.assert_array_equal(CORRUPTIONS[name](before, 5, **where), after)


def test_what_draws_nothing_is_the_same_in_both() -> None:
    blur = CORRUPTIONS["gaussian_blur"]
    camera, sensor = (
        changed(CorruptedFrames(blur, temporal), [CLIP])[0] for temporal in ("camera", "sensor")
    )
    np.testing.assert_array_equal(camera, sensor)
    assert (camera != CLIP).any()


def test_a_burst_is_a_stretch_of_the_stated_length_anywhere() -> None:
    clips = [CLIP] * 40
    (whole,) = changed(CAMERA, [CLIP])
    starts = set()
    for clip in changed(BURSTS, clips):
        hit = [bool((a != b).any()) for a, b in zip(clip, CLIP, strict=True)]
        length = int(np.ceil(BURST * len(CLIP)))
        assert sum(hit) == length
        start = hit.index(True)
        assert all(hit[start : start + length])
        starts.add(start)
    assert starts == set(range(len(CLIP) - 2))
    first = changed(BURSTS, [CLIP])[0]
    place = next(k for k in range(len(CLIP)) if (first[k] != CLIP[k]).any())
    np.testing.assert_array_equal(first[place], whole[place])


@pytest.mark.parametrize(
    ("name", "temporal"),
    [
        ("gaussian_noise", "sensor"),
        ("imagecorruptions.shot_noise", "sensor"),
        ("gaussian_blur", "camera"),
        ("imagecorruptions.fog", "camera"),
        ("face.mask", "camera"),
    ],
)
def test_noises_are_the_sensor_s_and_all_else_is_the_camera_s(name: str, temporal: str) -> None:
    assert usual_temporal(name) == temporal
    made = CORRUPTIONS[name].of_clips()
    assert made.parameters()["temporal"] == temporal and made.inputs("1")["temporal"] == temporal
    assert (made.name, made.family, made.of_pictures) == (name, "corruption", CORRUPTIONS[name])


def test_every_model_free_perturbation_is_one_of_clips() -> None:
    for perturbation in (Clean(), Validation(), *DEFECTS.values()):
        assert perturbation.of_clips() is perturbation
    for continuous in CONTINUOUS.values():
        level = continuous.usual_levels[-1]
        (found,) = changed(continuous.of_clips(), [CLIP], level)
        assert found.shape == CLIP.shape and (found != CLIP).any()
    with pytest.raises(UserError, match="changes pictures"):
        next(iter(SEQUENCES.values())).of_clips()


def seen(defect: str, count: int, severity: int, name: str = "a") -> list[list[int]]:
    law = DEFECTS[defect]
    assert isinstance(law, FrameDefect)
    found = law.seen(count, severity, seed=0, dataset="c", sample_id=name)
    return [list(group) for group in found]


@pytest.mark.parametrize("defect", ["frame_drop", "freeze", "frame_rate"])
def test_defects_repeat_the_past_and_more_so_the_severer(defect: str) -> None:
    repeated = []
    for severity in range(6):
        shares = []
        for i in range(60):
            shown = [number for (number,) in seen(defect, 40, severity, str(i))]
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
    shown = [{group[0] for group in seen(defect, 100, severity, str(i))} for i in range(200)]
    assert np.mean([1 - len(own) / 100 for own in shown]) == pytest.approx(share, abs=0.02)


def test_the_frame_rate_falls_by_the_stated_factor() -> None:
    shown = [number for (number,) in seen("frame_rate", 40, 3)]
    runs = [len(list(own)) for _, own in itertools.groupby(shown)]
    assert set(runs[1:-1]) == {4}


def test_shuffled_frames_are_all_there_and_move_farther_the_severer() -> None:
    moved = []
    for severity in range(1, 6):
        each = []
        for i in range(30):
            shown = np.array([number for (number,) in seen("shuffle", 40, severity, str(i))])
            assert sorted(shown) == list(range(40))
            each.append(np.abs(shown - np.arange(40)).mean())
        moved.append(np.mean(each))
    assert all(a < b for a, b in itertools.pairwise(moved))


def test_blended_frames_are_means_of_their_neighbours() -> None:
    assert seen("frame_blend", 40, 1)[20] == list(range(17, 24))
    assert seen("frame_blend", 40, 5)[0] == list(range(12))
    found = DEFECTS["frame_blend"].read(DATASET, SAMPLE, "1", ADDRESS)
    count = DATASET.frame_count(SAMPLE)
    middle = (2 * 2 + 1) * count // 12  # of the third of six segments
    window = range(max(0, middle - 3), min(count, middle + 4))
    expected = DATASET.clip(SAMPLE, window).mean(axis=0)
    assert np.abs(found[2] - expected).max() <= 0.5 + 1e-9


def test_a_defect_comes_before_frames_are_chosen() -> None:
    """Of a frozen clip the frames that are shown late are one frame."""
    frozen = DEFECTS["freeze"].read(DATASET, SAMPLE, "5", ADDRESS)
    assert frozen.shape == CLIP.shape
    assert (frozen[-1] == frozen[-3]).all() and (CLIP[-1] != CLIP[-3]).any()
    assert (DEFECTS["frame_drop"].read(DATASET, SAMPLE, "1", ADDRESS)[0] == CLIP[0]).mean() > 0


def test_clips_of_one_frame_survive_every_defect() -> None:
    for name, defect in DEFECTS.items():
        for severity in (1, 5):
            if isinstance(defect, FrameDefect):
                assert seen(name, 1, severity) == [[0]]
            of = (0, "c", "a")
            found = defect.shown(lambda numbers: CLIP[list(numbers)], 1, [0, 0], severity, of)
            assert found.shape == (2, *CLIP.shape[1:])


CODECS = [name for name, defect in DEFECTS.items() if isinstance(defect, Transmitted)]


@pytest.mark.parametrize("name", CODECS)
def test_a_clip_comes_out_of_a_codec_the_same_each_time_and_worse_the_severer(name: str) -> None:
    defect = DEFECTS[name]
    mild, severe, again = (defect.read(DATASET, SAMPLE, n, ADDRESS) for n in ("1", "5", "5"))
    np.testing.assert_array_equal(severe, again)
    assert severe.shape == CLIP.shape and severe.dtype == np.uint8
    errors = [np.abs(clip.astype(int) - CLIP).mean() for clip in (mild, severe)]
    assert 0 < errors[0] < 12  # the same frames in the same order, and colours
    assert errors[1] > errors[0] + 5 or not name.endswith("crf")
    assert defect.parameters()["av"] == metadata.version("av")


def moving_square(numbers: Sequence[int], size: tuple[int, int] = (97, 65)) -> np.ndarray:
    """A square that moves a pixel a frame; its left edge says which frame it is."""
    frames = np.full((len(numbers), *size, 3), 60, np.uint8)
    for frame, number in zip(frames, numbers, strict=True):
        frame[10:90, number : number + 12] = (220, 60, 120)
    return frames


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_frames_keep_their_places_and_sizes_and_few_are_read_at_once(codec: str) -> None:
    """Codecs reorder frames, want even sides, and need not hold a clip."""
    counts: list[int] = []

    def read(numbers: Sequence[int]) -> np.ndarray:
        counts.append(len(numbers))
        return moving_square(numbers)

    defect = Transmitted("x", (10.0,), codec=codec)
    found = defect.shown(read, 50, [49, 0, 7, 7], 1, (0, "c", "a"))
    assert found.shape == (4, 97, 65, 3) and max(counts) <= 32
    assert np.abs(found.astype(int) - moving_square([49, 0, 7, 7])).mean() < 4


@pytest.mark.parametrize(
    ("damage", "constant"), [("bytes", 500.0), ("packets", 20.0), ("packets", 70.0)]
)
def test_damage_is_seen_addressed_and_never_fatal(damage: Any, constant: float) -> None:
    defect = Transmitted("x", (constant,), codec="libx265", damage=damage)
    clips = [
        defect.shown(moving_square, 40, range(0, 40, 4), 1, (0, "c", name))
        for name in ("a", "a", "b", "d", "e")
    ]
    np.testing.assert_array_equal(clips[0], clips[1])
    assert len({clip.tobytes() for clip in clips}) > 1


def test_a_clip_that_is_lost_whole_is_black() -> None:
    lost = Transmitted("x", (100.0,), codec="libx265", damage="packets")
    assert (lost.shown(moving_square, 9, [0, 8], 1, (0, "c", "a")) == 0).all()


def test_without_pyav_planning_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.perturb.clips.find_spec", lambda name: None)
    for name in CODECS:
        assert re.search(r"emodc-bench\[video\].*leave .* out", DEFECTS[name].missing())
        assert DEFECTS[name].parameters()["av"] == ""
    with pytest.raises(UserError, match="h264_crf: PyAV is not installed"):
        dry_run(config(corruptions={"h264_crf": [1]}), Path("nowhere"))


class Redness(nn.Module):
    """Class 1 where the first frame is redder than the last."""

    classes = ("a", "b")

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def attack_target(self, sample_id: str, *_: object, **__: object) -> nn.Module:
        return self

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        assert clips.dim() == 5
        red = self.scale * (clips[:, 0, 0].mean((1, 2)) - clips[:, 0, -1].mean((1, 2)))
        return torch.stack([-red, red], 1) * 50


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
@pytest.mark.parametrize(
    ("frames", "touched"), [(None, [0, 5]), (2, [1, 4]), (1, [3]), (9, [0, 5])]
)
def test_attacks_stay_within_their_budget_and_their_frames(
    name: str, frames: int | None, touched: list[int]
) -> None:
    attack = AttackedFrames(ATTACKS[name](), frames)
    (found,) = attack.apply(Batch([CLIP], ["s"], ["a"]), "4/255", ADDRESS, Redness())  # type: ignore[arg-type]
    assert found.shape == CLIP.shape and found.dtype == np.uint8
    change = np.abs(found.astype(int) - CLIP.astype(int)).max(axis=(1, 2, 3))
    assert change.max() <= 4
    allowed = range(6) if frames in (None, 9) else touched
    assert all(change[k] == 0 for k in range(6) if k not in allowed)
    if frames in (None, 9):
        assert all(change[k] == 4 for k in touched)  # the frames that the classifier looks at
        logits = [
            Redness()(torch.from_numpy(clip).permute(3, 0, 1, 2)[None] / 255)[0, 1]
            for clip in (CLIP, found)
        ]
        assert logits[1] > logits[0]  # away from class "a"


def config(clips: bool = True, **perturbations: object) -> Config:
    content = {
        "data": {"kind": "clips"},
        "classifiers": {"tiny": {"kind": "baseline", "architecture": "test_resnet"}},
        "perturbations": perturbations,
    } | ({"clips": {"frames": 4}} if clips else {})
    return parse(content, "test.yaml")


def test_a_config_names_defects_temporal_choices_and_frames_of_attacks() -> None:
    found = config(
        corruptions={
            "freeze": [1, 3],
            "late": {"kind": "shuffle", "severities": [5]},
            "still_noise": {"kind": "gaussian_noise", "temporal": "camera", "severities": [2]},
        },
        attacks={"pgd": {"eps": [2], "frames": 3}},
    )
    members = {p.name: (p, levels) for p, levels in found.perturbations.members()}
    assert members["freeze"] == (DEFECTS["freeze"], ("1", "3"))
    assert members["late"][0].parameters()["name"] == "late"
    noise = members["still_noise"][0]
    assert isinstance(noise, CorruptedFrames) and noise.temporal == "camera"
    assert members["pgd"][0].parameters()["frames"] == 3
    assert parse(found.model_dump(mode="json"), "again") == found
    names = [p.name for p, _ in found.select(None, ["frame_drop"]).perturbations.members()]
    assert names == ["clean", "frame_drop"]


@pytest.mark.parametrize(
    ("clips", "perturbations", "words"),
    [
        (False, {"corruptions": {"freeze": [1]}}, "freeze is about frames of clips"),
        (False, {"corruptions": {"gaussian_noise": {"temporal": "camera"}}}, "set `clips`"),
        (False, {"attacks": {"pgd": {"eps": [1], "frames": 2}}}, "pgd is about frames of clips"),
        (True, {"sequences": ["rotation"]}, "rotation changes pictures"),
        (True, {"corruptions": {"freeze": {"amount": [1]}}}, "no field 'amount'"),
        (True, {"corruptions": {"frezee": [1]}}, "Did you mean freeze"),
        (True, {"corruptions": {"freeze": [6]}}, "freeze has no severity 6"),
    ],
)
def test_mistakes_are_told(clips: bool, perturbations: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        config(clips, **perturbations)
