import shutil
from pathlib import Path

import pytest
from PIL import Image

from bench.data.on_disk import open_layout
from bench.data.readers.folder import Folder
from bench.util.errors import UserError


def test_splits_labels_and_order(picture_folder: Path) -> None:
    dataset = open_layout(Folder(root=picture_folder))
    assert dataset.name == "faces"
    assert dataset.classes == ("neutral", "happiness")
    counts = {split: len(dataset.samples(split)) for split in ("train", "val", "test")}
    assert counts == {"train": 16, "val": 4, "test": 10}
    assert dataset.samples("test")[0].id == "test/happy/000.png"
    assert dataset.samples("test")[0].label == "happiness"
    assert dataset.groups(dataset.samples("test")[0]) == {}


def test_a_misspelt_split_is_told(picture_folder: Path) -> None:
    (picture_folder / "test").rename(picture_folder / "tset")
    with pytest.raises(UserError, match=r"tset/happy/000.png: .*Did you mean test"):
        open_layout(Folder(root=picture_folder))


def test_validation_goes_by_content_not_by_name(picture_folder: Path) -> None:
    def val_pictures() -> set[bytes]:
        dataset = open_layout(Folder(root=picture_folder))
        return {dataset.picture(sample).tobytes() for sample in dataset.samples("val")}

    before = val_pictures()
    for path in (picture_folder / "train" / "happy").iterdir():
        path.rename(path.with_name("renamed_" + path.name[::-1].removeprefix("gnp.") + ".png"))
    assert val_pictures() == before


def test_copies_of_a_picture_stay_on_one_side(picture_folder: Path) -> None:
    sample = open_layout(Folder(root=picture_folder)).samples("val")[0]
    path = picture_folder / sample.id
    shutil.copy(path, path.with_name("copy.png"))
    dataset = open_layout(Folder(root=picture_folder))
    copy = Path(sample.id).with_name("copy.png").as_posix()
    assert copy in {s.id for s in dataset.samples("val")}


def test_the_digest_follows_pixels_and_labels(picture_folder: Path) -> None:
    before = open_layout(Folder(root=picture_folder)).digest
    assert open_layout(Folder(root=picture_folder)).digest == before
    path = picture_folder / "test" / "happy" / "000.png"
    path.rename(picture_folder / "test" / "neutral" / "moved.png")
    assert open_layout(Folder(root=picture_folder)).digest != before


def test_sizes_are_those_of_the_upright_pictures(picture_folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    Image.new("RGB", (9, 5)).save(picture_folder / "test" / "happy" / "a.jpg", exif=exif)
    dataset = open_layout(Folder(root=picture_folder))
    for sample in dataset.samples("test"):
        assert dataset.size(sample) == dataset.picture(sample).shape[:2]
    turned = next(sample for sample in dataset.samples("test") if sample.id.endswith("a.jpg"))
    assert dataset.size(turned) == (9, 5)


def test_files_that_are_no_pictures_are_skipped_and_listed(picture_folder: Path) -> None:
    (picture_folder / "train" / "happy" / "bad.png").write_bytes(b"no picture")
    (picture_folder / "train" / "happy" / "notes.txt").write_text("ignored")
    dataset = open_layout(Folder(root=picture_folder))
    assert [skipped.path for skipped in dataset.skipped] == [
        "train/happy/notes.txt",
        "train/happy/bad.png",
    ]
    assert len(dataset.samples("train")) == 16
