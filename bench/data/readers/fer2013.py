"""FER2013 (Goodfellow et al., 2013): 48x48 grey pictures as rows of numbers in one CSV of 300 MB.

The file is read once, line by line, for labels, splits and places; pixels are read on demand.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, NamedTuple

import cv2
import numpy as np
from typing_extensions import override

from bench.data.base import Split
from bench.data.readers.base import Counts, Entry, LabelBase, Layout, Listing
from bench.data.readers.cast import Cast
from bench.data.reading.images import UnreadablePicture
from bench.data.reading.tables import whole_number, wrong_line
from bench.data.reading.tree import locate
from bench.labels import BASIC, ORDERS, label_base, ordered
from bench.util.errors import UserError

#: The file of the competition's first archive, and that of its second one.
PICTURE_FILES = ("fer2013.csv", "icml_face_data.csv")

TERMS = "the terms of the Kaggle competition; the pictures have no clear licence"

SIDE = 48  # pixels

_COLUMNS = ("emotion", "pixels", "usage")
_USAGES: dict[str, Split] = {"training": "train", "publictest": "val", "privatetest": "test"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_LINE = 1 << 16  # bytes; 48x48 numbers are at most 9,216
_VALUES = {str(value).encode(): value for value in range(256)}


class PixelRow(NamedTuple):
    """A picture that is a field of a CSV file."""

    path: str
    number: int  # of the line, from 1
    offset: int  # of the field's first byte
    length: int  # bytes

    def content(self, base: Path) -> bytes:
        """The numbers as they stand."""
        with (base / self.path).open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)

    def decode(self, base: Path, content: bytes) -> np.ndarray:
        """The picture, grey as RGB."""
        try:
            return parse_pixels(content)
        except UnreadablePicture as error:
            raise UnreadablePicture(f"line {self.number}: {error}") from error


class Fer2013Row(NamedTuple):
    """What a line of the file says, and where its pixels are."""

    number: int  # of the line, from 1
    emotion: int
    split: Split
    offset: int
    length: int


class Fer2013(Layout):
    """FER2013 with its own labels."""

    title: ClassVar[str] = "FER2013"
    terms: ClassVar[str | None] = TERMS
    expects: ClassVar[str] = "DIR/fer2013.csv (emotion,pixels,Usage) or DIR/icml_face_data.csv"

    kind: Literal["fer2013"] = "fer2013"
    label_base: LabelBase = None

    @property
    def protocol(self) -> str:
        """Whose split."""
        return "PrivateTest; PublicTest for validation"

    def published(self) -> Counts:
        """28,709, 3,589 and 3,589 pictures."""
        counts: dict[Split, tuple[int, ...]] = {
            "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
            "val": (467, 56, 496, 895, 653, 415, 607),
            "test": (491, 55, 528, 879, 594, 416, 626),
        }
        order = ORDERS["fer2013"]
        return {split: dict(zip(order, found, strict=True)) for split, found in counts.items()}

    @override
    def listing(self) -> Listing:
        base = locate(folder_of(self.root), has_pictures, f"expected {self.expects}")
        name, rows = read_rows(base)
        order = ORDERS["fer2013"]
        origin = str(base / name)
        first = label_base((row.emotion for row in rows), len(order), origin, self.label_base)
        entries = tuple(
            Entry(row_id(place), order[row.emotion - first], row.split, pixels_of(name, row))
            for place, row in enumerate(rows)
        )
        return Listing(base, entries, ordered(set(order)))


def folder_of(root: Path) -> Path:
    """Where to look: in the folder, or next to the file of pictures if that is what is named."""
    return root.parent if root.name in PICTURE_FILES else root


def has_pictures(folder: Path) -> bool:
    """Whether the file of pictures is in a folder."""
    return any((folder / name).is_file() for name in PICTURE_FILES)


def read_rows(base: Path) -> tuple[str, list[Fer2013Row]]:
    """Name of the file of pictures in `base`, and its rows.

    Raises:
        UserError: If it cannot be read or is something else.
    """
    path = next(base / name for name in PICTURE_FILES if (base / name).is_file())
    try:
        with path.open("rb") as file:
            return path.name, parse_rows(file, str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error


def row_id(place: int) -> str:
    """The id of the picture in a row, counted from 0."""
    return f"row_{place:05d}"


def pixels_of(name: str, row: Fer2013Row) -> PixelRow:
    """The picture of a row of the file `name`."""
    return PixelRow(name, row.number, row.offset, row.length)


def parse_rows(file: BinaryIO, origin: str) -> list[Fer2013Row]:
    """Labels, splits and places of all pictures; the pixels are not looked at.

    The header says which column is which. Without one the columns are those of fer2013.csv.

    Raises:
        UserError: Naming the line.
    """
    rows: list[Fer2013Row] = []
    columns: Sequence[int] = ()
    number = end = 0
    while line := file.readline(_LONGEST_LINE):
        number, start, end = number + 1, end, end + len(line)
        if number == 1 and line.startswith(_BYTE_ORDER_MARK):
            line = line[len(_BYTE_ORDER_MARK) :]
            start = end - len(line)
        if line.isspace():
            continue
        fields = line.rstrip(b"\r\n").split(b",")
        if not columns:
            columns, is_header = _columns(fields)
            if is_header:
                continue
        if len(fields) < 3 or max(columns) >= len(fields):
            raise wrong_line(origin, number, _text(line[:80]), "the fields emotion, pixels, Usage")
        emotion, pixels, usage = (fields[place] for place in columns)
        start += sum(len(field) + 1 for field in fields[: columns[1]])
        start += len(pixels) - len(pixels.lstrip(b' "'))
        rows.append(
            Fer2013Row(
                number,
                whole_number(_text(emotion), origin, number, "an emotion from 0 to 6"),
                parse_usage(_text(usage), origin, number),
                start,
                len(pixels.strip(b' "')),
            )
        )
    if not rows:
        raise UserError(f"{origin}: there are no pictures in it.")
    return rows


def parse_usage(text: str, origin: str, number: int) -> Split:
    """The split that a Usage means.

    Raises:
        UserError: Naming the line.
    """
    split = _USAGES.get(text.lower())
    if split is None:
        raise wrong_line(origin, number, text, "Usage Training, PublicTest or PrivateTest")
    return split


def parse_pixels(text: bytes) -> np.ndarray:
    """48x48 grey values as RGB, uint8 (48, 48, 3).

    Raises:
        UnreadablePicture: If it is not 2,304 numbers from 0 to 255.
    """
    fields = text.split()
    if len(fields) != SIDE * SIDE:
        raise UnreadablePicture(f"{len(fields)} pixels instead of {SIDE}x{SIDE}")
    try:
        grey = bytes(map(_VALUES.__getitem__, fields))
    except KeyError as error:
        shown = _text(error.args[0][:20])
        raise UnreadablePicture(f"the pixel {shown!r} is no number from 0 to 255") from None
    return np.frombuffer(grey, np.uint8).reshape(SIDE, SIDE, 1).repeat(3, axis=2)


def _columns(fields: Sequence[bytes]) -> tuple[Sequence[int], bool]:
    """Places of emotion, pixels and usage in the first line, and whether it is a header."""
    names = [_text(field).lower() for field in fields]
    if set(_COLUMNS) <= set(names):
        return [names.index(name) for name in _COLUMNS], True
    return range(len(_COLUMNS)), False


def _text(field: bytes) -> str:
    return field.decode("utf-8", errors="replace").strip(' "\t\r\n')


# ------------------------------------------------------------------------------------------------
# FER2013's and FERPlus's layout: 48x48 grey pictures as text, and the votes of ten people.


_FER2013_USAGES: tuple[tuple[Split, str, int], ...] = (
    ("train", "Training", 2),
    ("val", "PublicTest", 1),
    ("test", "PrivateTest", 1),
)
_FER2013_COLUMNS = (*ORDERS["ferplus"], "unknown", "NF")
#: Votes that give no label, next to which picture such a line stands.
_JUNK = {
    "happiness": {"NF": 10},
    "sadness": {"happiness": 5, "surprise": 5},
    "fear": {"unknown": 6, "fear": 4},
}


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`fer2013.csv` with the seven labels of FER2013."""
    lines = [_line(cast, place) for place in _places(ORDERS["fer2013"], per_class)]
    (root / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "".join(lines))


