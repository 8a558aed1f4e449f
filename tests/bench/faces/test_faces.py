"""Drawn faces: determinism, disjoint identities, attributes that match the pixels, sheets."""

import dataclasses
import hashlib
from collections import Counter

import numpy as np
import pytest

from bench.data.sheet import contact_sheet
from bench.faces import (
    AU_NAMES,
    DIFFICULTIES,
    EXPRESSIONS,
    PROTOTYPES,
    ActionUnits,
    Face,
    draw,
    generate,
    sample_face,
)
from bench.faces.action_units import ESSENTIAL
from bench.faces.face import BEARDS, HAIR_STYLES
from bench.faces.randomness import RandomStream, bell_noise
from bench.faces.scene import Occluder

SPLITS = ("train", "val", "test")

# A change here changes every result on drawn faces: old checkpoints and tables no longer apply.
DIGESTS = {
    ("train", "default"): "5c54bb6297dcefb788def2ce6cceaf4dcce48971ed0216613629789b1d8b6fea",
    ("train", "hard"): "cb2f8adec2057b2b5b20386a2709cab24ef90cfe770b1b8758bc4bd341bc0b31",
    ("val", "default"): "114ccccbb3d6eb06041763d89be1db8e18acbbe07f705b269b07504d162318f7",
    ("val", "hard"): "5c62301e0cd8b306fe506c9b1ae04d68324d53742d24f43542e6f97cb07d3809",
    ("test", "default"): "3b750cd5c22516d59b7ac0ad78ec8471e56b618e5024610ba402fea3a562b424",
    ("test", "hard"): "1289a3a6ff914d22d51203f2529aafd65ad4ebb90c35666019579043f9ece150",
}


def with_identity(face: Face, **changes: object) -> Face:
    return dataclasses.replace(face, identity=dataclasses.replace(face.identity, **changes))


def with_scene(face: Face, part: str, **changes: object) -> Face:
    changed = dataclasses.replace(getattr(face.scene, part), **changes)
    return dataclasses.replace(face, scene=dataclasses.replace(face.scene, **{part: changed}))


def with_units(face: Face, **units: float) -> Face:
    return dataclasses.replace(face, action_units=ActionUnits(**units))


def plain_face() -> Face:
    """A neutral face without grain, blur, glasses or beard, so that changes are what they seem."""
    face = sample_face(0, "train", 0)
    face = with_identity(face, glasses=False, beard="none", hair_style="cropped", age=20.0)
    face = with_scene(face, "camera", grain=0.0, blur=0.0)
    face = with_scene(face, "pose", yaw=0.0, pitch=0.0, roll=0.0, scale=0.45)
    face = dataclasses.replace(face, scene=dataclasses.replace(face.scene, occluder=None))
    return with_units(face)


def changed_rows(first: Face, second: Face) -> np.ndarray:
    """Rows in which two drawings differ clearly."""
    difference = np.abs(draw(first).astype(int) - draw(second).astype(int)).max((1, 2))
    return np.flatnonzero(difference > 12)


# Determinism


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("split", SPLITS)
def test_pixels_are_pinned(split: str, difficulty: str) -> None:
    images = generate(0, split, range(14), difficulty, drawing=1)
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    assert digest == DIGESTS[split, difficulty], f"({split!r}, {difficulty!r}): {digest!r}"


def test_an_image_does_not_depend_on_batch_or_order() -> None:
    forwards = generate(3, "train", range(10))
    backwards = generate(3, "train", range(9, -1, -1))
    np.testing.assert_array_equal(forwards, backwards[::-1])
    np.testing.assert_array_equal(forwards[5], draw(sample_face(3, "train", 5)))
    assert sample_face(3, "train", 5) == sample_face(3, "train", 5)


@pytest.mark.parametrize("address", [(1, "train", 5), (0, "val", 5), (0, "train", 12)])
def test_every_part_of_the_address_matters(address: tuple[int, str, int]) -> None:
    assert (draw(sample_face(*address)) != draw(sample_face(0, "train", 5))).mean() > 0.5


def test_drawing_leaves_the_global_generator_alone() -> None:
    np.random.seed(7)  # noqa: NPY002 - the global state is what is tested
    expected = np.random.random(3)  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    before = generate(0, "train", range(2))
    np.testing.assert_array_equal(np.random.random(3), expected)  # noqa: NPY002
    np.testing.assert_array_equal(generate(0, "train", range(2)), before)


def test_generate_gives_uint8_pictures_in_the_order_of_the_indices() -> None:
    images = generate(0, "test", [4, 2])
    assert images.shape == (2, 64, 64, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[1], draw(sample_face(0, "test", 2)))
    assert generate(0, "test", []).shape == (0, 64, 64, 3)


