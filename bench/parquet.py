"""Parquet files that are never half written, and that say when they are damaged."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.files import atomic


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
