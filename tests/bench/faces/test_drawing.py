"""Two drawings of the same people; the second is modelled by light, in a tighter frame."""

import dataclasses
import hashlib

import numpy as np
import pytest

from bench.data.config import FacesData
from bench.data.drawn import DrawnFaces
from bench.data.open import open_dataset
from bench.faces import (
    AU_NAMES,
    DRAWING,
    EXPRESSIONS,
    ActionUnits,
    Face,
    draw,
    features,
    generate,
    sample_face,
    teeth_visible,
)
from bench.faces.action_units import VARIANTS
from bench.faces.canvas import Projection
from bench.faces.render import shading
from bench.util.errors import UserError

# A change here changes every result on drawing 2.
DIGESTS = {
    "default": "38874766aec927299cb78423847c1cf5493ffeec384edf78cde3fd2a9b24bdc4",
    "hard": "c78731e70bf968986411a2566be56435e39f741a3e94c82f2e91aaf1143b47af",
    "compound": "e877b07884e144bbf614f9e10023883af7c426beff108f7ad130440b528f4be6",
    "archive": "412e529545d2c6e96d3dd6c865b34dd2bc193a232ba27d983fefe6e2da9d0239",
}
SETTINGS = {
    "default": {},
    "hard": {"difficulty": "hard"},
    "compound": {"expressions": "compound"},
    "archive": {"domain": "archive"},
}


def plain_face(**units: float) -> Face:
    """A frontal face without grain, blur, glasses, beard or occluder."""
    face = sample_face(0, "train", 0, drawing=2)
    person = dataclasses.replace(
        face.identity, glasses=False, beard="none", hair_style="cropped", age=20.0
    )
    scene = face.scene
    scene = dataclasses.replace(
        scene,
        camera=dataclasses.replace(scene.camera, grain=0.0, blur=0.0),
        pose=dataclasses.replace(scene.pose, yaw=0.0, pitch=0.0, roll=0.0, shift_x=0.0),
        light=dataclasses.replace(scene.light, brightness=0.9, direction=0.0, contrast=0.3),
        occluder=None,
    )
    return dataclasses.replace(
        face, action_units=ActionUnits(**units), identity=person, scene=scene
    )


@pytest.mark.parametrize("name", DIGESTS)
def test_pixels_are_pinned(name: str) -> None:
    images = generate(0, "test", range(14), drawing=2, **SETTINGS[name])
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    assert digest == DIGESTS[name], f"{name!r}: {digest!r}"


def test_a_picture_does_not_depend_on_its_neighbours() -> None:
    forwards = generate(3, "train", range(8), drawing=2)
    backwards = generate(3, "train", range(7, -1, -1), drawing=2)
    np.testing.assert_array_equal(forwards, backwards[::-1])


def test_the_drawings_share_persons_and_expressions() -> None:
    for index in (0, 9, 40):
        flat, modelled = (sample_face(0, "val", index, drawing=number) for number in (1, 2))
        assert modelled.expression == flat.expression
        for name in ("name", "skin_level", "age", "hair_style", "beard", "glasses", "hairline"):
            assert getattr(modelled.identity, name) == getattr(flat.identity, name)
        assert modelled.scene.pose.scale > 1.1 * 0.45
        assert (draw(flat) != draw(modelled)).mean() > 0.5


def test_an_expression_takes_all_its_variants_and_keeps_their_main_units() -> None:
    chosen: dict[str, set[int]] = {name: set() for name in EXPRESSIONS}
    for index in range(280):
        face = sample_face(0, "train", index, drawing=2)
        units = {name: getattr(face.action_units, name) for name in AU_NAMES}
        fitting = [
            number
            for number, variant in enumerate(VARIANTS[face.expression])
            if all(units[u] >= 0.7 * face.intensity * s for u, s in variant.items() if s >= 0.9)
        ]
        assert fitting, (index, face.expression)
        chosen[face.expression].update(fitting)
    assert {name: len(found) for name, found in chosen.items()} == {
        name: len(variants) for name, variants in VARIANTS.items()
    }


