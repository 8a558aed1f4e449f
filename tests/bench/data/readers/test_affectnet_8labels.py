"""AffectNet's "8 labels": npy files of several types, pictures and labels that lack each other."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzzing import survives

from bench.data.on_disk import open_layout
from bench.data.readers.affectnet import AffectNet8Labels, parse_expression
from bench.labels import BASIC, ORDERS
from bench.util.errors import UserError


@pytest.fixture
def root(own: Callable[[str], Path]) -> Path:
    """A tree that a test may change."""
    return own("affectnet_8labels")


def npy(value: object, dtype: object = None, version: tuple[int, int] | None = None) -> bytes:
    """The content of an npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array(value, dtype), version, allow_pickle=True)
    return file.getvalue()


def labels(root: Path, **options: object) -> dict[str, str]:
    entries = AffectNet8Labels.model_validate({"root": root, **options}).listing().entries
    return {entry.id: entry.label for entry in entries}


def expressions(root: Path) -> list[Path]:
    return sorted(root.rglob("*_exp.npy"))


def relabelled(root: Path, change: Callable[[int], object]) -> None:
    for path in expressions(root):
        np.save(path, np.array(change(int(np.load(path)))))


def test_every_labelled_picture_is_a_sample_and_val_is_test(
    written: Callable[[str], Path],
) -> None:
    listing = AffectNet8Labels(root=written("affectnet_8labels")).listing()
    counts = Counter((entry.split, entry.label) for entry in listing.entries)
    assert counts == {(s, c): n for s, n in (("train", 6), ("test", 3)) for c in listing.classes}
    assert listing.classes == (*BASIC, "contempt")
    assert not (listing.missing or listing.unlabelled or listing.refused or listing.left_out)


def test_ids_are_in_affectnets_order(root: Path) -> None:
    found = labels(root)
    for name, label in found.items():
        annotation = root / name.replace("images", "annotations").replace(".jpg", "_exp.npy")
        assert label == ORDERS["affectnet"][int(np.load(annotation))]


def test_seven_classes_leave_contempt_out_and_have_another_name(root: Path) -> None:
    seven, eight = (AffectNet8Labels(root=root, classes=n) for n in (7, 8))
    assert (seven.name, eight.name) == ("affectnet_8labels_7", "affectnet_8labels_8")
    listing = seven.listing()
    assert listing.classes == BASIC
    assert listing.left_out == {"contempt, no part of the 7 classes": 9}
    assert labels(root, classes=7) == {n: c for n, c in labels(root).items() if c != "contempt"}


@pytest.mark.parametrize(("classes", "train", "test"), [(8, 287_651, 3_999), (7, 283_901, 3_500)])
def test_published_counts_add_up(classes: int, train: int, test: int) -> None:
    counts = AffectNet8Labels.model_validate({"root": Path(), "classes": classes}).published()
    assert [sum(counts[split].values()) for split in ("train", "test")] == [train, test]


@pytest.mark.parametrize(
    "content",
    [
        npy("6"),
        npy(b"6"),
        npy("6", "<U21"),
        npy(6, np.int64),
        npy(6, np.uint8),
        npy(6, ">i4"),
        npy(6.0, np.float32),
        npy([6]),
        npy("6", None, (2, 0)),
    ],
)
def test_one_number_of_any_type_is_read(content: bytes) -> None:
    assert parse_expression(content, "file") == 6


@pytest.mark.parametrize(
    "content",
    [
        npy(6, object),  # would be unpickled
        npy([6, 7]),
        npy([]),
        npy(6.5),
        npy(float("nan")),
        npy(float("inf")),
        npy("happy"),
        npy("६"),
        npy("", "<U1"),
        npy(6 + 0j),
        npy(True),
        npy("6")[:-1],
        npy("6") + b"\0",
        b"",
        b"6",
        b"\x93NUMPY",
        b"PK\x03\x04",
    ],
)
def test_anything_else_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(UserError, match="the-file: is not an npy file that holds one whole"):
        parse_expression(content, "the-file")


