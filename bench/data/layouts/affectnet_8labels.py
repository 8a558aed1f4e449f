"""AffectNet as given out later, "8 labels": faces of 224x224, four npy files beside each.

The numbers of its pictures have gaps and lead back to no file name of the first release.
"""

import io
import os
import warnings
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from bench.data.base import Skipped, Split
from bench.data.labels import CONTEMPT, natural_key
from bench.data.layouts.affectnet_common import ORDER, TRAIN, AffectNetLayout
from bench.data.layouts.base import Counts, Entry, Listing, PictureFile
from bench.data.reading.images import PICTURE_SUFFIXES
from bench.data.reading.tree import scan
from bench.errors import UserError

#: What the folders of a split are called; the official validation split is the test split here.
FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train_set",),
    "test": ("val_set", "valid_set"),
}

_LABEL = "_exp.npy"
_TEST_SET = "pictures of test_set, on which no results are published"
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _Part(NamedTuple):
    """One split.

    Attributes:
        folder: Relative to the base.
        ids: Of the expression, for each picture that has one.
        missing: Labels without a picture.
        refused: Links that lead away, and labels that cannot be read.
        unlabelled: Pictures without a label.
    """

    folder: str
    ids: dict[str, int]
    missing: tuple[Skipped, ...]
    refused: tuple[Skipped, ...]
    unlabelled: tuple[str, ...]


class AffectNet8Labels(AffectNetLayout):
    """Every picture with a file of its expression is a sample."""

    title: ClassVar[str] = "AffectNet, 8 labels"
    expects: ClassVar[str] = (
        "DIR/{train_set,val_set}/images/<number>.jpg and "
        "DIR/{train_set,val_set}/annotations/<number>_exp.npy"
    )

    kind: Literal["affectnet_8labels"] = "affectnet_8labels"

    @property
    def protocol(self) -> str:
        """Pictures, split and classes."""
        return f"aligned pictures, official val as test, {self.classes} classes"

    def published(self) -> Counts:
        """287,651 and 3,999 pictures; 283,901 and 3,500 without contempt."""
        test = dict.fromkeys(ORDER, 500) | {CONTEMPT: 499}
        return {
            "train": {label: TRAIN[label] for label in self.kept},
            "test": {label: test[label] for label in self.kept},
        }

    def published_size(self) -> tuple[int, int] | None:
        """224x224."""
        return 224, 224

    def listing(self) -> Listing:
        """See `Layout.listing`."""
        base = self.find_base(lambda folder: bool(_folder(folder, "train")))
        parts = {split: self._part(base, split) for split in FOLDERS}
        ids = {number for part in parts.values() for number in part.ids.values()}
        origin = f"{base / parts['train'].folder / 'annotations'}/*{_LABEL}"
        names = self.label_names(ids, ORDER, origin)
        left_out: Counter[str] = Counter()
        entries = []
        for split, part in parts.items():
            for path, number in part.ids.items():
                label = names[number]
                if reason := self.excluded(label):
                    left_out[reason] += 1
                else:
                    entries.append(Entry(path, label, split, PictureFile(path)))
        if later := scan(base, PICTURE_SUFFIXES, self.follow_links, "test_set").files:
            left_out[_TEST_SET] = len(later)
        return Listing(
            base,
            tuple(entries),
            self.table_order,
            missing=tuple(skipped for part in parts.values() for skipped in part.missing),
            refused=tuple(skipped for part in parts.values() for skipped in part.refused),
            unlabelled=tuple(path for part in parts.values() for path in part.unlabelled),
            left_out=dict(left_out),
        )

    def _part(self, base: Path, split: Split) -> _Part:
        folder = _folder(base, split)
        if not folder:
            wanted = " or ".join(FOLDERS[split])
            raise self.fail(f"there is no folder {wanted} with images and annotations in {base}.")
        part = _read(base, folder, self.follow_links)
        if not part.ids:
            raise self.nothing(base / folder, part.refused)
        return part


def parse_expression(content: bytes, origin: str) -> int:
    """The number in an npy file that holds just one, as a number or as text; never unpickled.

    Raises:
        UserError: If it holds something else.
    """
    wrong = UserError(f"{origin}: is not an npy file that holds one whole number.")
    end = _header_end(content)
    dtype = _one_value(content[:end])
    if dtype is None or len(content) - end != dtype.itemsize:
        raise wrong
    try:
        value = np.frombuffer(content, dtype, offset=end).item()
    except (SystemError, ValueError):  # text of numbers that are no characters
        raise wrong from None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, str) or not float(value).is_integer():
        raise wrong
    return int(value)


def _read(base: Path, folder: str, follow_links: bool) -> _Part:
    """The pictures of a split and their expressions."""
    tree = scan(base, PICTURE_SUFFIXES, follow_links, f"{folder}/images")
    annotations = f"{folder}/annotations"
    labelled = _labelled(base / annotations)
    ids: dict[str, int] = {}
    broken: list[Skipped] = []
    unlabelled: list[str] = []
    pictured: set[str] = set()
    for path in tree.files:
        stem = path.rpartition("/")[2].rpartition(".")[0]
        if stem not in labelled:
            unlabelled.append(path)
            continue
        pictured.add(stem)
        name = f"{annotations}/{stem}{_LABEL}"
        try:
            ids[path] = parse_expression((base / name).read_bytes(), name)
        except (OSError, UserError) as error:
            broken.append(Skipped(name, str(error)))
    missing = tuple(
        Skipped(f"{folder}/images/{stem}.jpg", "has a label, not there")
        for stem in sorted(labelled - pictured, key=natural_key)
    )
    return _Part(folder, ids, missing, (*tree.refused, *broken), tuple(unlabelled))


def _header_end(content: bytes) -> int:
    """Where the values begin, if the content is that of an npy file."""
    first = 10 if content[6:7] == b"\1" else 12  # versions differ in the size of the length
    return first + int.from_bytes(content[8:first], "little")


@lru_cache(maxsize=32)
def _one_value(header: bytes) -> np.dtype | None:
    """The type of the only value, None if the header is of anything else.

    Nearly all files of a release have the same header, and reading it is what takes long.
    """
    file = io.BytesIO(header)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that Python 2 wrote it
            read = _READERS[np.lib.format.read_magic(file)]
            shape, _, dtype = read(file)
    except Exception:  # headers are evaluated as Python literals, which fail in many ways
        return None
    return dtype if dtype.kind in "iufUS" and dtype.itemsize and shape in ((), (1,)) else None


def _folder(base: Path, split: Split) -> str:
    """The folder of a split, which archives may nest in one of the same name; empty if none."""
    nested = [name for once in FOLDERS[split] for name in (once, f"{once}/{once}")]
    return next((name for name in nested if (base / name / "images").is_dir()), "")


def _labelled(annotations: Path) -> set[str]:
    """What the files of expressions belong to; three others beside each do not matter."""
    if not annotations.is_dir():
        return set()
    with os.scandir(annotations) as found:
        return {file.name.removesuffix(_LABEL) for file in found if file.name.endswith(_LABEL)}
