"""The prepared cache: the pictures of a data set decoded, in one file, at their native size.

Pictures are found by the hash of their content, so a cache that is out of date is slow at worst,
protocols of one data set share it, and copies are stored once.
"""

from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.data.readers.base import Layout
from bench.util.files import cache_folder, digest, read_parquet

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