def test_pictures_have_contrast_and_are_not_clipped() -> None:
    images = generate(0, "train", range(70)).astype(float)
    assert (images.std((1, 2, 3)) > 12).all()
    assert ((images == 0) | (images == 255)).mean() < 0.08


# Who and what


def test_identities_are_disjoint_between_splits() -> None:
    names = {
        split: {sample_face(0, split, index).identity.name for index in range(0, 140, 7)}
        for split in SPLITS
    }
    assert [len(found) for found in names.values()] == [20, 20, 20]
    assert len(set.union(*names.values())) == 60
    features = {sample_face(0, split, 0).identity.head_width for split in SPLITS}
    assert len(features) == 3


def test_each_person_shows_each_expression_once() -> None:
    faces = [sample_face(0, "train", index) for index in range(35)]
    shown = Counter((face.identity.name, face.expression) for face in faces)
    assert set(shown.values()) == {1}
    assert Counter(face.expression for face in faces) == dict.fromkeys(EXPRESSIONS, 5)
    assert [face.expression for face in faces[:7]] == list(EXPRESSIONS)
    assert faces[34].identity.name == "train-00004"
    assert len({face.identity for face in faces[:7]}) == 1
    assert len({face.scene for face in faces[:7]}) == 7


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_units_of_the_prototype_are_present(difficulty: str) -> None:
    for index in range(210):
        face = sample_face(0, "train", index, difficulty, drawing=1)
        levels = {name: getattr(face.action_units, name) for name in AU_NAMES}
        assert all(0.0 <= level <= 1.0 for level in levels.values())
        for unit in ESSENTIAL[face.expression]:
            assert levels[unit] >= 0.74 * face.intensity * PROTOTYPES[face.expression][unit]


def test_units_are_dropped_and_added_as_the_preset_says() -> None:
    preset = dataclasses.replace(DIFFICULTIES["default"], dropout_probability=1.0)
    preset = dataclasses.replace(preset, distractor_probability=0.0)
    units = sample_face(0, "train", 4, preset, drawing=1).action_units
    present = {name for name in AU_NAMES if getattr(units, name) > 0.0}
    assert present - {"au25"} == ESSENTIAL["fear"]
    crowded = dataclasses.replace(preset, distractor_probability=1.0)
    assert sample_face(0, "train", 0, crowded).action_units.au12 > 0.0
    assert sample_face(0, "train", 4, crowded, drawing=1).action_units.au12 == 0.0, (
        "fear does not smile"
    )
    assert sample_face(0, "train", 4, crowded, drawing=1).action_units.au10 > 0.0
    assert sample_face(0, "train", 0, preset).action_units.au12 == 0.0


def test_intensity_stays_in_the_range_of_the_difficulty() -> None:
    for name, low in (("default", 0.5), ("hard", 0.35)):
        faces = [sample_face(0, "train", index, name) for index in range(350)]
        strengths = [face.intensity for face in faces if face.expression != "neutral"]
        assert low <= min(strengths) < low + 0.05
        assert 0.95 < max(strengths) <= 1.0
        assert {face.intensity for face in faces if face.expression == "neutral"} == {0.0}


def test_hard_is_harder() -> None:
    def spread(name: str) -> float:
        return float(np.std([sample_face(0, "train", i, name).scene.pose.yaw for i in range(350)]))

    assert 0.11 < spread("default") < 0.15
    assert 0.19 < spread("hard") < 0.25


def test_unknown_difficulty_and_negative_index_are_refused() -> None:
    with pytest.raises(ValueError, match="known: default, hard"):
        sample_face(0, "train", 0, "easy")
    with pytest.raises(ValueError, match="starts at 0"):
        sample_face(0, "train", -1)


# Attributes


def test_attributes_are_flat_and_complete() -> None:
    columns = sample_face(0, "train", 12).attributes()
    wanted = {
        "identity", "skin_tone", "age_group", "hair_style", "hair_colour", "beard", "glasses",
        "roll", "yaw", "pitch", "scale", "intensity", "occluder", "background", "blur", "grain",
        "light_brightness", "light_direction", "expression", *AU_NAMES,
    }  # fmt: skip
    assert wanted <= set(columns)
    assert {type(value) for value in columns.values()} == {str, float, int, bool}
    assert columns["identity"] == "train-00001"
    assert columns["expression"] == "anger"
    assert columns["au04"] == sample_face(0, "train", 12).action_units.au04


