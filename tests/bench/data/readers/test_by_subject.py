"""CK+, JAFFE and KDEF: whoever is shown is in one split."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from empty_trees import labels, touch
from pydantic import ValidationError

from bench.data.base import Skipped
from bench.data.on_disk import open_layout
from bench.data.readers import LAYOUTS
from bench.util.errors import UserError

KINDS = ("ck_plus", "jaffe", "kdef")


@pytest.mark.parametrize(("kind", "options"), [
    *((kind, {"fold": fold}) for kind in KINDS for fold in (1, 2, 10)),
    ("ck_plus", {"classes": 8, "last_frames": 3}),
    ("jaffe", {"folds": 5, "fold": 5}),
    ("kdef", {"angles": "all"}),
])  # fmt: skip
def test_nobody_is_in_two_splits(
    kind: str, options: dict[str, Any], written: Callable[[str], Path]
) -> None:
    layout = LAYOUTS[kind].model_validate({"root": written(kind), **options})
    persons = {entry.id: entry.person for entry in layout.listing().entries}
    assert all(persons.values())
    dataset = open_layout(layout)
    shown = {
        split: {persons[sample.id] for sample in dataset.samples(split)}
        for split in ("train", "val", "test")
    }
    assert all(shown.values())
    assert sum(map(len, shown.values())) == len(set().union(*shown.values()))
    assert set().union(*shown.values()) == set(persons.values())


@pytest.mark.parametrize("kind", KINDS)
def test_every_person_is_tested_in_one_fold(kind: str, written: Callable[[str], Path]) -> None:
    tested: Counter[str] = Counter()
    everyone = set()
    for fold in range(1, 11):
        layout = LAYOUTS[kind].model_validate({"root": written(kind), "fold": fold})
        entries = layout.listing().entries
        everyone |= {entry.person for entry in entries}
        tested.update({entry.person for entry in entries if entry.split == "test"})
    assert set(tested) == everyone
    assert set(tested.values()) == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_folds_have_names_of_their_own(kind: str) -> None:
    def name(**options: object) -> str:
        return LAYOUTS[kind].model_validate({"root": Path(), **options}).name

    assert name() == f"{kind}_fold1"
    assert name(fold=3) == f"{kind}_fold3"
    assert name(folds=5, fold=3) == f"{kind}_fold3_of_5"


@pytest.mark.parametrize("kind", KINDS)
def test_a_fold_that_does_not_exist_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match="there are 5 folds"):
        LAYOUTS[kind].model_validate({"root": Path(), "folds": 5, "fold": 6})
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        LAYOUTS[kind].model_validate({"root": Path(), "fold": 0})


@pytest.mark.parametrize("kind", KINDS)
def test_another_folder_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    touch(tmp_path, ["train/happy/a.png"])
    with pytest.raises(UserError, match=r"expected DIR/.*found train/"):
        LAYOUTS[kind].model_validate({"root": tmp_path}).listing()


@pytest.mark.parametrize("kind", KINDS)
def test_a_doubly_nested_folder_is_found_and_ids_stay(
    kind: str, own: Callable[[str], Path], tmp_path: Path
) -> None:
    root = own(kind)
    before = LAYOUTS[kind].model_validate({"root": root}).listing()
    (tmp_path / "a" / "b").mkdir(parents=True)
    root.rename(tmp_path / "a" / "b" / "c")
    after = LAYOUTS[kind].model_validate({"root": tmp_path / "a"}).listing()
    assert labels(after) == labels(before)
    assert [entry.split for entry in after.entries] == [entry.split for entry in before.entries]


@pytest.mark.parametrize("kind", KINDS)
def test_links_that_leave_are_refused(
    kind: str, own: Callable[[str], Path], tmp_path: Path
) -> None:
    root = own(kind)
    layout = LAYOUTS[kind].model_validate({"root": root})
    entry = layout.listing().entries[0]
    picture = layout.listing().base / entry.source.path
    outside = tmp_path / "outside" / picture.name
    outside.parent.mkdir()
    picture.rename(outside)
    picture.symlink_to(outside)
    listing = layout.listing()
    assert entry.id not in labels(listing)
    assert [found.path for found in listing.refused] == [entry.source.path]
    followed = LAYOUTS[kind].model_validate({"root": root, "follow_links": True}).listing()
    assert entry.id in labels(followed) and not followed.refused


@pytest.mark.parametrize(("kind", "code"), [("jaffe", "KA.AN1.1"), ("kdef", "AF01ANS")])
def test_copies_in_other_formats_are_not_used_twice(kind: str, code: str, tmp_path: Path) -> None:
    original = f"{code}.{'tiff' if kind == 'jaffe' else 'JPG'}"
    touch(tmp_path, [f"all/{code}.bmp", f"all/{original}", f"anger/{code.lower()}.png"])
    listing = LAYOUTS[kind].model_validate({"root": tmp_path}).listing()
    assert [entry.source.path for entry in listing.entries] == [f"all/{original}"]
    assert listing.refused == (
        Skipped(f"all/{code}.bmp", f"a copy of all/{original}"),
        Skipped(f"anger/{code.lower()}.png", f"a copy of all/{original}"),
    )
