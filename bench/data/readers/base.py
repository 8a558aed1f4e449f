"""What a reader is: a layout with choices of protocol, and the listing it makes of a folder.

A listing is cheap: label files are parsed and folders listed, no picture is opened. What only
opening can tell (size, content, damage) is found by `bench.data.on_disk.examine`.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from bench.data.base import Skipped, Split
from bench.data.images import Box, read_picture
from bench.data.tree import Tree, folders, parts_of, stamp
from bench.labels import canonical, class_names, composed, label_base, near_miss, ordered, split_of
from bench.util.errors import UserError, did_you_mean
from bench.util.section import Section, UserPath

if TYPE_CHECKING:
    from bench.data.readers.cast import Cast

#: The file that marks a tree of drawn faces, so that it is never taken for evidence about people.
DRAWN_MARK = "DRAWN_FACES.txt"

#: Samples per split and class; the key "" instead of classes is the total of a split.
Counts = Mapping[Split, Mapping[str, int]]


#: An option of layouts whose labels are numbers.
LabelBase = Annotated[
    Literal[0, 1] | None,
    Field(description="First number of the labels, where it cannot be told."),
]


class Source(Protocol):
    """Where one picture comes from; paths are relative to the listing's base.

    Its `repr` tells it from every other source of the data set. One of several files names all of
    them in an attribute `files`.
    """

    @property
    def path(self) -> str:
        """The file whose size and times tell whether the picture may have changed."""

    def content(self, base: Path) -> bytes:
        """The bytes that determine the picture; their hash is its identity.

        Raises:
            OSError: If they cannot be read.
        """

    def decode(self, base: Path, content: bytes) -> np.ndarray:
        """The picture, uint8 RGB (H, W, 3), of the bytes that `content` has just returned.

        Raises:
            UnreadablePicture: With the reason.
        """


def stamp_of(base: Path, source: Source) -> tuple[int, int, int, int]:
    """What changes when one of a source's files is replaced; see `stamp`."""
    return stamp(str(base), *getattr(source, "files", (source.path,)))


class PictureFile(NamedTuple):
    """A picture file, or a face in it."""

    path: str
    box: Box | None = None

    def content(self, base: Path) -> bytes:
        """The file, and the box."""
        return (base / self.path).read_bytes() + self._box

    def decode(self, base: Path, content: bytes) -> np.ndarray:
        """Decode the file, upright, and crop it."""
        return read_picture(content.removesuffix(self._box), self.box)

    @property
    def _box(self) -> bytes:
        return b"" if self.box is None else repr(self.box).encode()


#: One empty mapping for all entries: 290,000 of them would fill 40 MB.
_NOTHING: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One listed sample.

    Attributes:
        id: Unique in the data set, stable: usually the path relative to the base.
        label: Class name in the vocabulary's words.
        split: Where it belongs; "train" if validation samples are to be taken from there.
        source: Where its picture comes from.
        person: Who is shown, where it is known: persons are never divided between splits.
        groups: Values of group attributes that apply.
        attributes: What else is known of it, as table columns; see `DataSet.attributes`.
    """

    id: str
    label: str
    split: Split
    source: Source
    person: str = ""
    groups: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    attributes: Mapping[str, str | float | int | bool] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True)
class Listing:
    """What a layout found in a folder.

    Attributes:
        base: The data set's own folder, at or below the root.
        entries: The samples, in natural order.
        classes: Class names in table order.
        group_values: Values of each group attribute, in table order.
        missing: Samples of a label file without a picture, but those whose file was refused.
        refused: Files not used, and why.
        unlabelled: Pictures without a label.
        left_out: Why labelled samples are no part of the protocol, and how many.
        label_files: Those read, where the base is a folder of pictures and they are beside it.
        claimed: Split and class that a folder or table names, with one of its files and why it has
            no picture: more than what is in `entries`, if that is all that is there of the class.
        notes: What else a person should know of how the folder was read, in sentences.
    """

    base: Path
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    group_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[Skipped, ...] = ()
    refused: tuple[Skipped, ...] = ()
    unlabelled: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    label_files: tuple[Path, ...] = ()
    claimed: Mapping[tuple[Split, str], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A refused file is there: it is told once."""
        refused = {file.path for file in self.refused}
        missing = tuple(file for file in self.missing if file.path not in refused)
        object.__setattr__(self, "missing", missing)

    def drawn(self, root: Path) -> bool:
        """Whether the tree, or one up to `root` that it stands in, is marked as drawn faces.

        Args:
            root: Where the user points; a folder, or a file next to the tree.
        """
        folders = [self.base, *self.base.parents]
        reach = max(len(self.base.parts) - len(root.parts), 0)
        return any((folder / DRAWN_MARK).exists() for folder in folders[: reach + 1])


