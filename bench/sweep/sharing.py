"""Corrupted pictures on disk, while a sweep lasts: generated once, read by every other classifier.

    OUT/.corrupted/<name>    the pictures of one shard of one corruption at one severity

`sharing` decides which shards have such a file. Every picture has a checksum: a file that is
damaged, or of which a lost machine wrote only a part, costs time and changes no result.
"""

import contextlib
import os
import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BufferedReader
from pathlib import Path

import numpy as np

from bench.data.base import DataSet
from bench.sweep.plan import Shard, SharedFile
from bench.util.files import digest

Pictures = list[np.ndarray | None]
"""uint8 (H, W, 3) each; None where the picture could not be read."""

_RECORD = struct.Struct("<III")  # height, width, CRC-32 of the pixels that follow


def bytes_of(height: int, width: int) -> int:
    """What a picture takes in a file."""
    return _RECORD.size + height * width * 3


@contextlib.contextmanager
def corrupted(folder: Path, file: SharedFile | None, budget: int) -> Iterator["Reader | Writer"]:
    """Read a shard's pictures from its file, or write them there as they are generated.

    Args:
        folder: Of all such files.
        file: The shard's; None if nobody else asks for these pictures.
        budget: Bytes that all files may take together. What does not fit is not kept.
    """
    handle = None if file is None else _opened(folder / file.name)
    if handle is not None:
        with handle:
            yield Reader(handle)
        return
    fits = file is not None and _taken(folder) + file.size <= budget
    writer = Writer(folder / file.name if file is not None and fits else None)
    try:
        if file is not None:
            writer.reserve(file.size)
        yield writer
        writer.keep()
    finally:
        writer.drop()


class Reader:
    """Pictures of a file, in the order in which they were written."""

    def __init__(self, handle: BufferedReader) -> None:
        self._handle, self._sound = handle, True
        self._size = os.fstat(handle.fileno()).st_size

    def batch(self, count: int, generate: Callable[[], Pictures]) -> Pictures:
        """The next `count` pictures; from the first damaged one on, what `generate` gives."""
        found: Pictures = []
        while self._sound and len(found) < count:
            picture = self._next()
            self._sound = picture is not None
            found.append(picture)
        return found if self._sound else generate()

    def _next(self) -> np.ndarray | None:
        head = self._handle.read(_RECORD.size)
        if len(head) < _RECORD.size:
            return None
        height, width, checksum = _RECORD.unpack(head)
        if height * width * 3 > self._size:
            return None
        picture = np.empty((height, width, 3), np.uint8)
        whole = self._handle.readinto(picture.data) == picture.size
        return picture if whole and zlib.crc32(picture.data) == checksum else None


class Writer:
    """Passes on what is generated and files it, if it has a path and as long as the disk takes it.

    Args:
        path: The file that will be there once it is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._handle = path, None
        if path is None:
            return
        self._scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with self._dispensable():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._scratch.open("wb")
            self._scratch.chmod(0o600)  # it may hold pictures of people

    def reserve(self, size: int) -> None:
        """Let other workers see how large it will be."""
        if self._handle is not None:
            with self._dispensable():
                self._handle.truncate(size)

    def batch(self, count: int, generate: Callable[[], Pictures]) -> Pictures:
        """What `generate` gives. A file lacks no picture: one that cannot be read ends it."""
        pictures = generate()
        if len(pictures) != count or any(picture is None for picture in pictures):
            self.drop()
        for picture in pictures:
            if self._handle is not None and picture is not None:
                pixels = np.ascontiguousarray(picture).data
                height, width, _ = picture.shape
                with self._dispensable():
                    self._handle.write(_RECORD.pack(height, width, zlib.crc32(pixels)))
                    self._handle.write(pixels)
        return pictures

    def keep(self) -> None:
        """Give the file its name."""
        if self._handle is not None and self._path is not None:
            with self._dispensable():
                self._handle.truncate()
                self._handle.close()
                self._scratch.replace(self._path)
                self._handle = None

    def drop(self) -> None:
        """Remove what was not kept."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.close()
            with contextlib.suppress(OSError):
                self._scratch.unlink()
            self._handle = None

    @contextlib.contextmanager
    def _dispensable(self) -> Iterator[None]:
        """A full disk ends the file and not the sweep."""
        try:
            yield
        except OSError:
            self.drop()


def _opened(path: Path) -> BufferedReader | None:
    try:
        return path.open("rb")
    except OSError:
        return None


def _taken(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sum(map(_size, entries))
    return 0


def _size(entry: "os.DirEntry[str]") -> int:
    with contextlib.suppress(OSError):  # it was removed meanwhile
        return entry.stat().st_size
    return 0


# ------------------------------------------------------------------------------------------------
# Which shards share their corrupted pictures, in which order they are computed, and until when.


FOLDER = ".corrupted"

#: Of the budget; the rest is for shards that other workers have not finished when a block ends.
_BLOCK = 0.75


class Sharing:
    """The shared files of one sweep.

    A file is named by all that determines its pixels, so a run that was killed goes on with what it
    left behind. It is removed when the last shard that reads it is stored. Shards come in blocks
    whose files fit on the disk together, each block with all its classifiers.

    Args:
        out: Folder of the store.
        todo: The shards to be computed.
        dataset: Their data.
        budget: Bytes that the files may take together; 0: there are none.
    """

    def __init__(self, out: Path, todo: Sequence[Shard], dataset: DataSet, budget: int) -> None:
        self.folder = out / FOLDER
        names = [_name(shard) if budget else None for shard in todo]
        uses = Counter(name for name in names if name is not None)
        self._left = {
            name: count
            for name, count in uses.items()
            if count > 1 or (self.folder / name).exists()
        }
        shared = [name if name in self._left else None for name in names]
        self.todo = _in_blocks(_with_files(todo, shared, dataset), budget * _BLOCK)
        self._clear()

    def done(self, shard: Shard) -> None:
        """Remove the shard's file if no other shard will read it."""
        if shard.file is not None:
            self._left[shard.file.name] -= 1
            if not self._left[shard.file.name]:
                (self.folder / shard.file.name).unlink(missing_ok=True)

    def end(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clear(self) -> None:
        """Remove what an earlier run left and this one does not read."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.name not in self._left:
                    path.unlink(missing_ok=True)


def _name(shard: Shard) -> str | None:
    """A digest of what determines the corrupted pictures; None for those that are not shared."""
    cell, inputs = shard.planned.cell, shard.planned.inputs
    if not shard.planned.perturbation.shared:
        return None
    what = [inputs[field] for field in ("data", "perturbation", "seed")]
    return digest([cell.dataset, *what, list(shard.sample_ids)])


def _with_files(
    todo: Sequence[Shard], names: Sequence[str | None], dataset: DataSet
) -> list[Shard]:
    if not any(names):
        return list(todo)
    sizes = {sample.id: bytes_of(*dataset.size(sample)) for sample in dataset.samples("test")}
    return [
        shard
        if name is None
        else replace(shard, file=SharedFile(name, sum(map(sizes.__getitem__, shard.sample_ids))))
        for shard, name in zip(todo, names, strict=True)
    ]


def _in_blocks(todo: Sequence[Shard], size: float) -> list[Shard]:
    """Ordered so that the files needed at a time fit; as they were where all fit together."""
    block: dict[str, int] = {}
    number, taken = 0, 0
    for file in dict.fromkeys(shard.file for shard in todo):
        if file is None:
            continue
        if taken and taken + file.size > size:
            number, taken = number + 1, 0
        block[file.name] = number
        taken += file.size
    return sorted(todo, key=lambda s: 0 if s.file is None else block[s.file.name])
