"""AffectNet as first given out (Mollahosseini, Hasani & Mahoor, 2017): photographs and lists.

Pictures are photographs of people; a sample is the face in the box of its list. The lists are too
large to be held whole: each face has 68 landmarks.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from bench.data.base import Skipped, Split
from bench.data.layouts.affectnet_common import ORDER, TRAIN, AffectNetLayout
from bench.data.layouts.base import Counts, Entry, Listing, PictureFile
from bench.data.reading.images import PICTURE_SUFFIXES, Box
from bench.data.reading.label_files import csv_rows, read_lines, whole_number, wrong_line
from bench.data.reading.tree import Tree, inside, scan
from bench.errors import UserError

PICTURES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
LISTS = (
    "Manually_Annotated_file_lists",
    "Manually_Annotated_file_lists/Manually_Annotated_file_lists",
    "Manually_Annotated",
    ".",
)
#: The official validation split is what results are reported on: it is the test split here.
SPLITS: Mapping[str, Split] = {"training.csv": "train", "validation.csv": "test"}

#: By id; the last three are no expressions.
LABELS = (*ORDER, "None", "Uncertain", "No-Face")

_COLUMNS = ("subdirectory_filepath", "face_x", "face_y", "face_width", "face_height", "expression")
_PLACES = (0, 1, 2, 3, 4, 6)  # of these, in a list without header
_NO_BOX = ("", "null", "nan")


class Face(NamedTuple):
    """A row of a list: a face in a picture.

    Attributes:
        path: Below the folder of pictures.
        expression: The id as it stands there.
        box: Of the face; None if the row has none, as where no face is.
    """

    path: str
    expression: int
    box: Box | None


class AffectNet(AffectNetLayout):
    """Every row with an expression is a sample."""

    title: ClassVar[str] = "AffectNet"
    expects: ClassVar[str] = (
        "DIR/Manually_Annotated_Images/<number>/* and "
        "DIR/Manually_Annotated_file_lists/{training,validation}.csv"
    )

    kind: Literal["affectnet"] = "affectnet"

    @property
    def protocol(self) -> str:
        """Faces, split and classes."""
        return f"faces cropped by their boxes, official validation as test, {self.classes} classes"

    def published(self) -> Counts:
        """287,651 and 4,000 pictures; 283,901 and 3,500 without contempt."""
        return {
            "train": {label: TRAIN[label] for label in self.kept},
            "test": dict.fromkeys(self.kept, 500),
        }

    def listing(self) -> Listing:
        """See `Layout.listing`."""
        base = self.find_base(lambda folder: bool(_pictures(folder) and _list(folder)))
        folder = _pictures(base)
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links, folder)
        if not tree.files:
            raise self.nothing(base / folder, tree.refused)
        lists = self._lists(base)
        ids = {face.expression for faces in lists.values() for face in faces}
        names = self.label_names(ids, LABELS, str(base / _list(base)))
        collected = _Collected(tree, folder)
        for split, faces in lists.items():
            for face in faces:
                label = names[face.expression]
                collected.add(face, split, label, self.excluded(label))
        return collected.listing(base, self.table_order)

    def _lists(self, base: Path) -> dict[Split, list[Face]]:
        folder = base / _list(base)
        lists: dict[Split, list[Face]] = {}
        for name, split in SPLITS.items():
            if not (folder / name).exists():
                raise self.fail(f"there is no {name} in {folder}.")
            lists[split] = parse_list(read_lines(folder / name), str(folder / name))
        return lists


class _Collected:
    """Faces put beside the pictures that are there."""

    def __init__(self, tree: Tree, folder: str) -> None:
        self.tree, self.folder = tree, folder
        self._place = {path: place for place, path in enumerate(tree.files)}
        self._labelled: set[str] = set()
        self._rows: list[tuple[int, Split, Face, str]] = []
        self._missing: list[Skipped] = []
        self._left_out: Counter[str] = Counter()

    def add(self, face: Face, split: Split, label: str, excluded: str) -> None:
        """Note a face; `excluded` says why it is no part of the protocol."""
        path = f"{self.folder}/{face.path}"
        found = self.tree.find(path)
        if found is not None:
            self._labelled.add(found)
        if excluded:
            self._left_out[excluded] += 1
        elif found is None:
            self._missing.append(Skipped(path, "named by its list, not there"))
        elif face.box is None:
            self._missing.append(Skipped(path, "its list gives no box of the face"))
        else:
            self._rows.append((self._place[found], split, face, label))

    def listing(self, base: Path, classes: tuple[str, ...]) -> Listing:
        """Everything, in the order of the pictures."""
        self._rows.sort(key=lambda row: row[0])
        files = self.tree.files
        return Listing(
            base,
            tuple(self._entries()),
            classes,
            missing=tuple(self._missing),
            refused=self.tree.refused,
            unlabelled=tuple(path for path in files if path not in self._labelled),
            left_out=dict(self._left_out),
        )

    def _entries(self) -> Iterator[Entry]:
        """A picture may be listed more than once, for other faces in it."""
        before, times = -1, 1
        for place, split, face, label in self._rows:
            times = times + 1 if place == before else 1
            before = place
            name = face.path if times == 1 else f"{face.path}#{times}"
            yield Entry(name, label, split, PictureFile(self.tree.files[place], face.box))


def parse_list(text: str | Iterable[str], origin: str) -> list[Face]:
    """The faces of a list, with or without its header.

    Args:
        text: The file, or its lines with their ends.
        origin: Its name, for errors.

    Raises:
        UserError: Naming the line that is something else.
    """
    faces = []
    places: tuple[int, ...] = ()
    for number, fields in csv_rows(text, origin):
        if not places:
            places, is_header = _places(fields, origin, number)
            if is_header:
                continue
        faces.append(_face(fields, places, origin, number))
    if not faces:
        raise UserError(f"{origin}: the list is empty.")
    return faces


def _places(fields: list[str], origin: str, number: int) -> tuple[tuple[int, ...], bool]:
    """Where the columns are, and whether the first row says so."""
    names = [field.lower() for field in fields]
    if _COLUMNS[0] not in names:
        return _PLACES, False
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise wrong_line(origin, number, ",".join(fields), f"the columns {', '.join(missing)} too")
    return tuple(names.index(name) for name in _COLUMNS), True


def _face(fields: list[str], places: tuple[int, ...], origin: str, number: int) -> Face:
    if len(fields) <= max(places):
        expected = f"{max(places) + 1} fields or more, separated by commas"
        raise wrong_line(origin, number, ",".join(fields), expected)
    path, *corners, expression = (fields[place] for place in places)
    path = path.replace("\\", "/")
    if "\0" in path or not path or not inside(Path(), path):
        raise wrong_line(origin, number, path, "a path below the folder of pictures")
    box = None
    if any(corner.lower() not in _NO_BOX for corner in corners):
        expected = "a face box, as four whole numbers"
        # Tools that found empty boxes among them write whole numbers with a decimal.
        numbers = [whole_number(c.removesuffix(".0"), origin, number, expected) for c in corners]
        box = Box(*numbers)
    label = whole_number(expression, origin, number, "an expression from 0 to 10")
    return Face(path, label, box)


def _pictures(folder: Path) -> str:
    """The folder of pictures below a folder; empty if there is none."""
    found = next((name for name in PICTURES if (folder / name).is_dir()), "")
    inner = f"{found}/{Path(found).name}"
    return inner if found and (folder / inner).is_dir() else found


def _list(folder: Path) -> str:
    """The folder of the lists below a folder; empty if there is none."""
    return next((name for name in LISTS if (folder / name / "training.csv").exists()), "")