class Layout(Section, ABC):
    """A data set on disk as its owners ship it. Fields are the user's choices of protocol.

    Attributes:
        title: What the data set is called by its owners.
        terms: Who may use it, if an agreement is needed; None if none is.
        expects: The layout in words, for errors and `bench data list`.
        clips: Whether samples are clips.
        generated: Whether its pictures are generated, and so no evidence about real faces.
        test_alone: Whether it may have test pictures alone, for classifiers that are trained.
    """

    title: ClassVar[str]
    terms: ClassVar[str | None] = None
    expects: ClassVar[str]
    clips: ClassVar[bool] = False
    generated: ClassVar[bool] = False
    test_alone: ClassVar[bool] = False

    kind: str
    root: UserPath
    follow_links: bool = Field(
        default=False, description="Use files behind links that leave the data folder."
    )
    lost_classes: Literal["refuse", "drop"] = Field(
        default="refuse", description="What becomes of labelled classes without a usable picture."
    )

    @property
    def name(self) -> str:
        """How tables call it; another protocol has another name."""
        return self.kind

    @property
    @abstractmethod
    def protocol(self) -> str:
        """Pictures, split and classes of this protocol in a few words, for captions."""

    @abstractmethod
    def listing(self) -> Listing:
        """List the samples, without opening pictures.

        Raises:
            UserError: If the folder or a label file is not what it should be.
        """

    def published(self) -> Counts:
        """Samples per class and split as published, as far as known.

        Where only the total of a split is known, it stands under the key "" in place of classes.
        """
        return {}

    def published_total(self) -> int | None:
        """Samples in all as published, where no split is the owners'."""
        return None

    def published_size(self) -> tuple[int, int] | None:
        """Height and width of every picture as published, if they are all of one size."""
        return None

    def fail(self, sentence: str) -> UserError:
        """An error about the folder as a whole."""
        return UserError(f"{self.kind}, root {self.root}: {sentence} Expected: {self.expects}.")


#: Every layout, by kind, and what writes a drawn look-alike: (folder, cast, test pictures of each
#: class).
LAYOUTS: dict[str, type[Layout]] = {}
WRITERS: dict[str, Callable[[Path, "Cast", int], None]] = {}


def register(layout: type[Layout], write: Callable[[Path, "Cast", int], None]) -> None:
    """Make a layout known by the default of its field `kind`, and its writer."""
    kind = layout.model_fields["kind"].default
    LAYOUTS[kind], WRITERS[kind] = layout, write


_NUMBER = re.compile(r"-?\d+(\.\d*)?")


