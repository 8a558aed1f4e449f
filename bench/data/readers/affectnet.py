"""AffectNet (Mollahosseini, Hasani & Mahoor, 2017), as first given out and as "8 labels"."""

import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha224
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field
from typing_extensions import override

from bench.data.base import Skipped, Split
from bench.data.images import PICTURE_SUFFIXES, Box
from bench.data.readers.base import Counts, Entry, LabelBase, Layout, Listing, PictureFile, register
from bench.data.readers.cast import Cast, save
from bench.data.tables import csv_rows, read_lines, whole_number, wrong_line
from bench.data.tree import Tree, folders, inside, locate, scan
from bench.labels import CONTEMPT, ORDERS, canonical, label_base, natural_key, ordered
from bench.util.errors import UserError

ORDER = ORDERS["affectnet"]

#: Pictures of each class to train on, by id: 287,651.
TRAIN = dict(zip(ORDER, (74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750), strict=True))

_OTHER_DATA = (
    "Class folders, label lists beside them and YOLO's folders are how copies of other pictures "
    "are spread under AffectNet's name (96x96, labelled by a model); they are other data. If you "
    "mean them, take the layout folder or manifest."
)
_YOLO = "YOLO_format"
_MARKS = {"train_set": "affectnet_8labels", "Manually_Annotated_Images": "affectnet"}


class AffectNetLayout(Layout):
    """Choices and names of both releases."""

    terms: ClassVar[str | None] = (
        "research only, licence signed by the head of the laboratory; students through theirs"
    )

    classes: Literal[7, 8] = Field(
        default=8, description="All classes, or without contempt (whose pictures are left out)."
    )
    label_base: LabelBase = None

    @property
    def name(self) -> str:
        """With the number of classes."""
        return f"{self.kind}_{self.classes}"

    @property
    def kept(self) -> tuple[str, ...]:
        """The classes of the protocol, in AffectNet's order."""
        return ORDER[: self.classes]

    @property
    def table_order(self) -> tuple[str, ...]:
        """The classes of the protocol, in the order of our tables."""
        return ordered(set(self.kept))

    def label_names(
        self, ids: Iterable[int], order: tuple[str, ...], origin: str
    ) -> Mapping[int, str]:
        """Name of each id, whether the copy counts from 0, as the owners do, or from 1.

        Raises:
            UserError: If that cannot be told, or an id is out of range.
        """
        return dict(enumerate(order, label_base(ids, len(order), origin, self.label_base)))

    def excluded(self, label: str) -> str:
        """Why a label is no part of the protocol; empty if it is."""
        if label in self.kept:
            return ""
        return f"{CONTEMPT}, no part of the 7 classes" if label == CONTEMPT else f"labelled {label}"

    def nothing(self, folder: Path, refused: Sequence[Skipped]) -> UserError:
        """The error about a folder without a labelled picture."""
        why = f" ({refused[0].path}: {refused[0].reason})" if refused else ""
        return self.fail(f"no labelled pictures in {folder}{why}.")

    def find_base(self, fits: Callable[[Path], bool]) -> Path:
        """The folder of a release that `fits`; other releases and data are refused as such.

        Raises:
            UserError: If the layout is not found.
        """
        try:
            return locate(self.root, fits, f"expected {self.expects}")
        except UserError as error:
            near = _near(self.root)
            for mark, kind in _MARKS.items():
                if kind != self.kind and any((folder / mark).is_dir() for folder in near):
                    raise self.fail(f"this is another release; take the layout {kind}.") from error
            if any(_has_class_folders(folder) or folder.name == _YOLO for folder in near):
                raise self.fail(f"this is no release of AffectNet. {_OTHER_DATA}") from error
            raise


def _near(root: Path) -> list[Path]:
    """A folder, those in it, and those in these."""
    children = folders(root)
    return [root, *children, *(inner for folder in children for inner in folders(folder))]


def _has_class_folders(folder: Path) -> bool:
    return len({canonical(path.name) for path in folders(folder)} & set(ORDER)) > 4


# ------------------------------------------------------------------------------------------------
# As first given out: photographs and lists.
#
# Pictures are photographs of people; a sample is the face in the box of its list. The lists are too
# large to be held whole: each face has 68 landmarks.


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


class ListedFace(NamedTuple):
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

    @override
    def listing(self) -> Listing:
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

    def _lists(self, base: Path) -> dict[Split, list[ListedFace]]:
        folder = base / _list(base)
        lists: dict[Split, list[ListedFace]] = {}
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
        self._rows: list[tuple[int, Split, ListedFace, str]] = []
        self._missing: list[Skipped] = []
        self._left_out: Counter[str] = Counter()

    def add(self, face: ListedFace, split: Split, label: str, excluded: str) -> None:
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


def parse_list(text: str | Iterable[str], origin: str) -> list[ListedFace]:
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