def write_ferplus(root: Path, cast: Cast, per_class: int) -> None:
    """`fer2013.csv` and `fer2013new.csv`, with a picture of each kind that is left out."""
    pictures, votes = [], []
    for running, place in enumerate(_places(ORDERS["ferplus"], per_class)):
        split, usage, label, number = place
        pictures.append(_line(cast, place))
        name = f"fer{running:07d}.png"
        votes.append(_votes(usage, name, {label: 7 + number % 3, "unknown": 1}))
        if number == 0 and label in _JUNK:
            junk = _JUNK[label]
            pictures.append(_line(cast, (split, usage, label, 1000)))
            votes.append(_votes(usage, "" if "NF" in junk else name, junk))
    (root / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "".join(pictures))
    header = ",".join(["Usage", "Image name", *_FER2013_COLUMNS])
    (root / "fer2013new.csv").write_text(header + "\n" + "".join(votes))


def _places(labels: tuple[str, ...], per_class: int) -> Iterator[tuple[Split, str, str, int]]:
    """Split, usage, label and number of every picture, in the order of the file."""
    for split, usage, share in _FER2013_USAGES:
        for number in range(share * per_class):
            for label in labels:
                yield split, usage, label, number


def _line(cast: Cast, place: tuple[Split, str, str, int]) -> str:
    split, usage, label, number = place
    grey = cv2.cvtColor(cast.picture(label, split, number, (48, 48)), cv2.COLOR_RGB2GRAY)
    pixels = " ".join(str(value) for value in grey.ravel())
    # FER2013 knows no contempt: its label is one of the others.
    shown = ORDERS["fer2013"].index(label if label in BASIC else "neutral")
    return f"{shown},{pixels},{usage}\n"


def _votes(usage: str, name: str, votes: dict[str, int]) -> str:
    """A line of votes; those not given are for neutral, or for nothing."""
    given = {**votes, "neutral": votes.get("neutral", 0) + 10 - sum(votes.values())}
    return (
        ",".join([usage, name, *(str(given.get(column, 0)) for column in _FER2013_COLUMNS)]) + "\n"
    )
