"""What both releases of AffectNet share: classes, counts, and what is no AffectNet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from bench.data.base import Skipped
from bench.data.labels import CONTEMPT, ORDERS, canonical, label_base, ordered
from bench.data.layouts.base import LabelBase, Layout
from bench.data.reading.tree import folders, locate
from bench.errors import UserError

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
        """See `locate`; the other release, and other data, are refused as such.

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
