"""The prepared cache: the pictures of a data set decoded, in one file, at their native size.

Pictures are found by the hash of their content, so a cache that is out of date is slow at worst,
protocols of one data set share it, and copies are stored once.

Data sets read it (`find`), `bench data prepare` fills it and `bench data purge` removes it.
"""

import errno
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.data.base import Split
from bench.data.images import UnreadablePicture
from bench.data.on_disk import examine as workers
from bench.data.on_disk.examine import memory
from bench.data.readers.base import Layout, Source
from bench.util.errors import UserError
from bench.util.files import cache_folder, digest, private_folder, read_parquet, write_parquet
from bench.util.progress import Reporter

if TYPE_CHECKING:
    from bench.data.on_disk.dataset import FilesDataSet

#: Raise when the same content gives another picture.
VERSION = 2

SCHEMA = pa.schema(
    [
        ("sha256", pa.string()),  # of what determines the picture
        ("offset", pa.int64()),  # of its first byte
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("crc32", pa.int64()),  # of the bytes
    ]
)


def folder_of(layout: Layout) -> Path:
    """Where the prepared pictures of a layout are, or would be."""
    place = digest([VERSION, str(layout.root.resolve())])
    return cache_folder() / "prepared" / f"{layout.kind}-{place}"


def pixels_of(folder: Path) -> Path:
    """The file with the pictures, one behind the other, each uint8 (H, W, 3)."""
    return folder / "pixels.bin"


def read_index(folder: Path, checked: bool = False) -> pd.DataFrame:
    """What is safely there; columns as in `SCHEMA`, by offset.

    Args:
        folder: Of the prepared pictures.
        checked: Whether to read all pixels, and leave out pictures that have others than written.
    """
    table = read_parquet(folder / "index.parquet", SCHEMA, sealed=True)
    if table is None:
        return pd.DataFrame({name: [] for name in SCHEMA.names})
    pixels = pixels_of(folder)
    size = pixels.stat().st_size if pixels.exists() else 0
    index = table.to_pandas()
    index = index[ends(index) <= size].reset_index(drop=True)
    if not checked or index.empty:
        return index
    stored = _mapped(pixels)
    spans = zip(index["offset"], ends(index), index["crc32"], strict=True)
    whole = [crc32(stored[start:end].data) == sum_ for start, end, sum_ in spans]
    return index[whole].reset_index(drop=True)


def ends(index: pd.DataFrame) -> pd.Series:
    """Where each picture ends in the file, bytes."""
    return index["offset"] + index["height"].astype("int64") * index["width"] * 3


