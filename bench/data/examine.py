"""What only opening a picture can tell: its size, the hash of its content, whether it is damaged.

Every picture is opened once and what was found is remembered, in the user's cache folder, with the
size and time of its file. Only hashes and numbers are kept there, no pixels.
"""

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa

from bench import runtime
from bench.data.cache import cache_folder
from bench.data.images import UnreadablePicture
from bench.data.layouts.base import Listing, Source
from bench.files import digest
from bench.parquet import read_parquet, write_parquet
from bench.progress import Reporter

#: Raise when the same picture gives other facts.
VERSION = 1

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("bytes", pa.int64()),  # of its file
        ("mtime", pa.int64()),  # of its file, nanoseconds
        ("sha256", pa.string()),  # of what determines the picture; empty if it is unreadable
        ("dhash", pa.int64()),  # see `difference_hash`
        ("height", pa.int32()),  # pixels; 0 if it is unreadable
        ("width", pa.int32()),
        ("error", pa.string()),  # why it is unreadable, empty if it is not
    ]
)

_CHUNK = 256  # pictures per task of a process
_SAVE_EVERY = 20.0  # seconds between two saved states
_FEW = 3000  # pictures that this process reads faster than others would start

_Row = tuple[str, int, int, str, int, int, int, str]


def examine(listing: Listing, kind: str, reporter: Reporter | None = None) -> pd.DataFrame:
    """Facts of every entry of a listing, in its order; columns as in `SCHEMA`.

    Args:
        listing: What to examine.
        kind: Of its layout.
        reporter: Shows progress of what was not examined before.
    """
    path = _memory(listing.base, kind)
    known = _recall(path)
    rows: list[_Row | None] = []
    for entry in listing.entries:
        row = known.get(entry.id)
        rows.append(row if row and row[1:3] == stamp(listing.base, entry.source.path) else None)
    todo = [place for place, row in enumerate(rows) if row is None]
    if todo:
        work = [(listing.entries[place].id, listing.entries[place].source) for place in todo]
        saved = time.monotonic()
        with (reporter or Reporter(quiet=True)).task("examine pictures", len(todo)) as task:
            for place, found in zip(todo, _facts(listing.base, work), strict=True):
                rows[place] = found
                task.advance()
                if time.monotonic() - saved > _SAVE_EVERY:
                    write_parquet(path, _frame(row for row in rows if row), SCHEMA)
                    saved = time.monotonic()
        write_parquet(path, _frame(row for row in rows if row), SCHEMA)
    return _frame(row for row in rows if row)


def difference_hash(picture: np.ndarray) -> int:
    """The 64 signs of differences between neighbours in a 9x8 grey miniature, as a signed integer.

    Pictures that were only re-encoded or resized differ in few bits (dHash, N. Krawetz, 2013).

    Args:
        picture: uint8 RGB (H, W, 3).
    """
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = np.packbits(small[:, 1:] > small[:, :-1])
    return int(bits.view(">i8")[0])


def _facts(base: Path, work: Sequence[tuple[str, Source]]) -> Iterator[_Row]:
    if len(work) <= _FEW:
        for item in work:
            yield _facts_of(base, item)
        return
    chunks = [work[start : start + _CHUNK] for start in range(0, len(work), _CHUNK)]
    with ProcessPoolExecutor(
        max_workers=os.cpu_count(),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=runtime.die_with_parent,
    ) as pool:
        for rows in pool.map(partial(_facts_of_many, base), chunks):
            yield from rows


def _facts_of_many(base: Path, work: Sequence[tuple[str, Source]]) -> list[_Row]:
    return [_facts_of(base, item) for item in work]


def _facts_of(base: Path, item: tuple[str, Source]) -> _Row:
    name, source = item
    size, mtime = stamp(base, source.path)
    try:
        picture = source.read(base)
        content = sha256(source.content(base)).hexdigest()
    except (OSError, UnreadablePicture) as error:
        return name, size, mtime, "", 0, 0, 0, str(error) or type(error).__name__
    height, width = picture.shape[:2]
    return name, size, mtime, content, difference_hash(picture), height, width, ""


def stamp(base: Path, path: str) -> tuple[int, int]:
    """Bytes and time of a file, nanoseconds; -1 if it is not there."""
    try:
        found = (base / path).stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _memory(base: Path, kind: str) -> Path:
    return cache_folder() / "pictures" / f"{kind}-{digest([VERSION, str(base.resolve())])}.parquet"


def _recall(path: Path) -> dict[str, _Row]:
    table = read_parquet(path, SCHEMA)
    if table is None:
        return {}
    columns = [table.column(name).to_pylist() for name in SCHEMA.names]
    return {row[0]: row for row in zip(*columns, strict=True)}


def _frame(rows: Iterable[_Row]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=SCHEMA.names)
