"""ExpW, "expression in the wild" (Zhang et al., IJCV 2018): faces in photographs from the web."""

import math
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field
from typing_extensions import override

from bench.data.base import Skipped, Split
from bench.data.images import PICTURE_SUFFIXES, Box
from bench.data.readers.base import Entry, LabelBase, Layout, Listing, PictureFile, register
from bench.data.readers.cast import Cast, save
from bench.data.tables import lines, read_text, whole_number, wrong_line
from bench.data.tree import inside, locate, scan, unnested
from bench.labels import ORDERS, label_base, natural_key, ordered
from bench.util.errors import UserError

LABEL_FILE = "label/label.lst"
PICTURES = "image/origin"

TEST_SHARE = 0.2
VAL_SHARE = 0.12  # 15 % of the rest

_EXPECTED = "'PICTURE FACE_ID TOP LEFT RIGHT BOTTOM CONFIDENCE LABEL'"


class LabelledFace(NamedTuple):
    """A line of the label file."""

    picture: str
    number: int  # within the picture
    box: Box
    confidence: float  # of the face detector
    label: int


class ExpW(Layout):
    """ExpW, each labelled face cropped by its box."""

    title: ClassVar[str] = "ExpW"
    terms: ClassVar[str | None] = "non-commercial research only (CUHK)"
    expects: ClassVar[str] = f"DIR/{LABEL_FILE} and DIR/{PICTURES}/*.jpg"

    kind: Literal["expw"] = "expw"
    min_confidence: float = Field(
        default=0, ge=0, description="Leave out faces that the detector was less sure of."
    )
    label_base: LabelBase = None

    @property
    def name(self) -> str:
        """With the least confidence, if there is one."""
        return f"expw_from_{self.min_confidence:g}" if self.min_confidence else "expw"

    @property
    def protocol(self) -> str:
        """Which faces, whose split."""
        faces = f"faces of confidence {self.min_confidence:g} up, " if self.min_confidence else ""
        return f"{faces}no official split: 20 % of photographs for test, by hash of their names"

    def published_total(self) -> int | None:
        """91,793 faces."""
        return None if self.min_confidence else 91793

    @override
    def listing(self) -> Listing:
        base = locate(self.root, _fits, f"expected {self.expects}")
        label_file = base / LABEL_FILE
        faces = parse_labels(read_text(label_file), str(label_file))
        order = ORDERS["expw"]
        labels = (face.label for face in faces)
        first = label_base(labels, len(order), str(label_file), self.label_base)
        folder = unnested(base, PICTURES)
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links, folder)
        if not tree.files:
            raise self.fail(_no_pictures(base))
        kept = [face for face in faces if face.confidence >= self.min_confidence]
        names = {face.picture for face in faces}
        found = {name: tree.find(f"{folder}/{name}") for name in names}
        paths = {name: path for name, path in found.items() if path is not None}
        name_of = _unique_ids()
        entries = [
            Entry(
                name_of(face),
                order[face.label - first],
                split_of(face.picture),
                PictureFile(paths[face.picture], face.box),
            )
            for face in sorted(kept, key=lambda face: (natural_key(face.picture), face.number))
            if face.picture in paths
        ]
        used = set(paths.values())
        few = len(faces) - len(kept)
        return Listing(
            base,
            tuple(entries),
            ordered(set(order)),
            missing=tuple(
                Skipped(f"{folder}/{name}", "named by the label file, not there")
                for name in sorted(names - set(paths), key=natural_key)
            ),
            refused=tree.refused,
            unlabelled=tuple(path for path in tree.files if path not in used),
            left_out={f"confidence below {self.min_confidence:g}": few} if few else {},
        )


def split_of(picture: str) -> Split:
    """The split of all faces of a photograph: a function of its name alone."""
    share = int.from_bytes(sha256(picture.encode()).digest()[:8]) / 2**64
    if share < TEST_SHARE:
        return "test"
    return "val" if share < TEST_SHARE + VAL_SHARE else "train"


