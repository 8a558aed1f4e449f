"""What a reader is: a layout with choices of protocol, and the listing it makes of a folder.

A listing is cheap: label files are parsed and folders listed, no picture is opened. What only
opening can tell (size, content, damage) is found by `bench.data.on_disk.examine`.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import Field

from bench.data.base import Skipped, Split
from bench.data.reading.images import Box, read_picture
from bench.util.errors import UserError
from bench.util.section import Section, UserPath

#: The file that marks a tree of drawn faces, so that it is never taken for evidence about people.
DRAWN_MARK = "DRAWN_FACES.txt"

#: What splits are called in the names of folders, in lower case.
SPLITS: Mapping[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}

#: Samples per split and class; the key "" instead of classes is the total of a split.
Counts = Mapping[Split, Mapping[str, int]]


#: An option of layouts whose labels are numbers.
LabelBase = Annotated[
    Literal[0, 1] | None,
    Field(description="First number of the labels, where it cannot be told."),
]


class Source(Protocol):
    """Where one picture comes from; paths are relative to the listing's base.

    Its `repr` tells it from every other source of the data set.
    """

    @property
    def path(self) -> str:
        """The file whose size and time tell whether the picture may have changed."""

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


def _nothing(none: dict[str, Any] = {}) -> dict[str, Any]:  # noqa: B006
    """One empty mapping for all: 290,000 of them would fill 40 MB."""
    return none


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
    groups: Mapping[str, str] = field(default_factory=_nothing)
    attributes: Mapping[str, str | float | int | bool] = field(default_factory=_nothing)


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
    """

    title: ClassVar[str]
    terms: ClassVar[str | None] = None
    expects: ClassVar[str]
    clips: ClassVar[bool] = False

    kind: str
    root: UserPath
    follow_links: bool = Field(
        default=False, description="Use files behind links that leave the data folder."
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


def subject_folds(persons: Iterable[str], folds: int) -> dict[str, int]:
    """Deal persons into folds 1 to `folds`, by the hash of their names: the same for everyone.

    Returns:
        The fold of each person; sizes differ by one person at most.
    """
    ordered = sorted(set(persons), key=lambda name: hashlib.sha256(name.encode()).digest())
    return {person: place % folds + 1 for place, person in enumerate(ordered)}
