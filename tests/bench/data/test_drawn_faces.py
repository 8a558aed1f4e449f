import dataclasses
import os

import numpy as np
import pytest

from bench.data import faces
from bench.data.drawn_faces import DrawnFaces, cache_folder

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


def test_a_damaged_cache_is_drawn_again() -> None:
    reference = DrawnFaces(SIZES, seed=12).pictures("val").copy()
    path = max(cache_folder().glob("faces-val-*.npy"), key=lambda p: p.stat().st_mtime_ns)
    os.truncate(path, 200)
    np.testing.assert_array_equal(DrawnFaces(SIZES, seed=12).pictures("val"), reference)


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