def _face(fields: list[str], places: tuple[int, ...], origin: str, number: int) -> ListedFace:
    if len(fields) <= max(places):
        expected = f"{max(places) + 1} fields or more, separated by commas"
        raise wrong_line(origin, number, ",".join(fields), expected)
    path, *corners, expression = (fields[place] for place in places)
    path = path.replace("\\", "/")
    if "\0" in path or not path or not inside(path):
        raise wrong_line(origin, number, path, "a path below the folder of pictures")
    box = None
    if any(corner.lower() not in _NO_BOX for corner in corners):
        expected = "a face box, as four whole numbers"
        # Tools that found empty boxes among them write whole numbers with a decimal.
        numbers = [whole_number(c.removesuffix(".0"), origin, number, expected) for c in corners]
        box = Box(*numbers)
    label = whole_number(expression, origin, number, "an expression from 0 to 10")
    return ListedFace(path, label, box)


def _pictures(folder: Path) -> str:
    """The folder of pictures below a folder; empty if there is none."""
    found = next((name for name in PICTURES if (folder / name).is_dir()), "")
    inner = f"{found}/{Path(found).name}"
    return inner if found and (folder / inner).is_dir() else found


def _list(folder: Path) -> str:
    """The folder of the lists below a folder; empty if there is none."""
    return next((name for name in LISTS if (folder / name / "training.csv").exists()), "")


# ------------------------------------------------------------------------------------------------
# As given out later, "8 labels": faces of 224x224, four npy files beside each.
#
# The numbers of its pictures have gaps and lead back to no file name of the first release.


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

    @override
    def listing(self) -> Listing:
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


# ------------------------------------------------------------------------------------------------
# AffectNet's layouts: photographs with lists of faces; later, faces with npy files.


_AFFECTNET_COLUMNS = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,"
    "facial_landmarks,expression,valence,arousal"
)
_ORDER = ORDERS["affectnet"]
_JUNK = ("none", "uncertain", "no face")  # 8 to 10
_SUFFIXES = ("jpg", "JPG", "jpeg", "png", "PNG", "bmp", "tif")
_SIDE = 100  # of a face in its photograph, pixels


def write(root: Path, cast: Cast, per_class: int) -> None:
    """The first release: photographs in numbered folders; the list of validation has no header."""
    lists = root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    pictures = root / "Manually_Annotated_Images"
    for name, split, count in (
        ("training.csv", "train", 2 * per_class),
        ("validation.csv", "test", per_class),
    ):
        rows = [_AFFECTNET_COLUMNS] if split == "train" else []
        for number in range(count):
            for expression, label in enumerate((*_ORDER, *_JUNK)):
                shown = "neutral" if label in _JUNK else label
                face = cast.picture(shown, split, number, (_SIDE, _SIDE))
                left, top = 20 + 9 * number % 60, 15 + 7 * expression % 40
                digest = sha224(f"{split} {number} {label}".encode()).hexdigest()
                suffix = _SUFFIXES[(number + expression) % len(_SUFFIXES)]
                path = f"{number % 12 + 1}/{digest}.{suffix}"
                save(pictures / path, _photograph(face, left, top))
                rows.append(_row(path, left, top, expression))
        (lists / name).write_text("\n".join(rows) + "\n")


def write_8labels(root: Path, cast: Cast, per_class: int) -> None:
    """The later release: 224x224 faces, numbered with gaps, four npy files each."""
    for folder, split, count in (
        ("train_set", "train", 2 * per_class),
        ("val_set", "test", per_class),
    ):
        annotations = root / folder / "annotations"
        annotations.mkdir(parents=True)
        for number in range(count):
            for expression, label in enumerate(_ORDER):
                name = 3 * (number * len(_ORDER) + expression) + number % 2
                face = cast.picture(label, split, number, (224, 224))
                save(root / folder / "images" / f"{name}.jpg", face)
                _annotate(annotations, name, expression)


def _annotate(folder: Path, name: int, expression: int) -> None:
    """Expression, valence and arousal as text in arrays without dimensions; 68 landmarks."""
    valence, arousal = _affect(expression)
    np.save(folder / f"{name}_exp.npy", np.array(str(expression)))
    np.save(folder / f"{name}_val.npy", np.array(str(valence)))
    np.save(folder / f"{name}_aro.npy", np.array(str(arousal)))
    np.save(folder / f"{name}_lnd.npy", np.linspace(40, 180, 136))


def _row(path: str, left: int, top: int, expression: int) -> str:
    points = ";".join(f"{left + _SIDE * place / 136:.2f}" for place in range(136))
    valence, arousal = _affect(expression)
    box = f"{left},{top},{_SIDE},{_SIDE}"
    return f"{path},{box},{points},{expression},{valence},{arousal}"


def _affect(expression: int) -> tuple[float, float]:
    """Valence and arousal; -2 where there is no expression."""
    return (-2, -2) if expression >= len(_ORDER) else (expression / 8 - 0.5, expression / 16)


def _photograph(face: np.ndarray, left: int, top: int) -> np.ndarray:
    """A face on a wall, as large as the face needs and some more."""
    photograph = np.full((_SIDE + 60, _SIDE + 90, 3), (150, 140, 125), np.uint8)
    photograph[top : top + _SIDE, left : left + _SIDE] = face
    return photograph


register(AffectNet, write)
register(AffectNet8Labels, write_8labels)
