"""KDEF: names say session, person, expression and angle."""

from collections import Counter
from pathlib import Path

import pytest
from empty_trees import labels, touch

from bench.data.readers.kdef import ANGLES, EXPRESSIONS, PERSONS, SESSIONS, Kdef


@pytest.fixture(scope="module")
def whole_kdef(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 4,900 names, in a folder for each person and session."""
    names = (
        f"{session}{person}/{session}{person}{expression}{angle}.JPG"
        for session in SESSIONS
        for person in PERSONS
        for expression in EXPRESSIONS
        for angle in ANGLES
    )
    return touch(tmp_path_factory.mktemp("kdef"), names)


@pytest.mark.parametrize(("angles", "count"), [("straight", 980), ("half", 2940), ("all", 4900)])
@pytest.mark.parametrize(("folds", "fold"), [(10, 1), (10, 10), (9, 9)])
def test_kdef_is_published_as_it_is_found(
    whole_kdef: Path, angles: str, count: int, folds: int, fold: int
) -> None:
    layout = Kdef.model_validate(
        {"root": whole_kdef, "angles": angles, "folds": folds, "fold": fold}
    )
    listing = layout.listing()
    found = Counter((entry.split, entry.label) for entry in listing.entries)
    published = layout.published()
    assert found == {(s, label): n for s in published for label, n in published[s].items()}
    assert len(listing.entries) == found.total() == count
    assert sum(listing.left_out.values()) == 4900 - count
    if folds == 10:
        assert sum(published["test"].values()) == count // 10


def test_kdef_has_both_sessions_of_a_person_in_one_split(whole_kdef: Path) -> None:
    listing = Kdef(root=whole_kdef).listing()
    sessions: dict[str, set[str]] = {}
    splits: dict[str, set[str]] = {}
    for entry in listing.entries:
        sessions.setdefault(entry.person, set()).add(entry.id[0])
        splits.setdefault(entry.person, set()).add(entry.split)
    assert len(sessions) == 70 and all(both == {"A", "B"} for both in sessions.values())
    assert all(len(found) == 1 for found in splits.values())


def test_kdef_says_what_a_picture_shows_in_its_name(tmp_path: Path) -> None:
    touch(tmp_path, ["AF01AFS.JPG", "BM35ANHL.jpg", "af02suFr.Jpeg", "AF36NES.JPG", "AF31V.JPG"])
    listing = Kdef(root=tmp_path, angles="all").listing()
    by_id = {entry.id: entry for entry in listing.entries}
    assert {name: entry.label for name, entry in by_id.items()} == {
        "AF01AFS": "fear",
        "BM35ANHL": "anger",
        "AF02SUFR": "surprise",
    }
    assert dict(by_id["BM35ANHL"].groups) == {"sex": "male", "angle": "half left"}
    assert dict(by_id["AF02SUFR"].groups) == {"sex": "female", "angle": "full right"}
    assert set(listing.unlabelled) == {"AF36NES.JPG", "AF31V.JPG"}
    assert set(listing.group_values) == {"sex", "angle"}
    assert set(Kdef(root=tmp_path).listing().group_values) == {"sex"}


def test_kdef_flat_is_the_same_as_by_person(whole_kdef: Path, tmp_path: Path) -> None:
    touch(tmp_path, (path.name for path in whole_kdef.rglob("*.JPG")))
    flat, by_person = Kdef(root=tmp_path).listing(), Kdef(root=whole_kdef).listing()
    assert labels(flat) == labels(by_person)
    assert {e.id: e.split for e in flat.entries} == {e.id: e.split for e in by_person.entries}


def test_kdef_angles_have_names_of_their_own() -> None:
    assert Kdef(root=Path(), angles="half").name == "kdef_half_fold1"
    assert Kdef(root=Path(), angles="all", fold=2).name == "kdef_all_fold2"
