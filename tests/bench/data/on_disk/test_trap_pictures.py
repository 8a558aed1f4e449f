"""Folders as people have them: a file is used with the right pixels, or skipped and told why."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from support import TINY, write_pictures

from bench.data.on_disk import FilesDataSet, open_layout
from bench.data.readers.folder import DEEPER, Folder
from bench.data.tree import LEAVES_ROOT

ORIENTATION = 0x0112
JPEG = {"quality": 100, "subsampling": 0}
GIANT = (12_500, 8_000)  # 100 megapixels


def scene(height: int = 20, width: int = 28) -> np.ndarray:
    """Dark on the left, light on the right, the upper left corner red: uint8 (H, W, 3)."""
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[:, width // 2 :] = 210
    picture[: height // 2, : width // 2] = (200, 30, 30)
    return picture


GREY = np.repeat(np.asarray(Image.fromarray(scene()).convert("L"))[..., None], 3, axis=2)


class Trap(NamedTuple):
    """One file or link.

    Attributes:
        name: Relative to the folder of a class.
        put: Makes it at a path.
        pixels: What it must give, None if it must be skipped.
        reason: A part of why it is skipped.
        tolerance: How far a pixel may be off.
    """

    name: str
    put: Callable[[Path], object]
    pixels: np.ndarray | None = None
    reason: str = ""
    tolerance: int = 0

    def path(self, split: str) -> str:
        """Its path in the data set."""
        return f"{split}/happy/{self.name}"


def saved(mode: str = "RGB", **options: object) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(scene()).convert(mode).save(path, **options)


def palette(path: Path) -> None:
    """Four colours, of which the picture has three."""
    Image.fromarray(scene()).quantize(4).save(path)


def deep(path: Path) -> None:
    """16-bit grey: the upper 8 bits are the picture, the lower ones would show if it were cut."""
    Image.fromarray(GREY[..., 0].astype(np.uint16) * 256 + 129).save(path)


def turned(path: Path) -> None:
    """Stored lying on its side, with the note to turn it."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(np.rot90(scene())).save(path, exif=exif, **JPEG)


def truncated(path: Path) -> None:
    Image.fromarray(scene(200, 200)).save(path, quality=95)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def outside(path: Path) -> None:
    """A link to a picture beside the data set."""
    target = path.parents[3] / "outside.png"
    Image.fromarray(scene()).save(target)
    path.symlink_to(target)


def folder_outside(path: Path) -> None:
    target = path.parents[3] / "outside"
    target.mkdir(exist_ok=True)
    Image.fromarray(scene()).save(target / "a.png")
    path.symlink_to(target, target_is_directory=True)


def linked(path: Path) -> None:
    """A link within the folder, to a picture that has no class of its own."""
    target = path.parents[2] / "pool" / "picture.png"
    target.parent.mkdir(exist_ok=True)
    Image.fromarray(scene()).save(target)
    path.symlink_to(Path("../../pool/picture.png"))


def inner(path: Path) -> None:
    path.parent.mkdir()
    Image.fromarray(scene()).save(path)


