"""What only opening a picture can tell: its size, the hash of its content, whether it is damaged.

Every picture is opened once and what was found is remembered, in the user's cache folder, with the
size and time of its file. Only hashes and numbers are kept there: no pixels, no names.
"""

import os
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from hashlib import blake2b, sha256
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bench.data import workers
from bench.data.cache import cache_folder
from bench.data.images import UnreadablePicture
from bench.data.layouts.base import Layout, Listing, Source
from bench.data.likeness import likeness_hash
from bench.files import digest
from bench.parquet import read_parquet, write_parquet
from bench.progress import Reporter

#: Raise when the same picture gives other facts.
VERSION = 2

SCHEMA = pa.schema(
    [
        ("source", pa.string()),  # a hash of what is read: file, box, names of frames
        ("bytes", pa.int64()),  # of its file
        ("mtime", pa.int64()),  # of its file, nanoseconds
        ("sha256", pa.string()),  # of what determines the picture; empty if it is unreadable
        ("likeness", pa.binary()),  # see `likeness_hash`; empty if it is unreadable
        ("height", pa.int32()),  # pixels; 0 if it is unreadable
        ("width", pa.int32()),
        ("error", pa.string()),  # why it is unreadable, empty if it is not
    ]
)

_CHUNK = 256  # pictures per task of a process
_SAVE_EVERY = 20.0  # seconds between two saved states
_FEW = 3000  # pictures that this process reads faster than others would start

_Row = tuple[str, int, int, str, bytes, int, int, str]


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
        Columns `id`, `sha256`, `likeness`, `height`, `width` and `error` as in `SCHEMA`.
    """
    path = memory(layout)
    known = _recall(path)
    base = str(listing.base)
    rows: list[_Row | None] = []
    for entry in listing.entries:
        row = known.get(_name(entry.source))
        rows.append(row if row and row[1:3] == _stamp(base, entry.source.path) else None)
    todo = [place for place, row in enumerate(rows) if row is None]
    if todo:
        work = [listing.entries[place].source for place in todo]
        progress = reporter or Reporter(quiet=True)
        saved = time.monotonic()
        found = _facts(listing.base, work, processes)
        try:
            with progress.task("examine pictures", len(todo)) as task, closing(found):
                for place, row in zip(todo, found, strict=True):
                    rows[place] = known[row[0]] = row
                    task.advance()
                    if time.monotonic() - saved > _SAVE_EVERY:
                        _save(path, known)
                        saved = time.monotonic()
        finally:
            _save(path, known)
    return _frame(listing, [row for row in rows if row is not None])


def memory(layout: Layout) -> Path:
    """The file that remembers the facts of a layout's pictures."""
    place = digest([VERSION, str(layout.root.resolve())])
    return cache_folder() / "pictures" / f"{layout.kind}-{place}.parquet"


def _facts(
    base: Path, work: Sequence[Source], processes: int | None
) -> Generator[_Row, None, None]:
    if processes is None:
        processes = workers.available() if len(work) > _FEW else 1
    size = _CHUNK if processes > 1 else 1
    chunks = [work[start : start + size] for start in range(0, len(work), size)]
    with closing(workers.in_order(partial(_facts_of, base), chunks, processes)) as found:
        yield from chain.from_iterable(found)


def _facts_of(base: Path, work: Sequence[Source]) -> list[_Row]:
    return [_fact(base, source) for source in work]


def _fact(base: Path, source: Source) -> _Row:
    # Before reading: if the file changes meanwhile, it is examined again the next time.
    name, (size, mtime) = _name(source), _stamp(str(base), source.path)
    try:
        content = sha256(source.content(base)).hexdigest()
        picture = source.read(base)
    except (OSError, UnreadablePicture) as error:
        return name, size, mtime, "", b"", 0, 0, str(error) or type(error).__name__
    height, width = picture.shape[:2]
    return name, size, mtime, content, likeness_hash(picture), height, width, ""


def _name(source: Source) -> str:
    return blake2b(repr(source).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _stamp(base: str, path: str) -> tuple[int, int]:
    try:
        found = os.stat(f"{base}/{path}")  # noqa: PTH116 (a Path for each would take longer)
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _recall(path: Path) -> dict[str, _Row]:
    table = read_parquet(path, SCHEMA)
    if table is None:
        return {}
    columns = [table.column(name).to_pylist() for name in SCHEMA.names]
    return {row[0]: row for row in zip(*columns, strict=True)}


def _save(path: Path, known: dict[str, _Row]) -> None:
    """Facts of pictures outside the listing are kept: another protocol may list them."""
    write_parquet(path, pd.DataFrame(list(known.values()), columns=SCHEMA.names), SCHEMA)


def _frame(listing: Listing, rows: Sequence[_Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=SCHEMA.names).drop(columns=["source", "bytes", "mtime"])
    frame.insert(0, "id", [entry.id for entry in listing.entries])
    return frame