def test_numbers_and_text_give_the_same_labels(root: Path) -> None:
    before = labels(root)
    relabelled(root, lambda number: number)
    assert labels(root) == before


def test_a_copy_that_counts_from_1_is_detected(root: Path) -> None:
    before = labels(root)
    relabelled(root, lambda number: str(number + 1))
    assert labels(root) == before


def test_ids_that_could_count_from_0_or_1_are_refused_until_said(root: Path) -> None:
    relabelled(root, lambda number: "5")
    with pytest.raises(UserError, match="label_base"):
        labels(root)
    assert set(labels(root, label_base=0).values()) == {"disgust"}


def test_an_expression_out_of_range_is_refused(root: Path) -> None:
    np.save(expressions(root)[0], np.array("9"))
    with pytest.raises(UserError, match=r"_exp\.npy: the label 9 is out of range"):
        labels(root)


def test_broken_labels_are_told_and_left_out(root: Path) -> None:
    path = expressions(root)[0]
    path.write_bytes(path.read_bytes()[:-4])
    layout = AffectNet8Labels(root=root)
    assert [found.path for found in layout.listing().refused] == [str(path.relative_to(root))]
    assert len(layout.listing().entries) == len(expressions(root)) - 1
    assert open_layout(layout).skipped == layout.listing().refused


def test_pictures_and_labels_that_lack_each_other_are_told(root: Path) -> None:
    images = root / "train_set" / "images"
    first, second, *_ = sorted(path.stem for path in images.iterdir())
    (images / f"{first}.jpg").unlink()
    (root / "train_set" / "annotations" / f"{second}_exp.npy").unlink()
    listing = AffectNet8Labels(root=root).listing()
    assert [found.path for found in listing.missing] == [f"train_set/images/{first}.jpg"]
    assert listing.unlabelled == (f"train_set/images/{second}.jpg",)


def test_numbers_are_in_natural_order(root: Path) -> None:
    numbers = [int(Path(name).stem) for name in labels(root) if name.startswith("train")]
    assert numbers == sorted(numbers) and numbers[-1] >= 100


def test_the_other_name_of_val_upper_case_and_nesting(root: Path, tmp_path: Path) -> None:
    before = list(labels(root).values())
    outer = tmp_path / "archive" / "AffectNet"
    for name, new in (("train_set", "train_set/train_set"), ("val_set", "valid_set")):
        (outer / new).parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(outer / new)
    for path in list(outer.rglob("*.jpg")):
        path.rename(path.with_suffix(".JPG"))
    assert list(labels(tmp_path / "archive").values()) == before


def test_a_split_that_is_missing_is_named(root: Path) -> None:
    (root / "val_set").rename(root / "other")
    with pytest.raises(UserError, match="no folder val_set or valid_set"):
        labels(root)


def test_a_later_test_set_is_noted_and_not_used(root: Path) -> None:
    before = labels(root)
    images = root / "test_set" / "images"
    images.mkdir(parents=True)
    (images / "1.jpg").write_bytes(b"")
    assert labels(root) == before
    left_out = AffectNet8Labels(root=root).listing().left_out
    assert left_out == {"pictures of test_set, on which no results are published": 1}


def test_links_that_leave_the_folder_are_refused(root: Path) -> None:
    before = labels(root)
    images, outside = root / "train_set" / "images", root.parent / "outside"
    outside.mkdir()
    picture = next(images.iterdir())
    picture.rename(outside / picture.name)
    picture.symlink_to(outside / picture.name)
    listing = AffectNet8Labels(root=root).listing()
    assert [found.path for found in listing.refused] == [f"train_set/images/{picture.name}"]
    images.rename(outside / "images")
    images.symlink_to(outside / "images")
    with pytest.raises(UserError, match="a link that leaves the data folder"):
        labels(root)
    assert labels(root, follow_links=True) == before


def test_expression_files_survive_fuzzing() -> None:
    def parse(text: str, origin: str) -> int:
        return parse_expression(text.encode("latin-1", "replace"), origin)

    survives(parse, npy("3").decode("latin-1"))