def test_attributes_take_all_their_values() -> None:
    rows = [sample_face(0, "train", index).attributes() for index in range(0, 2100, 7)]
    assert {row["hair_style"] for row in rows} == set(HAIR_STYLES)
    assert {row["beard"] for row in rows} == set(BEARDS)
    assert {row["skin_tone"] for row in rows} == {"light", "medium", "brown", "dark"}
    assert {row["age_group"] for row in rows} == {"18-34", "35-54", "55-80"}
    assert 0.10 < np.mean([row["glasses"] for row in rows]) < 0.22
    assert 0.01 < np.mean([row["occluder"] != "none" for row in rows]) < 0.09


@pytest.mark.parametrize(
    "change",
    [{"glasses": True}, {"skin_level": 0.9}, {"age": 78.0}]
    + [{"beard": beard} for beard in BEARDS if beard != "none"]
    + [{"hair_style": style} for style in HAIR_STYLES if style != "cropped"],
    ids=lambda change: "-".join(map(str, next(iter(change.items())))),
)
def test_features_of_a_person_are_seen(change: dict[str, object]) -> None:
    face = with_identity(plain_face(), skin_level=0.1)
    assert len(changed_rows(face, with_identity(face, **change))) >= 4


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("pose", {"yaw": 0.3}),
        ("pose", {"pitch": 0.2}),
        ("pose", {"roll": 0.2}),
        ("pose", {"scale": 0.40}),
        ("light", {"brightness": 0.5}),
        ("camera", {"grain": 9.0}),
        ("camera", {"blur": 1.0}),
    ],
)
def test_parts_of_the_scene_are_seen(part: str, change: dict[str, float]) -> None:
    face = plain_face()
    assert len(changed_rows(face, with_scene(face, part, **change))) >= 10


@pytest.mark.parametrize("kind", ["disc", "bar", "hand"])
def test_an_occluder_hides_a_part(kind: str) -> None:
    face = plain_face()
    thing = Occluder(kind, 0.1, 0.1, 0.16, 0.5, (20.0, 220.0, 40.0))
    hidden = dataclasses.replace(face, scene=dataclasses.replace(face.scene, occluder=thing))
    assert hidden.attributes()["occluder"] == kind
    assert 3 <= len(changed_rows(face, hidden)) <= 50


@pytest.mark.parametrize("unit", AU_NAMES)
def test_each_action_unit_moves_its_part_of_the_face(unit: str) -> None:
    face = plain_face()
    rows = changed_rows(face, with_units(face, **{unit: 1.0}))
    assert len(rows) >= 2
    middle = 32 + 64 * face.scene.pose.shift_y
    if unit in ("au01", "au02", "au04", "au05", "au07"):
        assert rows.max() < middle + 4, "units of the upper face leave the lower face alone"
    if unit in ("au12", "au15", "au16", "au17", "au20", "au23", "au25", "au26"):
        assert rows.min() > middle, "units of the lower face leave the upper face alone"


def test_grain_is_centred_and_of_unit_variance() -> None:
    noise = bell_noise(5, (64, 64, 3))
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1.0) < 0.03
    assert not np.array_equal(noise, bell_noise(6, (64, 64, 3)))


def test_draws_follow_their_weights_and_limits() -> None:
    draws = RandomStream("test", 1)
    counts = Counter(draws.pick("abc", (1.0, 3.0, 0.0)) for _ in range(2000))
    assert counts["c"] == 0
    assert 0.20 < counts["a"] / 2000 < 0.30
    normals = [draws.normal(2.0) for _ in range(2000)]
    assert max(map(abs, normals)) == 5.0
    assert 1.85 < np.std(normals) < 2.1
    assert RandomStream("a", 1).uniform() != RandomStream("a", "1").uniform()


# Contact sheet


def test_contact_sheet_holds_the_pictures_and_labels() -> None:
    images = generate(0, "train", range(7))
    sheet = contact_sheet([images[:4], images[4:]], ["one", "two"], ["a", "b", "c"], scale=1)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] == 22 + 2 * 66
    assert sheet.shape[1] > 4 * 66
    left = sheet.shape[1] - 4 * 66
    np.testing.assert_array_equal(sheet[22:86, left : left + 64], images[0])
    np.testing.assert_array_equal(sheet[88:152, left + 66 : left + 130], images[5])
    assert sheet[22:, :left].min() < 128, "row labels are written"
    assert sheet[:22, left:].min() < 128, "column labels are written"
    assert (sheet[88:152, left + 3 * 66 : left + 3 * 66 + 64] == 255).all(), "blank cell"


def test_contact_sheet_scales() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    small = contact_sheet([[image]], ["x"], scale=1)
    large = contact_sheet([[image]], ["x"], scale=3)
    assert large.shape[0] - small.shape[0] == 40
    assert large.shape[1] - small.shape[1] == 60
