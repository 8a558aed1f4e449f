"""Folders as they come: found below where one points, in natural order, links checked."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

from bench.data.base import Skipped
from bench.data.labels import natural_key
from bench.errors import UserError

#: How far below the named folder a data set is looked for: archives nest theirs once or twice.
DEPTH = 3

#: What archives of other systems leave behind.
_LITTER = ("__MACOSX", "Thumbs.db", "@eaDir")

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
        """The file that a label file means by `path`, whatever the case of its letters."""
        if path in self._known:
            return path
        return self._any_case.get(path.lower())

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def _any_case(self) -> dict[str, str]:
        """Only needed where a name is not found as it is written."""
        return {path.lower(): path for path in self.files}


def scan(base: Path, suffixes: Collection[str], follow_links: bool = False) -> Tree:
    """List the files below `base` whose suffix, in lower case, is one of `suffixes`.

    Hidden files are left out. A link to a place outside of `base` is refused, unless
    `follow_links`. One to a folder is followed unless the folder is above it, or above or in
    another linked one: whatever links lead to each other, this comes to an end.
    """
    walk = _Walk(os.path.realpath(base), suffixes, follow_links)
    if base.is_dir():
        walk.enter(walk.base, "", frozenset(), linked=False)
    files = sorted(walk.files, key=natural_key)
    refused = sorted(walk.refused, key=lambda one: natural_key(one.path))
    return Tree(base, tuple(files), tuple(refused))


class _Walk:
    """What `scan` finds, folder by folder; paths of folders are real ones."""

    def __init__(self, base: str, suffixes: Collection[str], follow_links: bool) -> None:
        self.base, self.suffixes, self.follow_links = base, suffixes, follow_links
        self.files: list[str] = []
        self.refused: list[Skipped] = []

    def enter(self, folder: str, prefix: str, above: frozenset[str], linked: bool) -> None:
        """List a folder and those in it.

        Args:
            folder: The folder.
            prefix: Its path as it was reached, with a final "/".
            above: The folders that it was reached by.
            linked: Whether one of these steps was a link.
        """
        try:
            with os.scandir(folder) as found:
                children = list(found)
        except OSError as error:
            self.refused.append(Skipped(prefix[:-1], f"cannot be listed ({error.strerror})"))
            return
        above |= {folder}
        for child in children:
            if _is_litter(child.name):
                continue
            path, is_link = prefix + child.name, child.is_symlink()
            real, kind = os.path.realpath(child.path) if is_link else child.path, _kind(child)
            why = _not_text(path) or (is_link and self._why_not(real, kind, above, linked))
            if why:
                self.refused.append(Skipped(_shown(path), why))
            elif kind == "folder":
                self.enter(real, path + "/", above, linked or is_link)
            elif PurePosixPath(child.name).suffix.lower() in self.suffixes:
                if kind == "file":
                    self.files.append(path)
                else:  # opening a pipe would wait for ever
                    self.refused.append(Skipped(path, "a pipe, a device or a socket"))

    def _why_not(self, real: str, kind: str, above: frozenset[str], linked: bool) -> str:
        """Why a link that leads to `real` is not followed; "" if it is."""
        if not self.follow_links and real != self.base and not real.startswith(self.base + os.sep):
            return LEAVES_ROOT
        if not kind:
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
        raise UserError(f"{root}: there is no such folder ({expected}).")
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
    raise UserError(f"{root}: {expected}; found {_content(root)}.")


def inside(base: Path, path: str) -> bool:
    """Whether `path`, as a label file gives it, stays below `base`; links are not looked at."""
    parts = PurePosixPath(path.replace("\\", "/"))
    return not parts.is_absolute() and ".." not in parts.parts


def _kind(child: "os.DirEntry[str]") -> Literal["folder", "file", ""]:
    """What it is, or leads to; "" for a link to nothing and for what is neither."""
    try:
        return "folder" if child.is_dir() else "file" if child.is_file() else ""
    except OSError:  # links in a circle, or through a folder that is closed
        return ""


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name in _LITTER


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


def _content(root: Path) -> str:
    """What a folder holds, in a few words."""
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in root.iterdir())
    if not names:
        return "an empty folder"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