ONE = np.array([[[9, 8, 7]]], np.uint8)
TRAPS = (
    Trap("grey.png", saved("L"), GREY),
    Trap("palette.png", palette, scene(), tolerance=1),
    Trap("cmyk.jpg", saved("CMYK", **JPEG), scene(), tolerance=6),
    Trap("cmyk.tif", saved("CMYK"), scene(), tolerance=1),
    Trap("deep.png", deep, GREY),
    Trap("deep.tiff", deep, GREY),
    Trap("turned.png", turned, scene()),
    Trap("turned.jpg", turned, scene(), tolerance=6),
    Trap("UPPER.PNG", saved(), scene()),
    Trap("Mixed.JpEg", saved(**JPEG), scene(), tolerance=6),
    Trap("a png.jpg", saved(format="PNG"), scene()),
    Trap("one pixel.png", lambda path: Image.fromarray(ONE).save(path), ONE),
    Trap("two  spaces.png", saved(), scene()),
    Trap("Gesicht-äöü-面孔-\U0001f600.png", saved(), scene()),
    Trap("a\u0308.png", saved(), scene()),  # ä in two characters, as some systems write it
    Trap("line\nbreak\r.png", saved(), scene()),
    Trap('quote"\'`$(x);&|\\.png', saved(), scene()),
    Trap("-rf.png", saved(), scene()),
    Trap("n" * 250 + ".png", saved(), scene()),
    Trap("link.png", linked, scene()),
    Trap("truncated.jpg", truncated, reason="cannot be decoded: "),
    Trap("empty.png", Path.touch, reason="the file is empty"),
    Trap("text.jpg", lambda path: path.write_text("not a picture"), reason="no JPEG, PNG"),
    Trap("leaves.png", outside, reason=LEAVES_ROOT),
    Trap("leaves", folder_outside, reason=LEAVES_ROOT),
    Trap("dangling.png", lambda path: path.symlink_to("nothing.png"), reason="leads nowhere"),
    Trap("itself.png", lambda path: path.symlink_to(path.name), reason="leads nowhere"),
    Trap("loop", lambda path: path.symlink_to(".."), reason="a folder above it"),
    Trap("happy/inner.png", inner, reason=DEEPER),
    Trap("pipe.png", os.mkfifo, reason="a pipe"),
)  # fmt: skip

USED = [trap for trap in TRAPS if trap.pixels is not None]
SKIPPED = [trap for trap in TRAPS if trap.pixels is None]

#: Left behind by other systems and programs: no business of anyone's.
LITTER = (
    ".hidden.png",
    "._grey.png",
    ".DS_Store",
    "Thumbs.db",
    ".ipynb_checkpoints/grey.png",
    "__MACOSX/grey.png",
    "@eaDir/grey.png",
)

