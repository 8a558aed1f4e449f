"""Folders as they come: found below where one points, in natural order, links checked."""

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Literal, NamedTuple

from bench.data.base import Skipped
from bench.labels import composed, natural_key
from bench.util.errors import UserError

#: How far below the named folder a data set is looked for: archives nest theirs once or twice.
DEPTH = 3

#: What systems and archives leave behind, in lower case.
_LITTER = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin")

#: Suffixes for `scan` to list every file.
EVERY = ("",)

LEAVES_ROOT = "a link that leaves the data folder (follow_links: true allows it)"


@dataclass(frozen=True)
class Tree:
    """The files below a folder.

    Attributes:
        base: The folder.
        files: Paths relative to it, "/" between the parts, in natural order.
        refused: Links that leave it.
    """

    base: Path
    files: tuple[str, ...]
    refused: tuple[Skipped, ...]

    def find(self, path: str) -> str | None:
        """The file that a label file means by `path`.

        Case does not matter, nor which Unicode form the name has on disk ("colère" has two), nor
        whether the files were unpacked with backslashes in their names, as on Linux from archives
        that were made on Windows.
        """
        if path in self._known:
            return path
        return self._alike.get(_plain(path))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def _alike(self) -> dict[str, str]:
        """Only needed where a name is not found as it is written."""
        return {_plain(path): path for path in reversed(self.files)}


def scan(
    base: Path, suffixes: Collection[str], follow_links: bool = False, folder: str = ""
) -> Tree:
    """List the files below `base` whose suffix, in lower case, is one of `suffixes`.

    Hidden files are left out. A link to a place outside of `base` is refused, unless
    `follow_links`. One to a folder is followed unless the folder is above it, or above or in
    another linked one: whatever links lead to each other, this comes to an end.

    Args:
        base: Paths are relative to it, and links may not leave it.
        suffixes: Of the files to list, with their dot.
        follow_links: Use what is behind links that leave `base`.
        folder: List only this folder, relative to `base`.
    """
    walk, endings, files = _Walk(base, follow_links), tuple(suffixes), []

    def enter(found: _Found) -> None:
        # Folder by folder: the keys of 400,000 names at once would take a gigabyte.
        for child in sorted(walk.children(found), key=lambda child: natural_key(child.path)):
            if child.is_folder:
                enter(child)
            elif child.path.lower().endswith(endings):
                files.append(child.path)

    top = walk.top(folder)
    if top is not None:
        enter(top)
    return Tree(base, tuple(files), tuple(walk.refused))


def scan_level(
    base: Path, depth: int, suffixes: Collection[str], follow_links: bool = False
) -> tuple[Tree, Tree]:
    """List the folders, and the files with one of `suffixes`, that are `depth` levels below `base`.

    Nothing in those folders is looked at. Hidden files and links are treated as in `scan`; what
    was refused is in the first tree.
    """
    walk, endings = _Walk(base, follow_links), tuple(suffixes)
    folders: list[str] = []
    files: list[str] = []

    def enter(found: _Found, levels: int) -> None:
        for child in sorted(walk.children(found), key=lambda child: natural_key(child.path)):
            if child.is_folder and levels > 1:
                enter(child, levels - 1)
            elif child.is_folder:
                folders.append(child.path)
            elif levels == 1 and child.path.lower().endswith(endings):
                files.append(child.path)

    top = walk.top("")
    if top is not None:
        enter(top, depth)
    return Tree(base, tuple(folders), tuple(walk.refused)), Tree(base, tuple(files), ())


def files_in(
    base: Path, folder: str, suffixes: Collection[str], follow_links: bool = False
) -> tuple[list[str], list[Skipped]]:
    """Names of the files in one folder below `base`, in no order, and what was refused there."""
    walk, endings = _Walk(base, follow_links), tuple(suffixes)
    top = walk.top(folder)
    names = [
        child.path[len(folder) + 1 :]
        for child in (walk.children(top) if top is not None else ())
        if not child.is_folder and child.path.lower().endswith(endings)
    ]
    return names, walk.refused


class _Found(NamedTuple):
    """A folder or a file on the way."""

    path: str  # as it was reached, relative to the base
    real: str  # where it is
    is_folder: bool
    above: frozenset[str]  # real paths of the folders that it was reached by
    linked: bool  # whether one of these steps was a link