def parse_labels(text: str, origin: str) -> list[LabelledFace]:
    """The faces of label.lst; top comes before left, but right before bottom.

    Raises:
        UserError: Naming the line that is something else, or a path that leaves the folder.
    """
    faces = []
    for number, line in lines(text):
        fields = line.rsplit(maxsplit=7)
        if len(fields) != 8 or not inside(fields[0]):
            raise wrong_line(origin, number, line, _EXPECTED)
        face, top, left, right, bottom, label = (
            whole_number(fields[place], origin, number, _EXPECTED) for place in (1, 2, 3, 4, 5, 7)
        )
        box = Box(left, top, right - left, bottom - top)
        confidence = _confidence(fields[6])
        if math.isnan(confidence):
            raise wrong_line(origin, number, fields[6], "a confidence")
        faces.append(LabelledFace(fields[0], face, box, confidence, label))
    if not faces:
        raise UserError(f"{origin}: the label file is empty.")
    return faces


def _confidence(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _unique_ids() -> Callable[[LabelledFace], str]:
    """Ids `<picture>#<face>`; should a face number come twice, the second one has "-2" behind."""
    seen: dict[str, int] = {}

    def name(face: LabelledFace) -> str:
        plain = f"{face.picture}#{face.number}"
        seen[plain] = seen.get(plain, 0) + 1
        return plain if seen[plain] == 1 else f"{plain}-{seen[plain]}"

    return name


def _fits(folder: Path) -> bool:
    return (folder / LABEL_FILE).is_file()


def _no_pictures(base: Path) -> str:
    packed = sorted((base / "image").glob("origin.7z*"))
    if packed:
        return f"{packed[0]} is still packed; unpack it there."
    return f"no pictures in {base / PICTURES}."


# ------------------------------------------------------------------------------------------------
# ExpW's layout: photographs with one or two faces, boxes, no split.


_FACE = 80  # pixels, height and width
_TOP, _LEFT = 30, 20  # of the first face
_STEP = 100  # from a face to the next
_ORDER = ORDERS["expw"]


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`image/origin/*.jpg` and `label/label.lst`; the first photographs of a split have two faces.

    ExpW has no split of its own. Names are chosen so that those of the bench have faces of every
    class.
    """
    lines = []
    splits: tuple[tuple[Split, int], ...] = (("train", 2), ("val", 1), ("test", 1))
    for split, share in splits:
        for number in range(share * per_class):
            step = 2 if number == 0 else 1
            for place in range(0, len(_ORDER), step):
                labels = _ORDER[place : place + step]
                name = _name(labels[0], split, number)
                faces = [cast.picture(label, split, number, (_FACE, _FACE)) for label in labels]
                save(root / "image" / "origin" / name, _photograph(faces))
                lines += [_line(name, face, label) for face, label in enumerate(labels)]
    path = root / "label" / "label.lst"
    path.parent.mkdir()
    path.write_text("".join(lines))


def _name(label: str, split: Split, number: int) -> str:
    """Names are a search on the web and the number of its result."""
    names = (f"{label}_actor_{result}.jpg" for result in count(1))
    fitting = (name for name in names if split_of(name) == split)
    return next(name for rank, name in enumerate(fitting) if rank == number)


def _photograph(faces: list[np.ndarray]) -> np.ndarray:
    photograph = np.full((_FACE + 2 * _TOP, _STEP * len(faces) + _LEFT, 3), 90, np.uint8)
    for place, face in enumerate(faces):
        left = _LEFT + place * _STEP
        photograph[_TOP : _TOP + _FACE, left : left + _FACE] = face
    return photograph


def _line(name: str, face: int, label: str) -> str:
    """Picture, face, then top, left, right, bottom, then confidence and label."""
    left = _LEFT + face * _STEP
    box = f"{_TOP} {left} {left + _FACE} {_TOP + _FACE}"
    return f"{name} {face} {box} {40 + 5.5 * face:g} {_ORDER.index(label)}\n"


register(ExpW, write)
