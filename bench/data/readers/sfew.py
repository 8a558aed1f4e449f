"""SFEW 2.0 (Dhall et al., 2011; EmotiW 2015): frames of films, or the faces aligned from them.

The labels of the test set are withheld, so everybody reports the official validation set.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from bench.data.base import Skipped, Split
from bench.data.images import PICTURE_SUFFIXES
from bench.data.readers.base import Counts, Entry, Layout, Listing, PictureFile, register
from bench.data.readers.cast import Cast, save
from bench.data.tree import folders, locate, scan
from bench.labels import BASIC, ORDERS, canonical

#: How the names of the folders of each split begin, in lower case.
_BEGINS: dict[Split, str] = {"train": "train", "test": "val"}
_UNLABELLED = "test"
_ALIGNED = "aligned"
_DEPTH = 3  # Val/Val_Aligned_Faces_new/Val_Aligned_Faces, if archives are unpacked where they are

_ORDER = ORDERS["alphabetical"]
_COUNTS: dict[str, dict[Split, tuple[int, ...]]] = {
    "aligned": {"train": (178, 52, 78, 184, 144, 161, 94), "test": (77, 23, 46, 72, 84, 73, 56)},
    "frames": {"train": (178, 66, 98, 198, 150, 172, 96), "test": (77, 23, 47, 73, 86, 73, 57)},
}


class Sfew(Layout):
    """Seven class folders for each of train and validation."""

    title: ClassVar[str] = "SFEW 2.0"
    terms: ClassVar[str | None] = "non-commercial research, signed licence form"
    expects: ClassVar[str] = (
        "DIR/Train/Train_Aligned_Faces/<class>/* and DIR/Val/Val_Aligned_Faces/<class>/*; "
        "or DIR/Train/<class>/* and DIR/Val/<class>/*"
    )

    kind: Literal["sfew"] = "sfew"
    pictures: Literal["aligned", "frames"] = Field(
        default="aligned", description="The aligned faces of 143x181, or the full frames."
    )

    @property
    def name(self) -> str:
        """Frames have another name: they are other pictures, and more of them."""
        return "sfew" if self.pictures == "aligned" else "sfew_frames"

    @property
    def protocol(self) -> str:
        """Which pictures, whose split."""
        shown = "aligned faces" if self.pictures == "aligned" else "full frames"
        return f"{shown}, official train; official validation as test"

    def published(self) -> Counts:
        """Aligned: 891 and 431. Frames: 958 and 436."""
        return {
            split: dict(zip(_ORDER, counts, strict=True))
            for split, counts in _COUNTS[self.pictures].items()
        }

    def published_size(self) -> tuple[int, int] | None:
        """Aligned faces are 181 high and 143 wide."""
        return (181, 143) if self.pictures == "aligned" else None

    @override
    def listing(self) -> Listing:
        base = locate(self.root, _fits, f"expected {self.expects}")
        folders = {split: self._folder(base, split) for split in _BEGINS}
        if len({_is_aligned(folder) for folder in folders.values()}) > 1:
            raise self.fail(
                f"{folders['train']} and {folders['test']} would mix aligned faces and full frames "
                f'(only one is called "aligned"). Unpack the other archive or rename a folder.'
            )
        entries: list[Entry] = []
        stray: list[str] = []
        refused: list[Skipped] = []
        for split, folder in folders.items():
            tree = scan(base, PICTURE_SUFFIXES, self.follow_links, folder)
            refused += tree.refused
            for path in tree.files:
                parts = path.removeprefix(f"{folder}/").split("/")
                if len(parts) == 2 and canonical(parts[0]) in BASIC:
                    entries.append(Entry(path, canonical(parts[0]), split, PictureFile(path)))
                elif len(parts) < 3:  # deeper are the aligned faces, kept inside
                    stray.append(path)
        return Listing(
            base,
            tuple(entries),
            BASIC,
            refused=tuple(refused),
            unlabelled=(*stray, *self._test_set(base)),
        )

    def _folder(self, base: Path, split: Split) -> str:
        """The folder of the class folders, relative to the base."""
        found = [path.relative_to(base).as_posix() for path in _class_parents(base, split)]
        plain = [folder for folder in found if not _is_aligned(folder)]
        # Many copies have the aligned faces in folders that do not say so.
        marked = [folder for folder in found if _is_aligned(folder)] or plain
        chosen = marked if self.pictures == "aligned" else plain
        if not chosen:
            raise self.fail(
                f"{found[0]} has aligned faces; take pictures: aligned, or unpack the full frames."
            )
        if len(chosen) > 1:
            raise self.fail(f"{chosen[0]} and {chosen[1]} could both be meant; move one away.")
        return chosen[0]

    def _test_set(self, base: Path) -> tuple[str, ...]:
        unlabelled = [path.name for path in folders(base) if _begins(path, _UNLABELLED)]
        trees = [scan(base, PICTURE_SUFFIXES, self.follow_links, folder) for folder in unlabelled]
        return tuple(path for tree in trees for path in tree.files)


def _fits(folder: Path) -> bool:
    return all(any(_class_parents(folder, split)) for split in _BEGINS)


def _class_parents(base: Path, split: Split) -> Iterator[Path]:
    """Folders of the split that have the seven class folders in them."""
    level = [path for path in folders(base) if _begins(path, _BEGINS[split])]
    for _ in range(_DEPTH):
        children = {folder: folders(folder) for folder in level}
        for folder, inner in children.items():
            if set(BASIC) <= {canonical(path.name) for path in inner}:
                yield folder
        level = [path for inner in children.values() for path in inner]


def _begins(path: Path, word: str) -> bool:
    return path.name.lower().startswith(word)


def _is_aligned(path: str) -> bool:
    return _ALIGNED in path.lower()


# ------------------------------------------------------------------------------------------------
# SFEW 2.0's layout: class folders of aligned faces and of full frames; a flat test set.


_FOLDERS = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
_FILMS = ("Airheads", "BirthdayGirl", "Hangover", "Unknown")
_FACE, _FRAME = (181, 143), (288, 360)  # height and width; real frames are twice as large


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Both kinds of pictures, named by film, time and frame."""
    for name, split, count in (("Train", "train", 2 * per_class), ("Val", "test", per_class)):
        for folder, label in _FOLDERS.items():
            for number in range(count):
                file = _file(list(_FOLDERS).index(folder), number)
                face = cast.picture(label, split, number, _FACE)
                save(root / name / f"{name}_Aligned_Faces" / folder / file, face)
                save(root / name / folder / file, _frame(face, number))
    for number in range(per_class):  # labels withheld
        face = cast.picture("neutral", "unlabelled", number, _FACE)
        save(root / "Test" / "Test_Aligned_Faces" / _file(7, number), face)


def _file(place: int, number: int) -> str:
    film = _FILMS[number % len(_FILMS)]
    return f"{film}_{1000 * place + 20 * number + 519240:09d}_{number + 1:08d}.png"


def _frame(face: np.ndarray, number: int) -> np.ndarray:
    """The face somewhere in a dim room."""
    height, width = face.shape[:2]
    frame = np.full((*_FRAME, 3), 40, np.uint8)
    frame[: _FRAME[0] // 2] = 70
    left = 20 + 37 * number % (_FRAME[1] - width - 20)
    frame[60 : 60 + height, left : left + width] = face
    return frame


register(Sfew, write)