class Packed:
    """Prepared pictures, memory-mapped when the first one is read.

    Args:
        file: The pixels.
        places: Offset, height, width and checksum of each picture by the name of its sample.
    """

    def __init__(self, file: Path, places: Mapping[str, tuple[int, int, int, int]]) -> None:
        self.file = file
        self._places = dict(places)
        self._checked: set[str] = set()
        self._pixels: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of samples with a picture here."""
        return len(self._places)

    def picture(self, name: str) -> np.ndarray | None:
        """The picture of a sample, uint8 (H, W, 3), read-only; None if it was not prepared.

        Nor is it used if its bytes are others than were written, as after a disk's error.
        """
        place = self._places.get(name)
        if place is None:
            return None
        if self._pixels is None:
            self._pixels = _mapped(self.file)
        offset, height, width, checksum = place
        pixels = self._pixels[offset : offset + height * width * 3]
        if name not in self._checked:  # once in each process
            if crc32(pixels.data) != checksum:
                del self._places[name]
                return None
            self._checked.add(name)
        return pixels.reshape(height, width, 3)

    def __getstate__(self) -> dict[str, object]:
        """Workers map the file themselves."""
        return {**self.__dict__, "_pixels": None, "_checked": set()}


def _mapped(file: Path) -> np.ndarray:
    # As a plain array: slices of a memmap object cost as much as reading the picture.
    return np.asarray(np.memmap(file, np.uint8, mode="r"))


def find(layout: Layout, contents: Mapping[str, str]) -> Packed | None:
    """The prepared pictures of a layout.

    Args:
        layout: Which.
        contents: Hash of the content of each sample's picture as it is now, by sample.

    Returns:
        Those that were prepared; None if none was.
    """
    folder = folder_of(layout)
    index = read_index(folder)
    stored = dict(
        zip(
            index["sha256"],
            index[["offset", "height", "width", "crc32"]].itertuples(index=False, name=None),
            strict=True,
        )
    )
    places = {
        name: place
        for name, content in contents.items()
        if content and (place := stored.get(content)) is not None
    }
    return Packed(pixels_of(folder), places) if places else None


# ------------------------------------------------------------------------------------------------
# Filling it: every picture decoded once.
#
# Pixels are appended to one file, and the index that says what is safely there is replaced every
# few seconds. Whatever ends the work, the same command goes on behind the last index.


_CHUNK_BYTES = 8 << 20  # of pixels, per task of a process
_SAVE_EVERY = 10.0  # seconds
_SPARE = 256 << 20  # bytes of the disk that are left free


@dataclass(frozen=True)
class PreparedData:
    """What `prepare` did.

    Attributes:
        folder: Where the prepared pictures are.
        pictures: How many different pictures of the chosen splits are there now.
        added: How many of them are new.
        bytes: Size of the file, with the other splits and protocols in it.
        unusable: Pictures that changed or vanished while they were prepared.
    """

    folder: Path
    pictures: int
    added: int
    bytes: int
    unusable: int

    def as_dict(self) -> dict[str, str | int]:
        """For programs."""
        return {**asdict(self), "folder": str(self.folder)}


class _Work(NamedTuple):
    content: str  # hash that the source had when it was examined
    source: Source
    height: int
    width: int

    @property
    def bytes(self) -> int:
        return self.height * self.width * 3


def prepare(
    layout: Layout, splits: Collection[Split], reporter: Reporter, processes: int | None = None
) -> PreparedData:
    """Decode the pictures of some splits into the cache; of clips the middle frames.

    Args:
        layout: Of which data set.
        splits: Which splits.
        reporter: Says how much space is needed, and shows progress.
        processes: How many decode; by default one per processor, if it is worth their start.

    Raises:
        UserError: If the data set cannot be opened, the disk is too small or full, or another
            process prepares the same data set.
    """
    from bench.data.on_disk.dataset import open_layout  # which reads what is prepared

    dataset = open_layout(layout, reporter)
    folder = folder_of(layout)
    with _alone(folder), _full_disk_in_words(folder):
        index = read_index(folder, checked=True)
        wanted = _wanted(dataset, splits)
        stored = set(index["sha256"])
        todo = [work for work in wanted if work.content not in stored]
        _require_space(folder, sum(work.bytes for work in todo), len(todo), reporter)
        processes = workers.for_pictures(len(todo), processes)
        index = _append(folder, index, todo, dataset.base, processes, reporter)
    added = len(index) - len(stored)
    return PreparedData(
        folder,
        pictures=len(wanted) - len(todo) + added,
        added=added,
        bytes=int(ends(index).max()) if len(index) else 0,
        unusable=len(todo) - added,
    )


def _wanted(dataset: "FilesDataSet", splits: Collection[Split]) -> list[_Work]:
    """Each different picture once."""
    found: dict[str, _Work] = {}
    for split in splits:
        for sample in dataset.samples(split):
            content = dataset.contents[sample.id]
            if content not in found:
                found[content] = _Work(content, dataset.source(sample), *dataset.size(sample))
    return list(found.values())


def _require_space(folder: Path, needed: int, count: int, reporter: Reporter) -> None:
    free = shutil.disk_usage(folder).free
    if needed:
        reporter.say(
            f"{count:,} pictures to prepare: {in_words(needed)} of {in_words(free)} free in "
            f"{folder}"
        )
    if needed + (_SPARE if needed else 0) > free:
        raise UserError(
            f"The prepared pictures need {in_words(needed)}, and the disk of {folder} has "
            f"{in_words(free)}, of which {in_words(_SPARE)} are left alone. Free some, prepare "
            "fewer splits (--split), or set EMODC_BENCH_CACHE to a folder on another disk.",
            exit_code=1,
        )


def _append(
    folder: Path,
    index: pd.DataFrame,
    todo: Sequence[_Work],
    base: Path,
    processes: int,
    reporter: Reporter,
) -> pd.DataFrame:
    rows = list(index.itertuples(index=False, name=None))
    position = int(ends(index).max()) if len(index) else 0
    saved = time.monotonic()
    pixels_file = pixels_of(folder)
    with pixels_file.open("ab") as file:
        pixels_file.chmod(0o600)
        if file.tell() > position:  # behind the last index, when the work ended
            file.truncate(position)
        decoded = workers.in_order(partial(_decode, base), list(_chunks(todo)), processes)
        with reporter.task("prepare pictures", len(todo)) as task, closing(decoded):
            for chunk in decoded:
                for content, height, width, pixels in chunk:
                    if pixels:
                        file.write(pixels)
                        rows.append((content, position, height, width, crc32(pixels)))
                        position += len(pixels)
                task.advance(len(chunk))
                if time.monotonic() - saved > _SAVE_EVERY:
                    _save(folder, file, rows)
                    saved = time.monotonic()
        return _save(folder, file, rows)


def _save(folder: Path, file: BinaryIO, rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """Pixels first: the index never names what could be lost."""
    file.flush()
    os.fsync(file.fileno())
    index = pd.DataFrame(rows, columns=SCHEMA.names)
    write_parquet(folder / "index.parquet", index, SCHEMA, private=True, sealed=True)
    return index


def _chunks(todo: Sequence[_Work]) -> Iterator[list[_Work]]:
    chunk: list[_Work] = []
    size = 0
    for work in todo:
        if chunk and size + work.bytes > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(work)
        size += work.bytes
    if chunk:
        yield chunk


def _decode(base: Path, chunk: Sequence[_Work]) -> list[tuple[str, int, int, bytes]]:
    """Content, height, width and pixels; no pixels where it is no longer what was examined."""
    return [(work.content, work.height, work.width, _pixels(base, work)) for work in chunk]


def _pixels(base: Path, work: _Work) -> bytes:
    try:
        content = work.source.content(base)
        if sha256(content).hexdigest() != work.content:
            return b""
        picture = work.source.decode(base, content)
    except (OSError, UnreadablePicture):
        return b""
    if picture.shape != (work.height, work.width, 3):
        return b""
    return np.ascontiguousarray(picture).tobytes()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process appends; the lock is gone with the process, however it ends."""
    private_folder(folder.parent)
    private_folder(folder)
    try:
        import fcntl
    except ImportError:  # where there is no such lock
        yield
        return
    with (folder / "lock").open("w") as lock:
        (folder / "lock").chmod(0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise UserError(
                f"Another process prepares this data set ({folder}). Wait for it.", exit_code=1
            ) from error
        yield


@contextmanager
def _full_disk_in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"No space left on the disk of {folder}. What was prepared is kept. Free some, or set "
            "EMODC_BENCH_CACHE to a folder on another disk; the same command goes on.",
            exit_code=1,
        ) from error


def in_words(size: float) -> str:
    """Bytes in words: "12 kB", "340 MB", "1.3 GB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            digits = 1 if size < 10 * factor else 0
            return f"{size / factor:.{digits}f} {unit}"
    return f"{size:.0f} bytes"


# ------------------------------------------------------------------------------------------------
# Remove what the bench keeps of a user's pictures: prepared pixels, and facts about them.


def purge(layout: Layout | None) -> int:
    """Remove what is kept of one data set, or of all.

    Drawn faces, which are nobody's, stay.

    Args:
        layout: Whose pictures; those of every data set if it is None.

    Returns:
        The number of bytes freed.
    """
    if layout is None:
        return _removed([cache_folder() / "prepared", cache_folder() / "pictures"])
    return _removed([folder_of(layout), memory(layout)])


def _removed(paths: Iterable[Path]) -> int:
    freed = 0
    for path in paths:
        if path.is_dir():
            freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
        elif path.exists():
            freed += path.stat().st_size
            path.unlink()
    return freed