class _Walk:
    """Looks into folders and refuses what must not be followed."""

    def __init__(self, base: Path, follow_links: bool) -> None:
        self.base, self.follow_links = os.path.realpath(base), follow_links
        self.refused: list[Skipped] = []

    def top(self, folder: str) -> _Found | None:
        """Where to begin; None if there is no such folder, or if it is not to be entered."""
        real = os.path.realpath(f"{self.base}/{folder}")
        if folder and not self.follow_links and not self._holds(real):
            self.refused.append(Skipped(folder, LEAVES_ROOT))
            return None
        return _Found(folder, real, True, frozenset(), False) if Path(real).is_dir() else None

    def children(self, folder: _Found) -> Iterator[_Found]:
        """What is in a folder, in no order."""
        try:
            with os.scandir(folder.real) as found:
                children = list(found)
        except OSError as error:
            self.refused.append(Skipped(folder.path, f"cannot be listed ({error.strerror})"))
            return
        prefix = f"{folder.path}/" if folder.path else ""
        above = folder.above | {folder.real}
        for child in children:
            if _is_litter(child.name):
                continue
            path, is_link = prefix + child.name, child.is_symlink()
            real, kind = os.path.realpath(child.path) if is_link else child.path, _kind(child)
            why = _not_text(path) or (is_link and self._why_not(real, kind, above, folder.linked))
            if not why and kind == "other":  # to open a pipe would be to wait for ever
                why = "a pipe, a device or a socket"
            if why:
                self.refused.append(Skipped(_shown(path), why))
            else:
                yield _Found(path, real, kind == "folder", above, folder.linked or is_link)

    def _holds(self, real: str) -> bool:
        return real == self.base or real.startswith(self.base + os.sep)

    def _why_not(self, real: str, kind: str, above: frozenset[str], linked: bool) -> str:
        """Why a link that leads to `real` is not followed; "" if it is."""
        if not self.follow_links and not self._holds(real):
            return LEAVES_ROOT
        if kind == "other":
            return "a link that leads nowhere"
        if kind == "folder" and (linked or real in above):
            return "a link to a folder above it, or in a linked folder"
        return ""


def locate(root: Path, fits: Callable[[Path], bool], expected: str, prefer: str = "") -> Path:
    """The folder of a data set: `root` itself or one a few levels below it.

    Args:
        root: Where the user points.
        fits: Whether a folder is the one.
        expected: The layout in words, for the error.
        prefer: Name of the folder that is meant where several fit at one level.

    Raises:
        UserError: If there is none, or if there are several.
    """
    if not root.is_dir():
        what = "this is a file, not a folder" if root.exists() else "there is no such folder"
        raise UserError(f"{root}: {what} ({expected}).")
    level = [root]
    for _ in range(DEPTH + 1):
        fitting = [folder for folder in level if fits(folder)]
        if len(fitting) > 1:
            fitting = [folder for folder in fitting if folder.name == prefer] or fitting
        if len(fitting) > 1:
            names = " and ".join(str(folder) for folder in fitting[:2])
            raise UserError(f"{root}: several folders could be meant, {names}. Name one of them.")
        if fitting:
            return fitting[0]
        level = [child for folder in level for child in folders(folder)]
    raise UserError(f"{root}: {expected}; found {content(root)}.")


def unnested(base: Path, folder: str) -> str:
    """`folder`, or the innermost one if it holds a folder of its own name, as archives leave it."""
    name = folder.rpartition("/")[2]
    while (base / folder / name).is_dir() and not (base / folder / name).is_symlink():
        folder = f"{folder}/{name}"
    return folder


def inside(path: str) -> bool:
    """Whether `path`, as a label file gives it, stays below its folder; links are not looked at."""
    return not is_absolute(path) and ".." not in parts_of(path)


def is_absolute(path: str) -> bool:
    """Whether a path begins at a root, of this system or another, such as "C:/x.png"."""
    return bool(re.match(r"[/\\]|[A-Za-z]:[/\\]", path))


def parts_of(path: str) -> list[str]:
    """Folders and name of a path, also where backslashes stand between them."""
    return path.replace("\\", "/").split("/")


def _plain(path: str) -> str:
    return composed(path.replace("\\", "/")).lower()


def stamp(base: str, *paths: str) -> tuple[int, int, int, int]:
    """Bytes, times and number of a file, which change when it is replaced; -1 if it is not there.

    `cp -p` and `rsync -t` keep size and time of modification, but neither the time of change nor
    the inode. Times are in nanoseconds. Of several files: their bytes in all, the latest times, and
    a hash of all four of each.
    """
    found = []
    for path in paths:
        try:
            own = os.stat(f"{base}/{path}")  # noqa: PTH116 (a Path for each would take longer)
        except OSError:
            return -1, -1, -1, -1
        # Inodes of some file systems fill 64 bits without a sign.
        inode = own.st_ino & (2**63 - 1)
        found.append((own.st_size, own.st_mtime_ns, own.st_ctime_ns, inode))
    if len(found) == 1:
        return found[0]
    sizes, modified, changed, _ = zip(*found, strict=True)
    hashed = int.from_bytes(blake2b(repr(found).encode(), digest_size=8).digest()) & (2**63 - 1)
    return sum(sizes), max(modified), max(changed), hashed


def _kind(child: "os.DirEntry[str]") -> Literal["folder", "file", "other"]:
    """What it is, or leads to; a link to nothing is "other"."""
    try:
        return "folder" if child.is_dir() else "file" if child.is_file() else "other"
    except OSError:  # links in a circle, or through a folder that is closed
        return "other"


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _not_text(path: str) -> str:
    return "" if path.isascii() or _shown(path) == path else "its name is not UTF-8"


def _shown(path: str) -> str:
    """A path as text; bytes that are none are written as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def folders(folder: Path) -> list[Path]:
    """The folders in one, if they can be those of a data set."""
    try:
        found = [p for p in folder.iterdir() if p.is_dir() and not _is_litter(p.name)]
    except OSError:
        return []
    # A folder of thousands of folders holds clips or pictures, not a data set.
    return sorted(found) if len(found) < 200 else []


def content(root: Path) -> str:
    """What a folder holds, in a few words."""
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in root.iterdir())
    if not names:
        return "an empty folder"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
