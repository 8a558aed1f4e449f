"""FER2013 (Goodfellow et al., 2013): 48x48 grey pictures as rows of numbers in one CSV of 300 MB.

The file is read once, line by line, for labels, splits and places; pixels are read on demand.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, NamedTuple

import cv2
import numpy as np
from pydantic import Field
from typing_extensions import override

from bench.data.base import Split
from bench.data.images import UnreadablePicture
from bench.data.readers.base import Counts, Entry, LabelBase, Layout, Listing, register
from bench.data.readers.cast import Cast
from bench.data.tables import csv_rows, read_text, whole_number, wrong_line
from bench.data.tree import locate
from bench.labels import BASIC, CONTEMPT, ORDERS, label_base, ordered
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


# ------------------------------------------------------------------------------------------------
# FERPlus (Barsoum et al., ICMI 2016): the pictures of FER2013, each labelled by ten people.
# ------------------------------------------------------------------------------------------------

LABEL_FILE = "fer2013new.csv"

#: What people could vote for, in the order of the columns.
CHOICES = (*ORDERS["ferplus"], "unknown", "nf")

_VOTERS = 10
_VOTE_COLUMNS = ("usage", "image name", *CHOICES)


class Votes(NamedTuple):
    """A line of the label file."""

    number: int  # of the line, from 1
    split: Split
    votes: tuple[int, ...]  # for each of `CHOICES`


class FerPlus(Layout):
    """FERPlus, labelled by the majority.

    `attributes` of a sample are its votes: `votes_neutral` to `votes_contempt`, `votes_unknown` and
    `votes_nf` (no face).
    """

    title: ClassVar[str] = "FERPlus"
    terms: ClassVar[str | None] = TERMS
    expects: ClassVar[str] = f"DIR/fer2013.csv and DIR/{LABEL_FILE}, line by line the same pictures"

    kind: Literal["ferplus"] = "ferplus"
    classes: Literal[8, 7] = Field(default=8, description="With contempt, or without.")

    @property
    def name(self) -> str:
        """With its number of classes where it is not the usual one."""
        return "ferplus" if self.classes == 8 else "ferplus_7"

    @property
    def protocol(self) -> str:
        """Which labels, whose split."""
        return f"majority of votes, {self.classes} classes; PrivateTest, PublicTest for validation"

    @override
    def listing(self) -> Listing:
        base = locate(folder_of(self.root), _fits, f"expected {self.expects}")
        label_file = base / LABEL_FILE
        name, rows = read_rows(base)
        votes = parse_votes(read_text(label_file), str(label_file))
        _require_aligned(rows, votes, name, str(label_file))
        classes = tuple(c for c in ORDERS["ferplus"] if self.classes == 8 or c != CONTEMPT)
        left_out: Counter[str] = Counter()
        entries = []
        for place, (row, given) in enumerate(zip(rows, votes, strict=True)):
            label = majority(given.votes)
            if label in classes:
                cast = {f"votes_{c}": n for c, n in zip(CHOICES, given.votes, strict=True)}
                source = pixels_of(name, row)
                entries.append(Entry(row_id(place), label, row.split, source, attributes=cast))
            else:
                left_out[_reason(label)] += 1
        return Listing(base, tuple(entries), ordered(set(classes)), left_out=left_out)


def parse_votes(text: str, origin: str) -> list[Votes]:
    """The votes of each line of fer2013new.csv; a header may be missing.

    Raises:
        UserError: Naming the line.
    """
    found: list[Votes] = []
    places: Sequence[int] = range(len(_VOTE_COLUMNS))
    for number, fields in csv_rows(text, origin):
        if len(fields) < len(_VOTE_COLUMNS):
            raise wrong_line(origin, number, ",".join(fields), f"{len(_VOTE_COLUMNS)} fields")
        names = [field.lower() for field in fields]
        if not found and set(_VOTE_COLUMNS) <= set(names):
            places = [names.index(column) for column in _VOTE_COLUMNS]
            continue
        if len(fields) <= max(places):
            raise wrong_line(origin, number, ",".join(fields), "as many fields as in the header")
        usage, _, *votes = (fields[place] for place in places)
        split = parse_usage(usage, origin, number)
        found.append(Votes(number, split, tuple(_vote(vote, origin, number) for vote in votes)))
    if not found:
        raise UserError(f"{origin}: there are no votes in it.")
    return found


def majority(votes: Sequence[int]) -> str | None:
    """The choice of more than half of the voters, None if there is none.

    Choices of a single voter do not count, neither for themselves nor for the half: the protocol of
    the authors' code.

    Args:
        votes: For each of `CHOICES`.
    """
    counted = [vote if vote > 1 else 0 for vote in votes]
    most = max(counted)
    return CHOICES[counted.index(most)] if 2 * most > sum(counted) else None


def _vote(text: str, origin: str, number: int) -> int:
    expected = f"votes from 0 to {_VOTERS}"
    vote = whole_number(text, origin, number, expected)
    if not 0 <= vote <= _VOTERS:
        raise wrong_line(origin, number, text, expected)
    return vote


def _require_aligned(
    rows: Sequence[Fer2013Row], votes: Sequence[Votes], name: str, origin: str
) -> None:
    """Only their order ties votes to pictures: a line more or less would mix up everything."""
    if len(rows) != len(votes):
        raise UserError(
            f"{origin}: {len(votes):,} lines of votes, but {name} has {len(rows):,} pictures; the "
            "two belong together line by line. Take both files whole and unsorted."
        )
    for row, given in zip(rows, votes, strict=True):
        if row.split != given.split:
            raise UserError(
                f"{origin}, line {given.number}: its Usage is not that of {name}, line "
                f"{row.number}; the two belong together line by line. Take both files unsorted."
            )


def _reason(label: str | None) -> str:
    if label is None:
        return "no majority"
    return {"nf": "no face", "unknown": "unknown to the majority"}.get(label, label)


def _fits(folder: Path) -> bool:
    return has_pictures(folder) and (folder / LABEL_FILE).is_file()


register(Fer2013, write)
register(FerPlus, write_ferplus)
