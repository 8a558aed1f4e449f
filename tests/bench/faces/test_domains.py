"""Domains change scene and camera, never the person or the expression."""

import dataclasses
import hashlib

import numpy as np
import pytest

from bench import faces
from bench.data.drawn import DrawnClips, DrawnFaces
from bench.util.errors import UserError

SIZES = {"train": 14, "val": 7, "test": 7}
OTHERS = [name for name in faces.DOMAINS if name != "default"]

# A change here changes every result in these domains.
DIGESTS = {
    "webcam": "0ff64aa644aa2a01e1a8cd36b8c9b137b4f7d9b6e295cb44e90beb55f6778387",
    "archive": "5e9b63d6ad348413fcd0ac6fb513bbe7238734228606439e2030a98a485f8c94",
}


@pytest.mark.parametrize("domain", OTHERS)
def test_pixels_are_pinned(domain: str) -> None:
    images = faces.generate(0, "test", range(7), domain=domain, drawing=1)
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    assert digest == DIGESTS[domain], f"{domain!r}: {digest!r}"


@pytest.mark.parametrize("domain", OTHERS)
@pytest.mark.parametrize("expressions", faces.EXPRESSION_SETS)
def test_a_domain_changes_pixels_but_neither_units_nor_persons(
    domain: str, expressions: str
) -> None:
    for index in (0, 3, 12):
        here = faces.sample_face(0, "test", index, expressions=expressions)
        there = faces.sample_face(0, "test", index, expressions=expressions, domain=domain)
        assert (there.action_units, there.identity) == (here.action_units, here.identity)
        assert (there.expression, there.intensity) == (here.expression, here.intensity)
        assert there.scene.light == here.scene.light, "so groups of light keep their shares"
        assert (faces.draw(here) != faces.draw(there)).mean() > 0.9


def test_the_default_digests_are_those_that_checkpoints_are_addressed_by() -> None:
    sizes = {"train": 14000, "val": 350, "test": 504}
    assert DrawnFaces(sizes, drawing=1).digest == "85049f5eee5b"
    assert DrawnFaces(sizes, "hard", drawing=1).digest == "80c7c5a216de"


def test_domains_have_names_and_digests_of_their_own() -> None:
    sets = [DrawnFaces(SIZES, domain=domain) for domain in faces.DOMAINS]
    assert [found.name for found in sets] == ["faces", "faces_webcam", "faces_archive"]
    assert DrawnFaces(SIZES, "hard", 0, "compound", "webcam").name == "faces_compound_hard_webcam"
    clips = [DrawnClips(SIZES, domain=domain) for domain in faces.DOMAINS]
    assert [found.name for found in clips] == ["clips", "clips_webcam", "clips_archive"]
    assert len({found.digest for found in [*sets, *clips]}) == 6


def test_other_settings_of_a_domain_are_another_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = DrawnFaces(SIZES, domain="webcam").digest
    brighter = dataclasses.replace(faces.DOMAINS["webcam"], exposure=1.0)
    monkeypatch.setattr(faces, "DOMAINS", {**faces.DOMAINS, "webcam": brighter})
    assert DrawnFaces(SIZES, domain="webcam").digest != before


def test_webcams_are_dim_bluish_and_off_centre() -> None:
    here, there = (faces.generate(0, "test", range(35), domain=name) for name in
                   ("default", "webcam"))  # fmt: skip
    assert there.mean() < 0.9 * here.mean()
    assert there[..., 2].mean() / there[..., 0].mean() > 1.2 * (
        here[..., 2].mean() / here[..., 0].mean()
    )
    poses = [
        [faces.sample_face(0, "test", index, domain=name).scene.pose for index in range(70)]
        for name in ("default", "webcam")
    ]
    spread = [np.std([pose.shift_x for pose in found]) for found in poses]
    assert spread[1] > 2 * spread[0]
    assert min(pose.scale for pose in poses[1]) > 1.05 * min(pose.scale for pose in poses[0])


def test_archives_are_grey_with_dark_corners() -> None:
    images = faces.generate(0, "test", range(35), domain="archive").astype(int)
    assert (np.ptp(images, axis=3) == 0).all()
    here = faces.generate(0, "test", range(35)).mean(3)
    corners = images[:, ::63, ::63, 0].mean() / here[:, ::63, ::63].mean()
    middle = images[:, 24:40, 24:40, 0].mean() / here[:, 24:40, 24:40].mean()
    assert corners < 0.85 * middle


def test_a_strong_blur_is_not_cut_off() -> None:
    soft = dataclasses.replace(
        faces.DOMAINS["default"], blur_low=2.5, blur_high=2.5, blur_probability=1.0,
        grain_low=0.0, grain_high=0.0,
    )  # fmt: skip
    image = faces.draw(faces.sample_face(0, "test", 3, domain=soft)).astype(float)
    steps = np.abs(np.diff(image, axis=1))
    assert steps.max() < 40, "a truncated kernel would leave edges"


def test_unknown_domains_are_refused() -> None:
    with pytest.raises(UserError, match="Did you mean webcam"):
        DrawnFaces(SIZES, domain="webcams")
    with pytest.raises(UserError, match="Known: archive, default, webcam"):
        DrawnClips(SIZES, domain="moon")
    with pytest.raises(ValueError, match="known: default, webcam, archive"):
        faces.sample_face(0, "train", 0, domain="moon")
