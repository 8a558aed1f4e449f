"""RAF-DB, basic and compound (Li, Deng & Du, CVPR 2017): aligned 100x100 or original pictures.

Both subsets have the same tree and the same label file name; file names repeat between them.
"""

import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench import faces
from bench.data.base import Skipped, Split
from bench.data.images import PICTURE_SUFFIXES
from bench.data.readers.base import (
    Counts,
    Entry,
    LabelBase,
    Layout,
    Listing,
    PictureFile,
    register,
    split_folders,
)
from bench.data.readers.cast import Cast, save
from bench.data.tables import lines, read_text, whole_number, wrong_line
from bench.data.tree import Tree, locate, scan, unnested
from bench.labels import COMPOUND, ORDERS, label_base, natural_key, ordered, split_of
from bench.util.errors import UserError

LABEL_FILES = (
    "list_patition_label.txt",
    "list_partition_label.txt",
)  # as shipped; as in its readme
PICTURES = ("aligned", "aligned_224", "original")
GROUPS: Mapping[str, tuple[str, ...]] = {
    "gender": ("male", "female", "unsure"),
    "race": ("Caucasian", "African-American", "Asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70+"),
}
"""Groups of `Annotation/manual`, in the order of their numbers."""

_NAME = re.compile(r"(train|test)_\d+\.[a-z]{3,4}", re.IGNORECASE | re.ASCII)
_TERMS = "non-commercial research and education, on request from an institutional address"
_IN_MIRROR = re.compile(r"([^/]+)/(\d{1,9})/[^/]+", re.ASCII)


class _Raf(Layout):
    """What both subsets share."""

    terms: ClassVar[str | None] = _TERMS
    order: ClassVar[tuple[str, ...]]  # class names by official id, from 1
    subset: ClassVar[str]

    pictures: Literal["aligned", "aligned_224", "original"] = Field(
        default="aligned",
        description="The owners' 100x100 faces, others' of 224x224, or the photographs.",
    )
    label_base: LabelBase = None

    @property
    def name(self) -> str:
        """Other pictures than the owners' aligned ones have another name."""
        return self.kind if self.pictures == "aligned" else f"{self.kind}_{self.pictures}"

    @property
    def protocol(self) -> str:
        """Which pictures, whose split."""
        again = " (aligned again by others)" if self.pictures == "aligned_224" else ""
        return f"{self.pictures} pictures{again}, official train and test"

    def published_size(self) -> tuple[int, int] | None:
        """100x100."""
        return (100, 100) if self.pictures == "aligned" else None

    @property
    @abstractmethod
    def other(self) -> str:
        """What to say if the labels are those of the other subset."""

    @override
    def listing(self) -> Listing:
        base = locate(self.root, self._fits, f"expected {self.expects}", prefer=self.subset)
        if not (base / "EmoLabel").is_dir():
            return self._mirror(base)
        label_file = next(p for n in LABEL_FILES if (p := base / "EmoLabel" / n).exists())
        ids = parse_labels(read_text(label_file), str(label_file))
        names = self._names(ids, str(label_file))
        folder = unnested(base, f"Image/{self.pictures}")
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links, folder)
        if not tree.files:
            raise self.fail(_no_pictures(base, tree, self.pictures))
        return self._entries(base, folder, tree, names)

    def _entries(self, base: Path, folder: str, tree: Tree, names: Mapping[str, str]) -> Listing:
        annotations = base / "Annotation" / "manual"
        entries, missing, used = [], [], set()
        for name, label in sorted(names.items(), key=lambda item: natural_key(item[0])):
            stem, _, suffix = name.rpartition(".")
            wanted = f"{folder}/{stem}_aligned.{suffix}"
            if self.pictures == "original":
                wanted = f"{folder}/{name}"
            found = tree.find(wanted)
            if found is None and self.pictures == "aligned_224":  # named either way
                found = tree.find(f"{folder}/{name}")
            if found is None:
                missing.append(Skipped(wanted, "named by the label file, not there"))
                continue
            used.add(found)
            split: Split = "train" if name.lower().startswith("train") else "test"
            source = PictureFile(found)
            groups = _groups(annotations / f"{stem}_manu_attri.txt")
            entries.append(Entry(name, label, split, source, groups=groups))
        return Listing(
            base,
            tuple(entries),
            ordered(set(self.order)),
            group_values=GROUPS if any(entry.groups for entry in entries) else {},
            missing=tuple(missing),
            refused=tree.refused,
            unlabelled=tuple(path for path in tree.files if path not in used),
        )

    def _names(self, ids: Mapping[str, int], origin: str) -> dict[str, str]:
        largest = max(ids.values())
        if largest > len(self.order) or (self.subset == "compound" and largest <= 7):
            raise UserError(f"{origin}: its labels go up to {largest}. {self.other}")
        first = label_base(ids.values(), len(self.order), origin, self.label_base)
        return {name: self.order[number - first] for name, number in ids.items()}

    def _mirror(self, base: Path) -> Listing:
        """`{train,valid,test}/{1..7}/`, as re-hosts have it; 0-based folders have two orders."""
        if self.pictures != "aligned":
            raise self.fail(f"a re-host with the aligned pictures; there is no {self.pictures}.")
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links)
        ids: dict[str, int] = {}
        splits: dict[str, Split] = {}
        for path in tree.files:
            found = _IN_MIRROR.fullmatch(path)
            split = split_of(found[1]) if found is not None else None
            if found is not None and split is not None:
                ids[path], splits[path] = int(found[2]), split
        if not ids:
            raise self.fail(f"no pictures in folders of classes in {base}.")
        if "test" not in splits.values():  # the official test set, called validation
            splits = {path: "test" if given == "val" else given for path, given in splits.items()}
        if 0 in ids.values():
            raise UserError(
                f"{base}: class folders from 0 are in RAF-DB's order in some copies and in "
                "AffectNet's in others. Rename them by class and use the layout `folder`."
            )
        names = self._names(ids, str(base))
        entries = tuple(Entry(path, names[path], splits[path], PictureFile(path)) for path in names)
        strays = tuple(path for path in tree.files if path not in names)
        classes = ordered(set(self.order))
        return Listing(base, entries, classes, refused=tree.refused, unlabelled=strays)

    def _fits(self, folder: Path) -> bool:
        official = any((folder / "EmoLabel" / name).exists() for name in LABEL_FILES)
        train = [name for name, split in split_folders(folder).items() if split == "train"]
        return official or any((folder / n / first).is_dir() for n in train for first in "01")