class OwnLayout(Layout):
    """A layout of one's own data: what its labels mean is the user's to say."""

    test_alone: ClassVar[bool] = True

    class_names: dict[str, str] = Field(
        default={}, description="What labels mean, such as {colère: anger, 中性: neutral}."
    )
    class_order: str | tuple[str, ...] | None = Field(
        default=None,
        description="What numeric labels mean: a known order such as fer2013, or a list of names.",
    )
    label_base: LabelBase = None

    @field_validator("class_names", mode="before")
    @classmethod
    def _numbers_are_text(cls, names: object) -> object:
        return {str(key): name for key, name in names.items()} if isinstance(names, dict) else names

    @staticmethod
    def classes_of(entries: Sequence[Entry]) -> tuple[str, ...]:
        """The classes of train; of a data set without, those of test."""
        trained = {entry.label for entry in entries if entry.split == "train"}
        return ordered(trained or {entry.label for entry in entries})

    def meanings(self, labels: Mapping[str, str], origin: str) -> dict[str, str]:
        """The class of each label.

        Args:
            labels: Labels as they are written, each with the place where it is, for errors.
            origin: The file or folder with all of them.

        Raises:
            UserError: For a number without `class_order`, a name that is nearly a known one, or an
                entry of `class_names` that is no label.
        """
        given = {composed(name).strip(): canonical(to) for name, to in self.class_names.items()}
        plain = {label: composed(label).strip() for label in labels}
        for name in given:
            if name not in plain.values():
                hint = did_you_mean(name, plain.values()) or f"Found: {', '.join(sorted(plain))}."
                raise UserError(f"{origin}: class_names has {name!r}, which is no label. {hint}")
        known = {label: given[name] for label, name in plain.items() if name in given}
        others = [label for label in labels if label not in known]
        if self.class_order is not None:
            return known | self._ordered(others, labels, origin)
        for label in others:
            if _NUMBER.fullmatch(label):
                raise UserError(
                    f"{labels[label]}: the label {label} is a number, which means another class in "
                    "every data set. Say what the numbers mean with the option class_order: a "
                    "known order such as fer2013, or a list of names."
                )
            if hint := near_miss(label):
                raise UserError(
                    f"{labels[label]}: there is no class called {label!r}. {hint} Rename it, or "
                    f"say what it means with the option class_names: {{{label}: ...}}."
                )
        return known | {label: canonical(label) for label in others}

    def _ordered(
        self, numbers: Sequence[str], places: Mapping[str, str], origin: str
    ) -> dict[str, str]:
        names, ids = class_names(self.class_order or ()), {}
        for label in numbers:
            # Tables with gaps in a column of integers often come with "3.0".
            digits = label.removesuffix(".0")
            if not re.fullmatch(r"-?[0-9]{1,9}", digits):
                raise UserError(
                    f"{places[label]}: expected a numeric label, as class_order says, "
                    f"found {label!r}."
                )
            ids[label] = int(digits)
        first = label_base(ids.values(), len(names), origin, self.label_base) if ids else 0
        return {label: names[number - first] for label, number in ids.items()}


def split_folders(folder: Path) -> dict[str, Split]:
    """The splits that folders in a folder stand for, by name.

    Files with backslashes in their names count: they were to be in folders, see `Tree.find`.
    """
    try:
        seen = [path for path in folder.iterdir() if not path.name.startswith(".")]
        found = [path for path in seen if path.is_dir() or "\\" in path.name]
    except OSError:
        return {}
    names = {
        next(filter(split_of, parts), parts[0]) for path in found if (parts := parts_of(path.name))
    }
    return {name: split for name in sorted(names) if (split := split_of(name)) is not None}


