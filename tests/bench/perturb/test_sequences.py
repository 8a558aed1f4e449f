"""Perturbation sequences: small steps, no black corners, frames that stand on their own."""

import hashlib
import itertools

import numpy as np
import pytest

from bench.data.drawn import DrawnClips
from bench.perturb import CORRUPTIONS, PRESETS, SEQUENCES
from bench.perturb.versions import FRAMES, PerturbationSequence, frame_id, of_frame
from bench.util import rng

ADDRESS = {"seed": 0, "dataset": "faces", "sample_id": "a"}
CLIPS = DrawnClips({"train": 7, "val": 7, "test": 7}, seed=3)
FACE = CLIPS.picture(CLIPS.samples("test")[2])

# The pixels of a sequence are a promise: `version` rises when they change.
CHECKSUMS = {
    "sequences.rotation": "3d9b98d2ff2d8be2",
    "sequences.shear": "e8ed6cb400501995",
    "sequences.scale": "494ed74960396982",
    "sequences.translation": "2a977d336138e9f0",
    "sequences.tilt": "e749d75d1323176c",
    "sequences.brightness": "5abff8b0e7ba933c",
    "sequences.gaussian_blur": "135a9923fa2eb218",
    "sequences.zoom_blur": "f76fbda390fa8a43",
    "sequences.gaussian_noise": "c1632da0f7969205",
    "sequences.shot_noise": "de73e368002bd85a",
}


@pytest.fixture(params=SEQUENCES.values(), ids=SEQUENCES)
def sequence(request: pytest.FixtureRequest) -> PerturbationSequence:
    found: PerturbationSequence = request.param
    return found


def picture() -> np.ndarray:
    y, x = np.indices((40, 32))
    return np.stack([x * 7, y * 5, (x + y) * 3], axis=-1).astype(np.uint8)


def test_pixels_are_pinned(sequence: PerturbationSequence) -> None:
    found = hashlib.sha256(sequence.frames(picture(), **ADDRESS).tobytes()).hexdigest()[:16]
    assert found == CHECKSUMS[sequence.name]


def test_the_preset_has_ten_of_thirty_frames() -> None:
    assert dict(PRESETS["sequences"].sequences) == SEQUENCES
    assert len(SEQUENCES) == 10
    assert all(len(sequence.constants) == FRAMES == 30 for sequence in SEQUENCES.values())
    assert not set(SEQUENCES) & set(CORRUPTIONS)


def test_a_frame_is_the_same_alone_and_among_others(sequence: PerturbationSequence) -> None:
    whole = sequence.frames(FACE, **ADDRESS)
    np.testing.assert_array_equal(sequence.frames(FACE, [17, 0, 17], **ADDRESS), whole[[17, 0, 17]])


def test_frames_change_a_little_at_a_time(sequence: PerturbationSequence) -> None:
    frames = sequence.frames(FACE, **ADDRESS).astype(float)
    steps = [np.abs(a - b).mean() for a, b in itertools.pairwise(frames)]
    # An enlargement of 64 px is one of whole pixels, so zoom blur does not change at every step.
    assert sum(step > 0.02 for step in steps) >= (20 if "zoom" in sequence.name else FRAMES - 1)
    if sequence.noise:
        np.testing.assert_array_equal(frames[0], FACE)
        assert (frames[1] != frames[2]).mean() > 0.3
    else:
        assert np.abs(frames[0] - frames[-1]).mean() > 2 * max(steps)
        assert max(steps) < 10


@pytest.mark.parametrize("name", ["rotation", "shear", "scale", "translation", "tilt"])
def test_no_colour_comes_from_outside_the_picture(name: str) -> None:
    flat = np.full((50, 60, 3), (200, 120, 60), np.uint8)
    frames = SEQUENCES[f"sequences.{name}"].frames(flat, **ADDRESS)
    np.testing.assert_array_equal(frames, np.broadcast_to(flat, frames.shape))


def test_turns_are_those_of_their_names() -> None:
    """A dot right of the middle goes where geometry says."""
    dot = np.zeros((101, 101, 3), np.uint8)
    dot[47:54, 77:84] = 255  # 30 px to the right

    def place(name: str, number: int) -> tuple[float, float]:
        frame = SEQUENCES[f"sequences.{name}"].frames(dot, [number], **ADDRESS)[0, ..., 0]
        y, x = np.indices(frame.shape)
        weights = frame / frame.sum()
        return float((x * weights).sum()) - 50, float((y * weights).sum()) - 50

    turned = 30 * np.exp(1j * np.radians(15))
    assert place("rotation", 29) == pytest.approx((turned.real, turned.imag), abs=0.1)
    assert place("rotation", 0) == pytest.approx((turned.real, -turned.imag), abs=0.1)
    assert place("translation", 29) == pytest.approx((45.15, 0), abs=0.1)
    assert place("scale", 0) == pytest.approx((24, 0), abs=0.1)
    assert place("shear", 29) == pytest.approx((30, 0), abs=0.1)  # in the middle row
    away, near = place("tilt", 29)[0], place("tilt", 0)[0]
    assert away < 30 * np.cos(np.radians(15)) < near


def test_the_middle_of_a_turn_is_nearly_the_picture() -> None:
    for name in ("rotation", "shear", "translation", "tilt"):
        middle = SEQUENCES[f"sequences.{name}"].frames(FACE, [14, 15], **ADDRESS).astype(float)
        assert np.abs(middle - FACE).mean() < 5


def test_noise_is_addressed_by_every_part() -> None:
    for name in ("gaussian_noise", "shot_noise"):
        noisy = SEQUENCES[f"sequences.{name}"]
        reference = noisy.frames(FACE, [3], **ADDRESS)
        for change in ({"seed": 1}, {"dataset": "x"}, {"sample_id": "b"}):
            assert (noisy.frames(FACE, [3], **(ADDRESS | change)) != reference).mean() > 0.3


@pytest.mark.parametrize("shape", [(1, 1, 3), (32, 48, 3), (224, 224, 3)])
def test_any_size_works(sequence: PerturbationSequence, shape: tuple[int, int, int]) -> None:
    pixels = rng.generator("any size").integers(0, 256, shape, dtype=np.uint8)
    assert sequence.frames(pixels, [0, 29], **ADDRESS).shape == (2, *shape)


@pytest.mark.parametrize("sample_id", ["a", "a#1", "folder/x y.png", "#"])
def test_names_of_frames_lead_back(sample_id: str) -> None:
    assert of_frame(frame_id(sample_id, 7)) == (sample_id, 7)