class RafDb(_Raf):
    """RAF-DB basic: seven expressions."""

    title: ClassVar[str] = "RAF-DB basic"
    expects: ClassVar[str] = (
        "DIR/EmoLabel/list_patition_label.txt and DIR/Image/aligned/*_aligned.jpg; "
        "or DIR/{train,test}/{1..7}/*"
    )
    order: ClassVar[tuple[str, ...]] = ORDERS["raf_db"]
    subset: ClassVar[str] = "basic"

    kind: Literal["raf_db"] = "raf_db"

    @property
    @override
    def other(self) -> str:
        return "RAF-DB basic has 1 to 7; for the compound subset take raf_db_compound."

    def published(self) -> Counts:
        """12,271 and 3,068 pictures."""
        train = (1290, 281, 717, 4772, 1982, 705, 2524)
        test = (329, 74, 160, 1185, 478, 162, 680)
        return {
            "train": dict(zip(self.order, train, strict=True)),
            "test": dict(zip(self.order, test, strict=True)),
        }


class RafDbCompound(_Raf):
    """RAF-DB compound: eleven expressions."""

    title: ClassVar[str] = "RAF-DB compound"
    expects: ClassVar[str] = (
        "DIR/EmoLabel/list_patition_label.txt and DIR/Image/aligned/*_aligned.jpg; "
        "or DIR/{train,test}/{1..11}/*"
    )
    order: ClassVar[tuple[str, ...]] = COMPOUND
    subset: ClassVar[str] = "compound"

    kind: Literal["raf_db_compound"] = "raf_db_compound"

    @property
    @override
    def other(self) -> str:
        return (
            "RAF-DB compound has 1 to 11; for the basic subset take raf_db "
            "(RAF-CE, with 14 classes, is another data set)."
        )

    def published(self) -> Counts:
        """3,162 and 792 pictures; how many of each class is not known here."""
        return {"train": {"": 3162}, "test": {"": 792}}