every_split = pytest.mark.parametrize("split", ["train", "test"])


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every trap in train and in test, and one picture of 100 megapixels in test."""
    root = tmp_path_factory.mktemp("trapped") / "set"
    write_pictures(root / "train", ("happy", "neutral"), 10)
    write_pictures(root / "test", ("happy", "neutral"), 40)
    for split in ("train", "test"):
        for trap in TRAPS:
            trap.put(root / trap.path(split))
        for name in LITTER:
            path = root / split / "happy" / name
            path.parent.mkdir(exist_ok=True)
            saved(format="PNG")(path)
    Image.new("1", GIANT, 1).save(root / "test" / "neutral" / "giant.png")
    return root


@pytest.fixture(scope="module")
def opened(trapped: Path) -> FilesDataSet:
    return open_layout(Folder(root=trapped))


@every_split
@pytest.mark.parametrize("trap", USED, ids=lambda trap: trap.name[:30])
def test_it_is_used_with_the_right_pixels(opened: FilesDataSet, trap: Trap, split: str) -> None:
    splits = ("test",) if split == "test" else ("train", "val")
    samples = {sample.id: sample for part in splits for sample in opened.samples(part)}
    sample = samples[trap.path(split)]
    picture = opened.picture(sample)
    assert sample.label == "happiness"
    assert picture.dtype == np.uint8
    assert picture.shape == trap.pixels.shape == (*opened.size(sample), 3)
    assert np.abs(picture.astype(int) - trap.pixels).max() <= trap.tolerance


@every_split
@pytest.mark.parametrize("trap", SKIPPED, ids=lambda trap: trap.name)
def test_it_is_skipped_and_told_why(opened: FilesDataSet, trap: Trap, split: str) -> None:
    reasons = {skipped.path: skipped.reason for skipped in opened.skipped}
    assert trap.reason in reasons[trap.path(split)]


def test_every_file_is_either_used_or_skipped_and_litter_is_neither(opened: FilesDataSet) -> None:
    used = {sample.id for split in ("train", "val", "test") for sample in opened.samples(split)}
    skipped = {found.path for found in opened.skipped}
    assert not used & skipped
    assert not any(name in path for path in used | skipped for name in LITTER)
    assert len(used) == 2 * (10 + 40) + 2 * len(USED)
    # The picture that links lead to lies outside of the classes, and one is too large.
    assert len(skipped) == len(opened.skipped) == 2 * len(SKIPPED) + 2


def test_a_hundred_megapixels_are_refused(opened: FilesDataSet) -> None:
    """To perturb such a picture takes gigabytes, in every worker."""
    reasons = {skipped.path: skipped.reason for skipped in opened.skipped}
    assert "it has 100,000,000 pixels" in reasons["test/neutral/giant.png"]


def test_a_limited_run_over_all_of_them(
    bench, trapped: Path, opened: FilesDataSet, tmp_path: Path
) -> None:
    command = f"run robustness --config {TINY} --data {trapped} --out {tmp_path} --limit 80"
    command += " --classifiers test_resnet --perturbations gaussian_noise,gaussian_blur"
    code, text = bench(*command.split())
    assert code == 0, text
    assert f"{len(opened.skipped)} files skipped" in text
    listed = json.loads((tmp_path / "skipped.json").read_text())
    assert listed == [vars(skipped) for skipped in opened.skipped]
    assert (tmp_path / "report" / "summary.csv").read_text().count("test_resnet") == 3


def test_a_doubly_nested_folder_is_the_same(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a" / "b" / "faces" / "train", ("happy", "neutral"), 4)
    write_pictures(tmp_path / "a" / "b" / "faces" / "test", ("happy", "neutral"), 2)
    (tmp_path / "a" / "__MACOSX").mkdir()
    (tmp_path / "a" / "licence.txt").touch()
    nested = open_layout(Folder(root=tmp_path / "a"))
    plain = open_layout(Folder(root=tmp_path / "a" / "b" / "faces"))
    assert nested.digest == plain.digest
    assert nested.protocol == plain.protocol == "the folder's own split"


def test_a_nested_folder_of_classes_is_the_same(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a" / "faces", ("happy", "neutral"), 9)
    nested = Folder(root=tmp_path / "a").listing()
    assert nested == Folder(root=tmp_path / "a" / "faces").listing()
    assert len(nested.entries) == 18


def test_a_name_that_is_no_text_is_skipped(picture_folder: Path) -> None:
    strange = os.fsencode(picture_folder / "test" / "happy") + b"/caf\xe9.png"
    shutil.copy(picture_folder / "test" / "happy" / "000.png", strange)
    dataset = open_layout(Folder(root=picture_folder))
    assert [vars(skipped) for skipped in dataset.skipped] == [
        {"path": "test/happy/caf\\udce9.png", "reason": "its name is not UTF-8"}
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable to root")
def test_what_may_not_be_read_is_skipped(picture_folder: Path) -> None:
    (picture_folder / "test" / "happy" / "000.png").chmod(0)
    (picture_folder / "train" / "closed").mkdir(0)
    dataset = open_layout(Folder(root=picture_folder))
    assert {skipped.path: skipped.reason for skipped in dataset.skipped} == {
        "train/closed": "cannot be listed (Permission denied)",
        "test/happy/000.png": "cannot be decoded: Permission denied",
    }


def test_links_between_folders_come_to_an_end(tmp_path: Path) -> None:
    """Each of many folders has a link to each other: every link is followed once."""
    write_pictures(tmp_path, tuple("abcdefgh"), 3)
    for one in "abcdefgh":
        for other in "abcdefgh":
            (tmp_path / one / f"to {other}").symlink_to(tmp_path / other)
    listing = Folder(root=tmp_path).listing()
    assert len(listing.entries) == 8 * 3
    assert sum(found.reason == DEEPER for found in listing.refused) == 8 * 7 * 3


def test_a_class_may_be_a_link_to_pictures_elsewhere_in_the_folder(tmp_path: Path) -> None:
    """Whether the link or the folder is met first, the class is the link's name."""
    write_pictures(tmp_path / "set" / "pool", ("one", "two"), 6)
    for split in ("train", "test"):
        (tmp_path / "set" / split).mkdir()
        for label, target in (("happy", "one"), ("sad", "two")):
            (tmp_path / "set" / split / label).symlink_to(f"../pool/{target}")
    entries = Folder(root=tmp_path / "set").listing().entries
    assert {(entry.split, entry.label) for entry in entries} == {
        (split, label) for split in ("train", "test") for label in ("happiness", "sadness")
    }
    assert len(entries) == 4 * 6
