import shutil
from pathlib import Path

import pytest
from PIL import Image

from bench.classifiers.checkpoints import recipes
from bench.config import Config
from bench.data.on_disk import open_layout
from bench.data.on_disk.verify import verify
from bench.data.readers import LAYOUTS
from bench.data.readers.folder import Folder
from bench.data.readers.manifest import ManifestLayout
from bench.util.errors import UserError
from bench.util.progress import Reporter


def test_splits_labels_and_order(picture_folder: Path) -> None:
    dataset = open_layout(Folder(root=picture_folder))
    assert dataset.name == "faces"
    assert dataset.classes == ("neutral", "happiness")
    counts = {split: len(dataset.samples(split)) for split in ("train", "val", "test")}
    assert counts == {"train": 16, "val": 4, "test": 10}
    assert dataset.samples("test")[0].id == "test/happy/000.png"
    assert dataset.samples("test")[0].label == "happiness"
    assert dataset.groups(dataset.samples("test")[0]) == {}


def test_test_pictures_alone_serve_classifiers_that_are_trained(picture_folder: Path) -> None:
    shutil.rmtree(picture_folder / "train")
    (picture_folder / "test").rename(picture_folder / "Testing")
    found = sorted(picture_folder.rglob("*.png"))
    rows = [f"{path.relative_to(picture_folder)},{path.parent.name},test" for path in found]
    table = picture_folder.parent / "table.csv"
    table.write_text("\n".join(["path,label,split", *rows]))
    for layout in (
        Folder(root=picture_folder),
        ManifestLayout(root=table, pictures=picture_folder),
    ):
        dataset = open_layout(layout)
        assert dataset.classes == ("neutral", "happiness")
        assert [len(dataset.samples(split)) for split in ("train", "val", "test")] == [0, 0, 10]
        assert dataset.notes[-1] == "no train pictures: for classifiers that are trained already"
        mine = {"kind": "baseline", "architecture": "resnet18"}
        config = Config(data=layout, classifiers={"mine": mine})
        with pytest.raises(UserError, match=r"no train pictures, .* are to be trained: mine\."):
            recipes(config, dataset)
        told = verify(layout, Reporter(quiet=True)).findings
        assert [one.text for one in told if one.kind == "reading"] == [dataset.notes[-1]]
        assert not [one for one in told if one.kind == "run"]


def test_half_of_a_published_set_is_refused() -> None:
    alone = {name for name, layout in LAYOUTS.items() if layout.test_alone}
    assert alone == {"folder", "manifest", "clip_folder"}


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