def merged(labels: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    """Sentences about labels of one split that become one class.

    Args:
        labels: Split, label as it is written, and class, in any number.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    for split, label, name in labels:
        found.setdefault((split, name), {})[label] = None
    told = {(name, tuple(sorted(given))) for (_, name), given in found.items() if len(given) > 1}
    return tuple(
        f"the labels {' and '.join(map(repr, given))} are merged into the class {name}"
        for name, given in sorted(told)
    )


def subject_folds(persons: Iterable[str], folds: int) -> dict[str, int]:
    """Deal persons into folds 1 to `folds`, by the hash of their names: the same for everyone.

    Returns:
        The fold of each person; sizes differ by one person at most.
    """
    ordered = sorted(set(persons), key=lambda name: hashlib.sha256(name.encode()).digest())
    return {person: place % folds + 1 for place, person in enumerate(ordered)}


# ------------------------------------------------------------------------------------------------
# Where the owners give no test split, 20 % are test, the same for everybody who has these files.


TEST_SHARE = 0.2


def held_out_pictures(base: Path, pictures: Iterable[tuple[str, str]]) -> set[str]:
    """The share of each class with the smallest hashes of the files' bytes, and one at least.

    Copies of a picture, and faces of one photograph, have one hash, so they fall on the same side.

    Args:
        base: What the paths are relative to.
        pictures: Path and label of each; a path may come several times.

    Returns:
        Paths of the test split.
    """
    hashes: dict[str, bytes] = {}
    members: dict[str, list[bytes]] = {}
    for path, label in pictures:
        if path not in hashes:
            hashes[path] = hashlib.sha256((base / path).read_bytes()).digest()
        members.setdefault(label, []).append(hashes[path])
    chosen: set[bytes] = set()
    for found in members.values():
        chosen.update(sorted(found)[: max(1, round(TEST_SHARE * len(found)))])
    return {path for path, found in hashes.items() if found in chosen}


def held_out_persons(persons: Iterable[str]) -> set[str]:
    """The persons of the test split."""
    return {
        name for name, fold in subject_folds(persons, round(1 / TEST_SHARE)).items() if fold == 1
    }


# ------------------------------------------------------------------------------------------------
# Posed data sets: few persons with many pictures each, so they are split by person into folds
# ------------------------------------------------------------------------------------------------


class BySubject(Layout):
    """What they share: one fold of persons is test, the others train.

    Validation pictures are those of some persons of train, see `bench.data.on_disk.dataset`.
    """

    folds: int = Field(default=10, ge=2, description="Folds that the persons are dealt into.")
    fold: int = Field(default=1, ge=1, description="The fold to test on, from 1.")

    @field_validator("fold")
    @classmethod
    def _is_one_of_them(cls, fold: int, info: ValidationInfo) -> int:
        folds = info.data.get("folds", fold)
        if fold > folds:
            raise ValueError(f"there are {folds} folds")
        return fold

    @property
    def fold_name(self) -> str:
        """For the data set's name: "fold1", "fold1_of_5" where there are not ten."""
        return f"fold{self.fold}" + ("" if self.folds == 10 else f"_of_{self.folds}")

    @property
    def fold_words(self) -> str:
        """For captions."""
        return f"persons of fold {self.fold} of {self.folds} are test, persons of train val"

    def split_of(self, persons: Iterable[str]) -> dict[str, Split]:
        """The split of each person.

        Raises:
            UserError: If there are fewer persons than folds.
        """
        dealt = subject_folds(persons, self.folds)
        if len(dealt) < self.folds:
            raise self.fail(f"{len(dealt)} persons cannot be dealt into {self.folds} folds.")
        return {name: "test" if fold == self.fold else "train" for name, fold in dealt.items()}


@dataclass(frozen=True)
class Coded:
    """Pictures whose file names say what they show.

    Attributes:
        pictures: Path and parts of the name, by the name's stem in capitals, in natural order.
        copies: Further files of a stem, which are not used.
        strange: Pictures named otherwise.
    """

    pictures: Mapping[str, tuple[str, re.Match[str]]]
    copies: tuple[Skipped, ...]
    strange: tuple[str, ...]


def coded(tree: Tree, code: re.Pattern[str], original: str) -> Coded:
    """Sort the files of a tree by what their names say.

    Copies of a data set often hold pictures twice, saved in another format, or in folders by
    person and by expression. The file with the suffix of the original, in lower case, comes first.
    """
    found: dict[str, list[tuple[bool, str, re.Match[str]]]] = {}
    strange = []
    for path in tree.files:
        name = PurePosixPath(path)
        match = code.fullmatch(name.stem)
        if match is None:
            strange.append(path)
            continue
        rank = name.suffix.lower() != original
        found.setdefault(name.stem.upper(), []).append((rank, path, match))
    pictures, copies = {}, []
    for stem, several in found.items():
        (_, kept, match), *others = sorted(several, key=lambda one: one[0])
        pictures[stem] = kept, match
        copies += [Skipped(path, f"a copy of {kept}") for _, path, _ in others]
    return Coded(pictures, tuple(copies), tuple(strange))


def holds(folder: Path, code: re.Pattern[str]) -> bool:
    """Whether a folder, or two folders in it at the least, have a file named by the code."""
    return _has(folder, code) or sum(_has(child, code) for child in folders(folder)) > 1


def _has(folder: Path, code: re.Pattern[str]) -> bool:
    try:
        return any(code.fullmatch(path.stem) for path in folder.iterdir())
    except OSError:
        return False
