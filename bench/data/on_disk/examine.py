"""What only opening a picture can tell: size, hash of the content, likeness, damage.

Every picture is opened once, by several processes if there are many. What was found is remembered
in the user's cache folder, with the stamp of the file: hashes and numbers, no pixels, no names.

Likeness is told by difference hashes (dHash, N. Krawetz, 2013): the signs of the differences
between neighbours in a small grey picture, along rows and along columns. The coarse one is
searched, the fine one decides: among aligned faces the common 64 bits of one direction are equal
for many different people.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from hashlib import blake2b, sha256
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa

from bench.data.images import UnreadablePicture
from bench.data.readers.base import Layout, Listing, Source, stamp_of
from bench.data.tree import LEAVES_ROOT
from bench.util import runtime
from bench.util.files import cache_folder, digest, private_folder, read_parquet, write_table
from bench.util.progress import Reporter

COARSE_SIDE, FINE_SIDE = 8, 16

#: Length of a hash: 128 coarse and 512 fine bits.
BYTES = 2 * (COARSE_SIDE**2 + FINE_SIDE**2) // 8

#: Bytes of the coarse part, which comes first.
COARSE_BYTES = 2 * COARSE_SIDE**2 // 8


def likeness_hash(picture: np.ndarray) -> bytes:
    """The coarse and the fine hash of a picture, `BYTES` long.

    Args:
        picture: uint8 RGB (H, W, 3).
    """
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    signs = [bits for side in (COARSE_SIDE, FINE_SIDE) for bits in _signs(grey, side)]
    return np.packbits(np.concatenate(signs)).tobytes()


def _signs(grey: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the grey value rises to the right, and downwards; bool (side * side,) each."""
    rows = cv2.resize(grey, (side + 1, side), interpolation=cv2.INTER_AREA)
    columns = cv2.resize(grey, (side, side + 1), interpolation=cv2.INTER_AREA)
    return (rows[:, 1:] > rows[:, :-1]).ravel(), (columns[1:] > columns[:-1]).ravel()


# ------------------------------------------------------------------------------------------------
# Long lists of pictures, worked through by processes, with results in the list's order.


_FEW = 3000  # pictures that this process reads faster than others would start
_AHEAD = 3  # chunks per process that wait, or whose results do

_Chunk = TypeVar("_Chunk")
_Result = TypeVar("_Result")


def available() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def for_pictures(count: int, processes: int | None) -> int:
    """How many processes read `count` pictures: those asked for, or as many as it is worth."""
    if processes is not None:
        return processes
    return available() if count > _FEW else 1


def in_order(
    function: Callable[[_Chunk], _Result], chunks: Sequence[_Chunk], processes: int
) -> Generator[_Result, None, None]:
    """`function` of each chunk; with `processes` of 1 in this process.

    Only a few chunks are handed out ahead of what was taken, so that results never pile up.

    Raises:
        UserError: If a process dies.
    """
    if processes == 1:
        yield from map(function, chunks)
        return
    died = (
        "A process that reads pictures was ended from outside; the usual cause is a lack of "
        "memory for very large pictures. What was finished is kept; the same command goes on."
    )
    with runtime.pool(min(processes, len(chunks)), died) as pool:
        rest = iter(chunks)
        waiting: deque[Future[_Result]] = deque()
        for chunk in islice(rest, _AHEAD * processes):
            waiting.append(pool.submit(function, chunk))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, chunk) for chunk in islice(rest, 1))


# ------------------------------------------------------------------------------------------------
# Facts, remembered.


#: Raise when the same picture gives other facts.
VERSION = 2

SCHEMA = pa.schema(
    [
        ("source", pa.string()),  # a hash of what is read: file, box, names of frames
        ("bytes", pa.int64()),  # of its file
        ("mtime", pa.int64()),  # of its file, nanoseconds
        ("ctime", pa.int64()),  # of its file, nanoseconds
        ("inode", pa.int64()),  # of its file
        ("sha256", pa.string()),  # of what determines the picture; empty if it is unreadable
        ("likeness", pa.binary()),  # see `likeness_hash`; empty if it is unreadable
        ("height", pa.int32()),  # pixels; 0 if it is unreadable
        ("width", pa.int32()),
        ("error", pa.string()),  # why it is unreadable, empty if it is not
    ]
)

_CHUNK = 256  # pictures per task of a process
_SAVE_EVERY = 20.0  # seconds between two saved states
_TABLE = 20_000  # rows that become a table

_Row = tuple[str, int, int, int, int, str, bytes, int, int, str]

#: The columns that a file is known again by; see `stamp`.
STAMP = ["bytes", "mtime", "ctime", "inode"]


