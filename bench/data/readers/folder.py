"""A folder of pictures of one's own: `train/<class>/*`, `test/<class>/*`; or `<class>/*` alone."""

from pathlib import Path
from typing import ClassVar, Literal

from bench.data.base import Skipped
from bench.data.readers.base import SPLITS, Entry, Layout, Listing, PictureFile
from bench.data.readers.cast import Cast, save
from bench.data.readers.own_split import held_out_pictures
from bench.data.reading.images import PICTURE_SUFFIXES
from bench.data.reading.tree import DEPTH, Tree, folders, scan
from bench.labels import BASIC, canonical, ordered

STRAY = "not in a folder of a class"


class Folder(Layout):
    """Classes are the names of the folders; usual names become the vocabulary's."""

    title: ClassVar[str] = "folder of pictures"
    expects: ClassVar[str] = (
        "DIR/train/<class>/* and DIR/test/<class>/*, optionally DIR/val/<class>/*; "
        "or DIR/<class>/* alone"
    )

    kind: Literal["folder"] = "folder"

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.root.resolve().name

    @property
    def protocol(self) -> str:
        """Whose split it is."""
        return "the folder's own split" if _has_splits(self._base()) else "split by file content"

    def listing(self) -> Listing:
        """See `Layout.listing`."""
        if not self.root.is_dir():
            raise self.fail("there is no such folder.")
        base = self._base()
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links)
        entries = _with_splits(tree) if _has_splits(base) else _without_splits(tree)
        if not entries:
            raise self.fail("no pictures where they should be.")
        classes = ordered({entry.label for entry in entries if entry.split == "train"})
        used = {entry.id for entry in entries}
        strays = [Skipped(path, STRAY) for path in tree.files if path not in used]
        return Listing(base, tuple(entries), classes, refused=(*tree.refused, *strays))

    def _base(self) -> Path:
        """The root, or what an archive left below it: a folder in a folder, with nothing beside."""
        base = self.root
        for _ in range(DEPTH):
            inner = [] if _has_splits(base) else folders(base)
            if len(inner) != 1 or not folders(inner[0]):
                break
            base = inner[0]
        return base


def _has_splits(root: Path) -> bool:
    return (root / "train").is_dir() or (root / "test").is_dir()


def _with_splits(tree: Tree) -> list[Entry]:
    entries = []
    for path in tree.files:
        parts = path.split("/")
        split = SPLITS.get(parts[0].lower())
        if len(parts) == 3 and split is not None:
            entries.append(Entry(path, canonical(parts[1]), split, PictureFile(path)))
    return entries


def _without_splits(tree: Tree) -> list[Entry]:
    found = [(path, path.split("/")[0]) for path in tree.files if path.count("/") == 1]
    test = held_out_pictures(tree.base, found)
    return [
        Entry(path, canonical(label), "test" if path in test else "train", PictureFile(path))
        for path, label in found
    ]


# ------------------------------------------------------------------------------------------------
# A folder of pictures of one's own.


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`train/<class>/000.png` and `test/<class>/000.png`, 64x64."""
    for split, count in (("train", 2 * per_class), ("test", per_class)):
        for label in BASIC:
            for number in range(count):
                path = root / split / label / f"{number:03d}.png"
                save(path, cast.picture(label, split, number))
