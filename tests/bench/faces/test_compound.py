"""Compound expressions: order, action units without contradiction, persons of their own."""

import dataclasses
import hashlib
from itertools import combinations

import numpy as np
import pytest

from bench import faces
from bench.data.drawn import DrawnFaces
from bench.faces.action_units import ESSENTIAL, PROTOTYPES
from bench.labels import BASIC, COMPOUND
from bench.util.errors import UserError

SIZES = {"train": 22, "val": 11, "test": 11}
NOUNS = {
    "happily": "happiness", "sadly": "sadness", "fearfully": "fear", "angrily": "anger",
    "disgustedly": "disgust", "surprised": "surprise", "disgusted": "disgust",
    "fearful": "fear", "angry": "anger",
}  # fmt: skip

# A change here changes every result on compound faces.
DIGESTS = {
    "default": "8cb51da4a986de7670b4cba40e56bd8ec5c0a37b8abd44d8089adc3fefa1262d",
    "hard": "60e78c9ad7a703dff8f5e922f5554a2109398de26a0640bf95d95c39893174e3",
}


@pytest.mark.parametrize("difficulty", faces.DIFFICULTIES)
def test_pixels_are_pinned(difficulty: str) -> None:
    images = faces.generate(0, "test", range(11), difficulty, "compound", drawing=1)
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    assert digest == DIGESTS[difficulty], f"{difficulty!r}: {digest!r}"


def test_the_set_has_a_name_and_the_official_order() -> None:
    dataset = DrawnFaces(SIZES, expressions="compound")
    assert (dataset.name, len(dataset.classes)) == ("faces_compound", 11)
    assert dataset.classes[0] == "happily surprised"
    assert dataset.classes[10] == "disgustedly surprised"
    labels = [sample.label for sample in dataset.samples("train")]
    assert labels == [*COMPOUND, *COMPOUND]
    assert DrawnFaces(SIZES, "hard", expressions="compound").name == "faces_compound_hard"
    assert DrawnFaces(SIZES).classes == BASIC


def test_pictures_come_from_the_cache_as_they_are_drawn() -> None:
    dataset = DrawnFaces(SIZES, seed=21, expressions="compound")
    sample = dataset.samples("val")[4]
    drawn = faces.draw(faces.sample_face(21, "val", 4, expressions="compound"))
    np.testing.assert_array_equal(dataset.picture(sample), drawn)
    known = dataset.attributes(sample)
    assert known["expression"] == sample.label == "sadly surprised"
    assert set(dataset.groups(sample)) == set(faces.GROUPS)


def test_each_person_shows_each_expression_once() -> None:
    shown = [faces.sample_face(0, "test", index, expressions="compound") for index in range(22)]
    assert [face.expression for face in shown] == [*COMPOUND, *COMPOUND]
    assert len({face.identity for face in shown[:11]}) == 1
    assert shown[11].identity != shown[10].identity


def test_no_person_is_in_two_splits_or_in_basic_and_compound_sets() -> None:
    people = [
        faces.sample_face(0, split, number * len(shown), expressions=name).identity
        for split in SIZES
        for name, shown in faces.EXPRESSION_SETS.items()
        for number in range(20)
    ]
    assert len({person.name for person in people}) == len(people) == 120
    assert len({dataclasses.replace(person, name="") for person in people}) == 120


@pytest.mark.parametrize("expression", COMPOUND)
def test_units_are_those_of_the_two_expressions_and_do_not_contradict(expression: str) -> None:
    units = PROTOTYPES[expression]
    first, second = (PROTOTYPES[NOUNS[word]] for word in expression.split())
    assert set(units) <= set(first) | set(second)
    assert set(units) & set(first) and set(units) & set(second)
    assert ESSENTIAL[expression] <= set(units)
    assert not {"au23", "au26"} <= set(units), "tightened lips keep the jaw closed"
    assert not {"au12", "au15"} <= set(units), "a mouth corner goes up or down"
    assert not {"au05", "au07"} <= set(units) or units["au05"] + units["au07"] < 1.0


def test_every_two_expressions_differ_clearly_at_any_strength() -> None:
    """Angles, so that a weak face of one is no strong face of another."""
    vectors = {
        name: np.array([PROTOTYPES[name].get(unit, 0.0) for unit in faces.AU_NAMES])
        for name in (*COMPOUND, *BASIC[1:])
    }
    for one, other in combinations(vectors, 2):
        a, b = vectors[one], vectors[other]
        angle = np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        assert angle > (35 if {one, other} <= set(COMPOUND) else 25), (one, other, angle)


def test_other_expressions_are_another_set_and_unknown_ones_are_refused() -> None:
    assert DrawnFaces(SIZES, expressions="compound").digest != DrawnFaces(SIZES).digest
    with pytest.raises(UserError, match="compound"):
        DrawnFaces(SIZES, expressions="compond")
    with pytest.raises(UserError, match="hard"):
        DrawnFaces(SIZES, "hrd")
    with pytest.raises(ValueError, match="known: basic, compound"):
        faces.sample_face(0, "train", 0, expressions="mixed")