@pytest.mark.parametrize("unit", AU_NAMES)
def test_each_action_unit_moves_its_part_of_the_face(unit: str) -> None:
    before, after = draw(plain_face()).astype(int), draw(plain_face(**{unit: 1.0})).astype(int)
    rows = np.flatnonzero(np.abs(after - before).max((1, 2)) > 12)
    assert len(rows) >= 2
    if unit in ("au01", "au02", "au04", "au05", "au07"):
        assert rows.max() < 40, "units of the upper face leave the mouth alone"
    if unit in ("au15", "au16", "au17", "au20", "au23", "au25", "au26"):
        assert rows.min() > 28, "units of the lower face leave the brows alone"


def test_the_lit_side_of_a_face_is_the_brighter_one() -> None:
    face = plain_face()
    light = dataclasses.replace(face.scene.light, direction=np.pi)
    other = dataclasses.replace(face, scene=dataclasses.replace(face.scene, light=light))
    projection = Projection(face.scene.pose, face.identity.head_width, 64)
    right, left = (shading(lit, projection, 64) for lit in (face, other))
    # Mirrored light, mirrored shade: the relief of a frontal face is symmetric.
    np.testing.assert_allclose(right, left[:, ::-1], atol=1e-9)
    nose = slice(28, 36)
    assert right[nose, 33:38].mean() > right[nose, 26:31].mean()
    assert np.ptp(right) > 0.3


@pytest.mark.parametrize("turn", [{}, {"yaw": 0.25}, {"pitch": -0.1}, {"roll": 0.2}])
def test_pixels_go_back_to_where_they_came_from(turn: dict[str, float]) -> None:
    pose = dataclasses.replace(plain_face().scene.pose, **turn)
    projection = Projection(pose, 0.75, 64)
    points = np.array([(0.0, 0.0), (0.3, -0.1), (-0.2, 0.5), (0.1, 0.3)])
    x, y = projection.inverse(64)
    for point, (column, row) in zip(points, projection(points), strict=True):
        place = round(row), round(column)
        assert abs(x[place] - point[0]) < 0.6 / projection.unit + 0.01
        assert abs(y[place] - point[1]) < 0.6 / projection.unit + 0.01


@pytest.mark.parametrize("drawing", [1, 2])
def test_teeth_are_visible_where_they_change_the_picture(
    drawing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = [sample_face(0, "train", index, drawing=drawing) for index in range(70)]
    faces = [
        dataclasses.replace(face, scene=dataclasses.replace(
            face.scene, occluder=None,
            camera=dataclasses.replace(face.scene.camera, grain=0.0, blur=0.0)))
        for face in faces
    ]  # fmt: skip
    white = [draw(face).astype(int) for face in faces]
    monkeypatch.setattr(features, "TEETH", (0.0, 0.0, 0.0))
    changes = [np.abs(draw(face) - seen).max() for face, seen in zip(faces, white, strict=True)]
    visible = [teeth_visible(face) for face in faces]
    assert 10 < sum(visible) < 60
    for shown, change in zip(visible, changes, strict=True):
        assert change > 15 if shown else change == 0, (shown, change)


def test_the_attribute_says_whether_teeth_are_visible() -> None:
    dataset = DrawnFaces({"train": 35, "val": 7, "test": 7}, drawing=2)
    samples = dataset.samples("train")
    told = [dataset.attributes(sample)["teeth_visible"] for sample in samples]
    assert told == [teeth_visible(sample_face(0, "train", i, drawing=2)) for i in range(35)]
    assert len(set(told)) == 2


def test_a_config_draws_what_the_library_draws() -> None:
    assert FacesData().drawing == DRAWING


def test_a_config_chooses_the_drawing() -> None:
    spec = {"train": 14, "val": 7, "test": 7}
    flat, modelled = (open_dataset(FacesData(**spec, drawing=number), 0) for number in (1, 2))
    assert (flat.name, modelled.name) == ("faces_drawing1", "faces")
    assert flat.digest != modelled.digest
    sample = modelled.samples("test")[3]
    np.testing.assert_array_equal(
        modelled.picture(sample), draw(sample_face(0, "test", 3, drawing=2))
    )


def test_a_number_that_is_no_drawing_is_refused() -> None:
    with pytest.raises(UserError, match=r"no drawing called '3'\. Known: 1, 2"):
        DrawnFaces({"train": 14, "val": 7, "test": 7}, drawing=3)
    with pytest.raises(ValueError, match="known: 1, 2"):
        sample_face(0, "train", 0, drawing=3)