def examine(
    layout: Layout,
    listing: Listing,
    reporter: Reporter | None = None,
    processes: int | None = None,
) -> pd.DataFrame:
    """Facts of every entry of a listing, in its order.

    Args:
        layout: Whose listing it is.
        listing: What to examine.
        reporter: Shows progress of what was not examined before.
        processes: How many open pictures; by default as many as there are processors, if it is
            worth their start.

    Returns:
        Columns `id`, and those of `SCHEMA` but `source`.

    Raises:
        UserError: If the data set's own folder is behind a link that leaves the root.
    """
    if not layout.follow_links and _leaves(listing.base, layout.root):
        raise layout.fail(f"{listing.base} is behind {LEAVES_ROOT}.")
    path = memory(layout)
    facts = _Facts(path)
    places = np.empty(len(listing.entries), np.int64)
    todo = []
    for place, entry in enumerate(listing.entries):
        row = facts.row(_name(entry.source), stamp_of(listing.base, entry.source))
        if row is None:
            todo.append(place)
        else:
            places[place] = row
    if todo:
        work = [listing.entries[place].source for place in todo]
        progress = reporter or Reporter(quiet=True)
        saved = time.monotonic()
        found = _facts(listing.base, work, processes)
        try:
            with progress.task("examine pictures", len(todo)) as task, closing(found):
                for place, found_row in zip(todo, found, strict=True):
                    places[place] = facts.add(found_row)
                    task.advance()
                    if time.monotonic() - saved > _SAVE_EVERY:
                        facts.save()
                        saved = time.monotonic()
        finally:
            facts.save()
    frame = facts.table().take(places).drop_columns(["source"]).to_pandas()
    frame.insert(0, "id", [entry.id for entry in listing.entries])
    return frame


class _Facts:
    """Facts by row, as Arrow tables: as Python objects those of 290,000 pictures fill a gigabyte.

    Args:
        path: Where they are remembered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        remembered = read_parquet(path, SCHEMA, sealed=True)
        self._tables = [SCHEMA.empty_table() if remembered is None else remembered]
        known = self._tables[0]
        self._rows = {name: row for row, name in enumerate(known.column("source").to_pylist())}
        self._stamps = [known.column(name).to_numpy() for name in STAMP]
        self._fresh: list[_Row] = []  # not in a table yet
        self._count = known.num_rows

    def row(self, name: str, now: tuple[int, ...]) -> int | None:
        """The row of a picture that was examined with this stamp."""
        row = self._rows.get(name)
        if row is None or now != tuple(column[row] for column in self._stamps):
            return None
        return row

    def add(self, row: _Row) -> int:
        """Its number."""
        self._fresh.append(row)
        self._count += 1
        self._rows[row[0]] = self._count - 1
        if len(self._fresh) == _TABLE:
            self.table()
        return self._count - 1

    def table(self) -> pa.Table:
        """All rows by number, those of pictures that have changed since among them."""
        if self._fresh:
            columns = dict(zip(SCHEMA.names, zip(*self._fresh, strict=True), strict=True))
            self._tables.append(pa.table(columns, schema=SCHEMA))
            self._fresh = []
        return pa.concat_tables(self._tables)

    def save(self) -> None:
        """Remember the latest facts, also of pictures that only another protocol lists."""
        latest = np.fromiter(self._rows.values(), np.int64, len(self._rows))
        private_folder(self.path.parent)
        write_table(self.path, self.table().take(latest), private=True, sealed=True)


def memory(layout: Layout) -> Path:
    """The file that remembers the facts of a layout's pictures."""
    place = digest([VERSION, str(layout.root.resolve())])
    return cache_folder() / "pictures" / f"{layout.kind}-{place}.parquet"


def _facts(
    base: Path, work: Sequence[Source], processes: int | None
) -> Generator[_Row, None, None]:
    processes = for_pictures(len(work), processes)
    size = _CHUNK if processes > 1 else 1
    chunks = [work[start : start + size] for start in range(0, len(work), size)]
    with closing(in_order(partial(_facts_of, base), chunks, processes)) as found:
        yield from chain.from_iterable(found)


def _facts_of(base: Path, work: Sequence[Source]) -> list[_Row]:
    return [_fact(base, source) for source in work]


def _fact(base: Path, source: Source) -> _Row:
    # Before reading: if the file changes meanwhile, it is examined again the next time.
    name, now = _name(source), stamp_of(base, source)
    try:
        content = source.content(base)
        picture = source.decode(base, content)
    except (OSError, UnreadablePicture) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return name, *now, "", b"", 0, 0, reason
    height, width = picture.shape[:2]
    return name, *now, sha256(content).hexdigest(), likeness_hash(picture), height, width, ""


def _leaves(base: Path, root: Path) -> bool:
    """Whether a folder that stands below the root is elsewhere."""
    return base.is_relative_to(root) and not base.resolve().is_relative_to(root.resolve())


def _name(source: Source) -> str:
    return blake2b(repr(source).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
