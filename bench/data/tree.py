"""Folders as they come: found below where one points, in natural order, links checked."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

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
    `follow_links`; links that lead in circles are followed once.
    """
    files: list[str] = []
    refused: list[Skipped] = []
    inside = os.path.realpath(base)
    seen = {inside}

    def enter(folder: str, prefix: str) -> None:
        with os.scandir(folder) as found:
            children = list(found)
        for child in children:
            if child.name.startswith(".") or child.name in _LITTER:
                continue
            path = prefix + child.name
            if child.is_symlink() and not follow_links and not _within(child.path, inside):
                refused.append(Skipped(path, LEAVES_ROOT))
            elif child.is_dir():
                real = os.path.realpath(child.path) if child.is_symlink() else child.path
                if real not in seen:
                    seen.add(real)
                    enter(child.path, path + "/")
            elif PurePosixPath(child.name).suffix.lower() in suffixes:
                files.append(path)

    if base.is_dir():
        enter(str(base), "")
    files.sort(key=natural_key)
    return Tree(base, tuple(files), tuple(refused))


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
        level = [child for folder in level for child in _folders(folder)]
    raise UserError(f"{root}: {expected}; found {_content(root)}.")


def inside(base: Path, path: str) -> bool:
    """Whether `path`, as a label file gives it, stays below `base`; links are not looked at."""
    parts = path.replace("\\", "/").split("/")
    return bool(parts[0] or len(parts) == 1) and ".." not in parts


def _within(link: str, base: str) -> bool:
    real = os.path.realpath(link)
    return real == base or real.startswith(base + os.sep)


def _folders(folder: Path) -> list[Path]:
    try:
        found = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
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
