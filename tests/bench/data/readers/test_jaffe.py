"""JAFFE: names say person and expression."""

from pathlib import Path

import pytest
from empty_trees import labels, touch

from bench.data.readers.base import subject_folds
from bench.data.readers.jaffe import EXPRESSIONS, PERSONS, Jaffe
from bench.labels import BASIC


def jaffe_tree(root: Path, suffix: str = ".tiff") -> Path:
    names = (
        f"{person}.{code}{take}.{take}{suffix}"
        for person in PERSONS
        for code in EXPRESSIONS
        for take in (1, 2, 3)
    )
    return touch(root, names)


def test_jaffe_says_what_a_picture_shows_in_its_name(tmp_path: Path) -> None:
    touch(
        tmp_path, ["KA.AN1.39.tiff", "KL.NE2.7.tiff", "ym.fe3.213.TIF", "UY.SU10.1.tiff", "a.tif"]
    )
    listing = Jaffe(root=tmp_path).listing()
    assert labels(listing) == {"KA.AN1.39": "anger", "KL.NE2.7": "neutral", "YM.FE3.213": "fear"}
    assert [entry.person for entry in listing.entries] == ["KA", "KL", "YM"]
    assert set(listing.unlabelled) == {"UY.SU10.1.tiff", "a.tif"}
    assert listing.classes == BASIC


@pytest.mark.parametrize("suffix", [".tiff", ".tif", ".TIF", ".jpg", ".JPEG"])
def test_jaffe_saved_again_is_the_same(tmp_path: Path, suffix: str) -> None:
    listing = Jaffe(root=jaffe_tree(tmp_path, suffix)).listing()
    assert len(listing.entries) == 210 and not listing.refused
    assert len({entry.person for entry in listing.entries if entry.split == "test"}) == 1


def test_jaffe_without_some_persons_has_the_same_folds(tmp_path: Path) -> None:
    whole = Jaffe(root=jaffe_tree(tmp_path / "jaffe")).listing()
    for path in (tmp_path / "jaffe").glob("KA.*"):
        path.unlink()
    splits = {entry.person: entry.split for entry in whole.entries if entry.person != "KA"}
    partial = Jaffe(root=tmp_path / "jaffe").listing()
    assert {entry.person: entry.split for entry in partial.entries} == splits


def test_the_order_of_subjects_is_everyones() -> None:
    """Numbers of fold 3 are compared with those that others have of fold 3."""
    folds = subject_folds(PERSONS, 10)
    assert [folds[person] for person in PERSONS] == [3, 7, 9, 10, 5, 1, 6, 8, 2, 4]
