"""Files that are never half written (temporary name, fsync, rename), and digests of content."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


@contextlib.contextmanager
def atomic(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path; what is written there becomes `path` if the block succeeds.

    Works for a file and for a whole folder, on one file system.

    Args:
        path: The file or folder.
        flush: Force it to the disk before it gets its name, so that it is whole even if the machine
            loses power. Slow for thousands of files; not needed where they can be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield scratch
        if flush:
            _flush(scratch)
        if scratch.is_dir() and path.exists():
            shutil.rmtree(path)  # a rename does not replace a folder
        scratch.replace(path)
    except Exception as error:
        # Libraries report a full disk in their own ways; say it in one.
        if shutil.disk_usage(path.parent).free < 16 << 20:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            raise full from error
        raise
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            scratch.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, atomically."""
    with atomic(path) as scratch:
        scratch.write_text(json.dumps(content, indent=1) + "\n")


def digest(content: Any) -> str:
    """Twelve hex digits of SHA-256 over canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _flush(path: Path) -> None:
    """Force a file, or every file of a folder, to the disk."""
    for file in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


# ------------------------------------------------------------------------------------------------
# Parquet files that are never half written, and that say when they are damaged.


def write_parquet(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write `frame`, atomically, with a checksum per page."""
    write_table(path, pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def write_table(path: Path, table: pa.Table, floats: str | None = None) -> None:
    """Write `table`, atomically, with a checksum per page.

    Args:
        path: Where.
        table: What.
        floats: The column, as Parquet names it, that most of the table is. Measured floats hardly
            repeat: their bytes stored apart compress better than a dictionary of them.
    """
    packed = {"use_dictionary": False, "use_byte_stream_split": [floats]} if floats else {}
    with atomic(path) as scratch:
        pq.write_table(table, scratch, compression="zstd", write_page_checksum=True, **packed)


def read_parquet(path: Path, schema: pa.Schema | None = None) -> pa.Table | None:
    """The table at `path`, None if it is absent, damaged or has other columns than `schema`."""
    try:
        # Parts are small and many: threads and a search for partitions cost more than they give.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(use_threads=False)
    except (OSError, ValueError, pa.ArrowException):  # names of columns may be no text
        return None
    # No checksum covers the footer: types may be others than were written.
    return table if schema is None or table.schema.equals(schema) else None


# ------------------------------------------------------------------------------------------------
# Files that come with the bench: beside the code in a clone, inside the package when installed.


_PACKAGE = Path(__file__).parents[1]


def find(relative: Path) -> Path | None:
    """The shipped file or folder at `relative` (for example configs/default.yaml), if it exists."""
    for root in (_PACKAGE.parent, _PACKAGE / "_shipped"):
        if (root / relative).exists():
            return root / relative
    return None
