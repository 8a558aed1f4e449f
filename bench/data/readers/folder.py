"""Folders of one's own: `train/<class>/*` and `test/<class>/*`, of pictures or of clips.

Pictures may also be in `<class>/*` alone. Names of splits and classes have their usual spellings.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, NamedTuple

from typing_extensions import override

from bench.data.base import Skipped, Split
from bench.data.images import PICTURE_SUFFIXES
from bench.data.readers.base import (
    Entry,
    Listing,
    OwnLayout,
    PictureFile,
    held_out_pictures,
    merged,
    register,
    split_folders,
)
from bench.data.readers.cast import Cast, save, save_video
from bench.data.readers.clips import Clips
from bench.data.tables import tables_in
from bench.data.tree import DEPTH, EVERY, content, folders, locate, parts_of, scan
from bench.labels import BASIC, SPLIT_NAMES, composed, is_known, split_of
from bench.util.errors import did_you_mean

STRAY = "not in a folder of a class"
DEEPER = "in a folder inside that of a class"
_EMPTY = "a folder without files"
_LABELS = (".txt", ".xlsx", ".xls", ".ods", ".json", ".jsonl", ".xml")  # of labels, not read


class _ClassFolders(NamedTuple):
    """A file, or an empty folder, in the folder of a class.

    Attributes:
        path: Relative to the base.
        split: As a folder names it; "train" where none does.
        folder: That of the class, with those above it below the base.
        reason: Why it is no picture to use; "" if it is one.
    """

    path: str
    split: Split
    folder: tuple[str, ...]
    reason: str


class Folder(OwnLayout):
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
        base, splits = self._base()
        if not splits:
            return "split by file content"
        own = "test" in split_folders(base).values()
        return "the folder's own split" + ("" if own else ", its validation pictures as test")

    @override
    def listing(self) -> Listing:
        base, splits = self._base()
        tree = scan(base, EVERY, self.follow_links)
        found, strays = self._in_classes(base, tree.files, splits)
        labels = self.meanings(
            {one.folder[-1]: str(base.joinpath(*one.folder)) for one in found}, str(base)
        )
        pictures = [one for one in found if not one.reason]
        if not pictures or len(set(labels.values())) < 2:
            self._point_to_table(base)
        if not pictures:
            raise self.fail(f"no pictures in folders of classes; found {content(base)}.")
        named = [(one.path, labels[one.folder[-1]]) for one in pictures]
        test = set() if splits else held_out_pictures(base, named)
        entries = tuple(
            Entry(path, label, "test" if path in test else one.split, PictureFile(path))
            for one, (path, label) in zip(pictures, named, strict=True)
        )
        claimed: dict[tuple[Split, str], str] = {}
        for one in found:
            claimed.setdefault(
                (one.split, labels[one.folder[-1]]), f"{one.path}: {one.reason or 'damaged'}"
            )
        unused = [Skipped(one.path, one.reason) for one in found if one.reason not in ("", _EMPTY)]
        return Listing(
            base,
            entries,
            self.classes_of(entries),
            refused=(*tree.refused, *unused, *strays),
            claimed=claimed,
            notes=(
                *merged((one.split, one.folder[-1], labels[one.folder[-1]]) for one in found),
                *(() if splits else _joined(one.folder[:-1] for one in pictures)),
            ),
        )

    def _base(self) -> tuple[Path, dict[str, Split]]:
        """The folder with the splits, and what they are called there; or that with the classes.

        Archives nest theirs once or twice.
        """
        if not self.root.is_dir():
            raise self.fail("there is no such folder.")
        level = [self.root]
        for _ in range(DEPTH):
            fitting = [folder for folder in level if split_folders(folder)]
            if len(fitting) > 1 and all(self._is_class(folder.name) for folder in fitting):
                such = f"{fitting[0].name}/{min(split_folders(fitting[0]))}"
                raise self.fail(
                    f"the folders of splits are inside those of classes, as {such}. Move them "
                    "above those."
                )
            if len(fitting) > 1:
                names = " and ".join(str(folder) for folder in fitting[:2])
                raise self.fail(f"several folders have splits in them, {names}. Name one of them.")
            if fitting:
                return fitting[0], self._splits(fitting[0])
            level = [child for folder in level for child in folders(folder)]
        base = self.root
        for _ in range(DEPTH):
            inner = folders(base)
            if len(inner) != 1 or not folders(inner[0]) or self._is_class(inner[0].name):
                break
            base = inner[0]
        return base, {}

    def _splits(self, base: Path) -> dict[str, Split]:
        """Splits by the names of their folders; a validation split alone is that for test."""
        found = split_folders(base)
        for split in found.values():
            names = [name for name, other in found.items() if other == split]
            if len(names) > 1:
                raise self.fail(
                    f"{base} has {' and '.join(names)}, which are all the {split} split. Merge "
                    "them, or move one away."
                )
        if "test" not in found.values():
            return {name: "test" if split == "val" else split for name, split in found.items()}
        return found

    def _in_classes(
        self, base: Path, paths: Sequence[str], splits: Mapping[str, Split]
    ) -> tuple[list[_ClassFolders], list[Skipped]]:
        """What is in folders of classes, in natural order; and pictures that are in none."""
        placed: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for path in paths:
            # A backslash in a file of a folder is one; in the base's, it was to make folders.
            above = tuple((path.split("/") if "/" in path else parts_of(path))[:-1])
            if "/" not in path and splits.keys() & {*above}:
                above = above[next(n for n, part in enumerate(above) if part in splits) :]
            placed.setdefault(above[0] if splits and above else "", []).append((path, above))
        found: list[_ClassFolders] = []
        strays = []
        for top, members in placed.items():
            split = splits.get(top, "train")
            level = int(bool(top)) + self._class_level(
                [above[bool(top) :] for path, above in members if _is_picture(path)]
            )
            named = {split_of(part) for _, above in members for part in above[bool(top) : level]}
            if named - {None, split_of(top)}:
                raise self.fail(
                    f"folders of splits are at different depths, as in {members[0][0]}. Move "
                    "those of train and test beside each other."
                )
            # All of them may be in folders inside those of classes, as of persons.
            direct = any(len(above) == level + 1 and _is_picture(path) for path, above in members)
            parents = set()
            for path, above in members:
                if len(above) > level and (not splits or top in splits):
                    deeper = direct and len(above) > level + 1
                    reason = _unread(path) or (DEEPER if deeper else "")
                    found.append(_ClassFolders(path, split, above[: level + 1], reason))
                    parents.add(above[:level])
                elif _is_picture(path):
                    stray = bool(splits) and top not in splits
                    near = did_you_mean(top, SPLIT_NAMES, cutoff=0.7) if stray else ""
                    strays.append(Skipped(path, f"{STRAY}; {near}" if near else STRAY))
            known = {one.folder for one in found}
            for parent in parents:
                for name in sorted(child.name for child in folders(base.joinpath(*parent))):
                    if (*parent, name) not in known:
                        place = (*parent, name)
                        found.append(_ClassFolders("/".join(place), split, place, _EMPTY))
        return found, strays

    def _is_class(self, name: str) -> bool:
        return is_known(name) or composed(name) in map(composed, self.class_names)

    def _class_level(self, inner: Sequence[tuple[str, ...]]) -> int:
        """How deep class folders are: where one is named as a class, or else where several are."""
        deepest = max(map(len, inner), default=0)
        names = [{above[n] for above in inner if len(above) > n} for n in range(deepest)]
        known = [level for level in range(deepest) if any(map(self._is_class, names[level]))]
        several = [level for level in range(deepest) if len(names[level]) > 1]
        return (known or several or [0])[0]

    def _point_to_table(self, base: Path) -> None:
        """Refuse pictures whose labels are in a table beside them."""
        tables = tables_in(base)
        about = re.compile(r"drawn_faces|readme|licen[sc]e", re.IGNORECASE)
        others = [path for path in sorted(base.iterdir()) if path.suffix.lower() in _LABELS]
        others = [path for path in others if not about.match(path.name)]
        if not tables and others:
            raise self.fail(
                f"found {content(base)}. If {others[0].name} has the labels, save it as CSV with "
                "the columns path, label and split, and read that: --data manifest --root FILE."
            )
        if tables:
            inner = folders(base)
            pictures = f" -o pictures={inner[0]}" if len(inner) == 1 else ""
            raise self.fail(
                f"found {content(base)}. If {tables[0].name} has the labels, read it: --data "
                f"manifest --root {tables[0]}{pictures}."
            )


def _joined(folders_above: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """A sentence about folders above those of classes, if there are several; none is a split."""
    names = sorted({"/".join(parts) for parts in folders_above})
    if len(names) < 2:
        return ()
    told = ", ".join(name or "none" for name in names[:3]) + (", ..." if len(names) > 3 else "")
    return (
        f"the folders above those of classes ({told}) are read as one, for none is named as a "
        "split (train, val, test): the test pictures are a share of them all",
    )


def _is_picture(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in PICTURE_SUFFIXES


def _unread(path: str) -> str:
    """Why a file is not read; "" for pictures."""
    if _is_picture(path):
        return ""
    suffix = PurePosixPath(path).suffix
    return f"{suffix} is no suffix of pictures that are read" if suffix else "it has no suffix"


# ------------------------------------------------------------------------------------------------
# Clips: the same folders, with a folder of frames or a video for each sample.


_EXPECTED = "no clips in folders of splits and classes, such as train/anger"


class ClipFolder(OwnLayout):
    """Classes are the names of the folders; usual names become the vocabulary's."""

    title: ClassVar[str] = "folder of clips"
    expects: ClassVar[str] = (
        "DIR/train/<class>/<clip>/*.jpg or DIR/train/<class>/<clip>.mp4, and the same in DIR/test, "
        "optionally in DIR/val"
    )
    clips: ClassVar[bool] = True

    kind: Literal["clip_folder"] = "clip_folder"

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.root.resolve().name

    @property
    def protocol(self) -> str:
        """Whose split it is."""
        return "the folder's own split"

    @override
    def listing(self) -> Listing:
        base = locate(self.root, lambda folder: bool(split_folders(folder)), _EXPECTED)
        splits, clips = split_folders(base), Clips(base, 3, self.follow_links)
        found: list[tuple[str, Split, str]] = []
        for path in clips.paths:
            top, label, _ = path.split("/")
            if top in splits:
                found.append((path, splits[top], label))
        labels = self.meanings(
            {label: str((base / path).parent) for path, _, label in found}, str(base)
        )
        entries = [
            Entry(path, labels[label], split, source)
            for path, split, label in found
            if (source := clips.take(path)) is not None
        ]
        if not entries:
            raise self.fail(f"no clips in folders of classes; found {content(base)}.")
        return Listing(
            base,
            tuple(entries),
            self.classes_of(entries),
            missing=clips.missing,
            refused=clips.refused,
            unlabelled=clips.left,
            claimed={(split, labels[label]): path for path, split, label in found},
            notes=merged((split, label, labels[label]) for _, split, label in found),
        )


# ------------------------------------------------------------------------------------------------
# Drawn look-alikes.


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`train/<class>/000.png` and `test/<class>/000.png`, 64x64."""
    for split, count in (("train", 2 * per_class), ("test", per_class)):
        for label in BASIC:
            for number in range(count):
                path = root / split / label / f"{number:03d}.png"
                save(path, cast.picture(label, split, number))


def write_clips(root: Path, cast: Cast, per_class: int) -> None:
    """`{train,test}/<class>/000/1.png`; every third clip is a video instead, `002.mp4`."""
    for split, count in (("train", 2 * per_class), ("test", per_class)):
        for label in BASIC:
            for number in range(count):
                clip = root / split / label / f"{number:03d}"
                frames = cast.frames(label, split, number)
                if number % 3 == 2:
                    save_video(clip.with_suffix(".mp4"), frames)
                    continue
                for place, frame in enumerate(frames, 1):
                    save(clip / f"{place}.png", frame)


register(Folder, write)
register(ClipFolder, write_clips)
