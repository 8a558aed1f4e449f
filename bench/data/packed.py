"""The prepared cache: all pictures of a data set decoded, in one file, at their native size.

A picture is used only while the hash of its content is the one that it was packed under, so a cache
that is out of date is slow at worst.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.data.cache import cache_folder
from bench.data.layouts.base import Layout
from bench.files import digest
from bench.parquet import read_parquet

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("sha256", pa.string()),
        ("offset", pa.int64()),  # of its first byte
        ("height", pa.int32()),
        ("width", pa.int32()),
    ]
)


def folder_of(layout: Layout) -> Path:
    """Where the prepared pictures of a layout are, or would be."""
    place = digest([1, str(layout.root.resolve()), layout.model_dump(mode="json")])
    return cache_folder() / "prepared" / f"{layout.name}-{place}"


class Packed:
    """Prepared pictures, memory-mapped when the first one is read.

    Args:
        file: The pixels.
        index: Columns as in `SCHEMA`, rows still valid.
    """

    def __init__(self, file: Path, index: pd.DataFrame) -> None:
        self.file = file
        self._places = {
            row[0]: (int(row[1]), int(row[2]), int(row[3]))
            for row in index[["id", "offset", "height", "width"]].itertuples(index=False)
        }
        self._pixels: np.ndarray | None = None

    def picture(self, name: str) -> np.ndarray | None:
        """The picture of a sample, uint8 (H, W, 3); None if it was not prepared."""
        place = self._places.get(name)
        if place is None:
            return None
        if self._pixels is None:
            self._pixels = np.memmap(self.file, np.uint8, mode="r")
        offset, height, width = place
        return self._pixels[offset : offset + height * width * 3].reshape(height, width, 3)

    def __getstate__(self) -> dict[str, object]:
        """Workers map the file themselves."""
        return {**self.__dict__, "_pixels": None}


def find(layout: Layout, contents: dict[str, str]) -> Packed | None:
    """The prepared pictures of a layout whose content is still as in `contents`."""
    folder = folder_of(layout)
    table = read_parquet(folder / "index.parquet", SCHEMA)
    if table is None:
        return None
    index = table.to_pandas()
    valid = index["id"].map(contents) == index["sha256"]
    pixels = folder / "pixels.bin"
    size = pixels.stat().st_size if pixels.exists() else 0
    ends = index["offset"] + index["height"].astype("int64") * index["width"] * 3
    index = index[valid & (ends <= size)]
    return Packed(pixels, index) if len(index) else None