def parse_labels(text: str, origin: str) -> dict[str, int]:
    """The label of each file name, from lines such as `train_00001.jpg 5`.

    Raises:
        UserError: Naming the line that is something else, or a name that comes twice.
    """
    seen: dict[str, int] = {}
    expected = "a line such as 'train_00001.jpg 5'"
    for number, line in lines(text):
        fields = line.split()
        if len(fields) != 2 or not _NAME.fullmatch(fields[0]):
            raise wrong_line(origin, number, line, expected)
        label = whole_number(fields[1], origin, number, expected)
        if seen.setdefault(fields[0], label) != label:
            raise wrong_line(origin, number, line, f"label {seen[fields[0]]} as further up")
    if not seen:
        raise UserError(f"{origin}: the label file is empty.")
    return seen


def parse_attributes(text: str, origin: str) -> dict[str, str]:
    """Groups of one `*_manu_attri.txt`: five landmarks, then gender, race and age.

    Raises:
        UserError: Naming the line.
    """
    rows = list(lines(text))
    if len(rows) != 8:
        raise UserError(
            f"{origin}: expected 8 lines (5 landmarks, gender, race, age), found {len(rows)}. "
            "Correct the file, or move Annotation/manual away to go without groups."
        )
    groups = {}
    for (number, line), (name, values) in zip(rows[5:], GROUPS.items(), strict=True):
        expected = f"{name} from 0 to {len(values) - 1}"
        value = whole_number(line, origin, number, expected)
        if not 0 <= value < len(values):
            raise wrong_line(origin, number, line, expected)
        groups[name] = values[value]
    return groups


def _groups(path: Path) -> dict[str, str]:
    return parse_attributes(read_text(path), str(path)) if path.exists() else {}


def _no_pictures(base: Path, tree: Tree, pictures: str) -> str:
    archive = base / "Image" / f"{pictures}.zip"
    if archive.exists():
        return f"{archive} is still packed; unpack it there."
    others = [name for name in PICTURES if (base / "Image" / name).is_dir() and name != pictures]
    why = f" ({tree.refused[0].path}: {tree.refused[0].reason})" if tree.refused else ""
    hint = f" There is Image/{others[0]}: -o pictures={others[0]} takes it." if others else ""
    return f"no pictures in {base / 'Image' / pictures}{why}.{hint}"


# ------------------------------------------------------------------------------------------------
# RAF-DB's layout: aligned 100x100 pictures, originals, label file, manual attributes.


_AGES = (4, 20, 40, 70)  # where RAF-DB's age groups begin, years


def write_basic(root: Path, cast: Cast, per_class: int) -> None:
    """The basic subset, seven expressions."""
    _write(root / "basic", cast, per_class, ORDERS["raf_db"])


def write_compound(root: Path, cast: Cast, per_class: int) -> None:
    """The compound subset, eleven expressions."""
    _write(root / "compound", cast, per_class, COMPOUND)


def _write(base: Path, cast: Cast, per_class: int, order: tuple[str, ...]) -> None:
    lines = []
    for split, digits, count in (("train", 5, 2 * per_class), ("test", 4, per_class)):
        running = 0
        for number in range(count):
            for place, label in enumerate(order, 1):
                running += 1
                stem = f"{split}_{running:0{digits}d}"
                lines.append(f"{stem}.jpg {place}")
                aligned = cast.picture(label, split, number, (100, 100))
                save(base / "Image" / "aligned" / f"{stem}_aligned.jpg", aligned)
                original = cast.picture(label, split, number, (130, 120))
                save(base / "Image" / "original" / f"{stem}.jpg", original)
                attributes = _attributes(cast.face(label, split, number))
                path = base / "Annotation" / "manual" / f"{stem}_manu_attri.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(attributes)
    labels = base / "EmoLabel" / "list_patition_label.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("\n".join(lines))  # shipped without a final newline


def _attributes(face: faces.Face) -> str:
    """Five landmarks, then gender (unsure), race (skin tone stands in for it) and age group."""
    person = face.identity
    landmarks = ["40.0\t55.0", "80.0\t55.0", "60.0\t75.0", "45.0\t95.0", "75.0\t95.0"]
    race = 0 if person.skin_level < 0.5 else 1
    age = sum(person.age >= start for start in _AGES)
    return "\n".join([*landmarks, "2", str(race), str(age)]) + "\n"


register(RafDb, write_basic)
register(RafDbCompound, write_compound)
