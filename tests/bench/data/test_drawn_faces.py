import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from bench import faces
from bench.data.drawn import DrawnFaces
from bench.util.files import cache_folder

SIZES = {"train": 14, "val": 7, "test": 7}


def test_pictures_are_drawn_once_and_then_come_from_the_cache() -> None:
    first = DrawnFaces(SIZES, seed=11)
    assert not first.is_cached("test")
    sample = first.samples("test")[3]
    np.testing.assert_array_equal(
        first.picture(sample), faces.draw(faces.sample_face(11, "test", 3))
    )
    assert first.is_cached("test")
    files = {path: path.stat().st_mtime_ns for path in cache_folder().iterdir()}
    again = DrawnFaces(SIZES, seed=11)
    np.testing.assert_array_equal(again.picture(sample), first.picture(sample))
    assert {path: path.stat().st_mtime_ns for path in cache_folder().iterdir()} == files


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:200],
        lambda content: bytes(255 - byte for byte in content),
        lambda content: bytes(len(content)),
        lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content[:-32],  # as before there were checksums
    ],
)
def test_a_damaged_cache_is_drawn_again(damage: Callable[[bytes], bytes]) -> None:
    reference = DrawnFaces(SIZES, seed=12).pictures("val").copy()
    path = DrawnFaces(SIZES, seed=12)._path("val")
    whole = path.read_bytes()
    np.testing.assert_array_equal(np.load(path), reference)  # it stays a file of numpy's
    path.write_bytes(damage(whole))
    np.testing.assert_array_equal(DrawnFaces(SIZES, seed=12).pictures("val"), reference)
    assert path.read_bytes() == whole


def test_other_settings_of_a_difficulty_are_another_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = DrawnFaces(SIZES, seed=13)
    before.pictures("val")
    harder = dataclasses.replace(faces.DIFFICULTIES["default"], intensity_low=0.1)
    monkeypatch.setattr(faces, "DIFFICULTIES", {"default": harder})
    after = DrawnFaces(SIZES, seed=13)
    assert after.digest != before.digest
    assert not after.is_cached("val")


def test_attributes_describe_the_drawing() -> None:
    dataset = DrawnFaces(SIZES)
    sample = dataset.samples("train")[8]
    known = dataset.attributes(sample)
    assert known["expression"] == sample.label == "happiness"
    assert known["identity"] == "train-00001"


@pytest.fixture(scope="module")
def default_groups() -> list[dict[str, str]]:
    """Groups of the 504 test faces of the default config."""
    dataset = DrawnFaces({"train": 7, "val": 7, "test": 504})
    return [dataset.groups(sample) for sample in dataset.samples("test")]


def test_every_group_has_a_fair_share_and_a_name(default_groups: list[dict[str, str]]) -> None:
    assert {name for groups in default_groups for name in groups} == set(faces.GROUPS)
    for name, values in faces.GROUPS.items():
        counts = Counter(groups[name] for groups in default_groups if name in groups)
        assert set(counts) == set(values)
        assert min(counts.values()) > 0.05 * len(default_groups), (name, counts)


def test_groups_of_a_face_do_not_change(default_groups: list[dict[str, str]]) -> None:
    expected = [
        "dark,55-80,no glasses,no facial hair,frontal,normal",
        "dark,55-80,no glasses,no facial hair,frontal,dim,weak",
    ]
    assert [",".join(groups.values()) for groups in default_groups[:2]] == expected
    again = DrawnFaces(SIZES)
    assert [again.groups(sample) for sample in again.samples("test")] == default_groups[:7]


def test_groups_follow_what_was_drawn(default_groups: list[dict[str, str]]) -> None:
    dataset = DrawnFaces({"train": 7, "val": 7, "test": 504})
    for sample, groups in zip(dataset.samples("test"), default_groups, strict=True):
        known = dataset.attributes(sample)
        assert groups["skin tone"] == known["skin_tone"] and groups["age"] == known["age_group"]
        assert (groups["glasses"] == "glasses") == known["glasses"]
        assert (groups["facial hair"] == "facial hair") == (known["beard"] != "none")
        assert (groups["head pose"] == "turned") == (abs(np.degrees(known["yaw"])) >= 7)
        level = (known["light_brightness"] - 0.65) / 0.5 * 3
        assert groups["light"] == ("dim", "normal", "bright")[int(level)]
        if sample.label == "neutral":
            assert "intensity" not in groups
        else:
            level = (known["intensity"] - 0.5) / 0.5 * 3
            assert groups["intensity"] == ("weak", "medium", "strong")[int(level)]


def test_the_cut_points_are_quantiles_of_the_generators_law() -> None:
    """The shares that `faces.groups` states, within 4 standard errors over independent persons."""
    expected = {
        "skin tone": ("medium", 1 / 4),
        "age": ("35-54", 20 / 62),
        "glasses": ("glasses", 0.16),
        "facial hair": ("facial hair", 0.30),
        "head pose": ("turned", 0.35),
        "light": ("dim", 1 / 3),
        "intensity": ("strong", 1 / 3),
    }
    people = [faces.groups_of(faces.sample_face(5, "law", 7 * n + 1)) for n in range(2000)]
    for name, (value, share) in expected.items():
        found = sum(person[name] == value for person in people) / len(people)
        assert abs(found - share) < 4 * (share * (1 - share) / len(people)) ** 0.5, name


def test_the_size_is_that_of_the_picture() -> None:
    dataset = DrawnFaces(SIZES, seed=11)
    sample = dataset.samples("test")[3]
    assert dataset.size(sample) == dataset.picture(sample).shape[:2]
