"""What the drawn data sets share: samples, groups, and pictures cached per split on disk."""

import multiprocessing
import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from bench.data import faces
from bench.data.base import DataSet, Sample, Split
from bench.data.cache import cache_folder
from bench.errors import unknown
from bench.files import atomic, digest

#: Raise when the renderer draws other pixels, so that no stale cache or result is ever used.
RENDERER_VERSION = 1

SIDE = 64

Progress = Callable[[int], None]
"""Is told how many more samples are drawn."""


class DrawnDataSet(DataSet):
    """A data set of drawn faces; a sample is a function of (seed, split, index, settings).

    Args:
        name: How tables call it.
        sizes: Samples per split.
        seed: Another seed is another set of the same kind.
        domain: A name in `faces.DOMAINS`.

    Raises:
        UserError: If there is no such domain.
    """

    synthetic = True
    group_values = faces.GROUPS
    chunk: int  # samples that a process draws at a time

    def __init__(self, name: str, sizes: dict[Split, int], seed: int, domain: str) -> None:
        if domain not in faces.DOMAINS:
            raise unknown("domain of drawn faces", domain, faces.DOMAINS)
        self.sizes, self.seed, self.domain = sizes, seed, domain
        self.name = name if domain == "default" else f"{name}_{domain}"
        self.digest = digest([self._drawing(), sizes])
        self._drawn: dict[Split, np.ndarray] = {}

    def samples(self, split: Split) -> Sequence[Sample]:
        """The samples of a split; ids are "<split>-<index>", classes come in turn."""
        return [
            Sample(f"{split}-{index:05d}", self.classes[index % len(self.classes)])
            for index in range(self.sizes[split])
        ]

    def attributes(self, sample: Sample) -> dict[str, str | float | int | bool]:
        """All that was sampled for a picture: identity, pose, light, action units..."""
        return self._face(sample).attributes()

    def groups(self, sample: Sample) -> dict[str, str]:
        """Skin tone, age, glasses... (see `faces.groups`); 0.2 ms."""
        return faces.groups_of(self._face(sample))

    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width, without drawing."""
        return SIDE, SIDE

    def pictures(self, split: Split, progress: Progress | None = None) -> np.ndarray:
        """All pictures of a split, uint8 (N, 64, 64, 3), drawn if they are not cached."""
        if split not in self._drawn:
            self._drawn[split] = self._load(split, progress)
        return self._drawn[split]

    def is_cached(self, split: Split) -> bool:
        """Whether a split is on disk already."""
        return self._path(split).exists()

    def __getstate__(self) -> dict[str, object]:
        """Workers reopen the cache instead of receiving the pictures."""
        return {**self.__dict__, "_drawn": {}}

    def _address(self, sample: Sample) -> tuple[Split, int]:
        """Split and number of a sample."""
        split, _, index = sample.id.partition("-")
        return split, int(index)  # type: ignore[return-value]

    @property
    def _domain(self) -> faces.Domain:
        return faces.DOMAINS[self.domain]

    @abstractmethod
    def _face(self, sample: Sample) -> faces.Face:
        """The face of a sample's picture."""

    @abstractmethod
    def _drawing(self) -> list[object]:
        """Everything that determines a sample besides its split and index, fit for JSON."""

    @abstractmethod
    def _pictures_in(self, split: Split) -> int:
        """Number of pictures of a split."""

    @abstractmethod
    def _draw(self, split: Split) -> Callable[[range], np.ndarray]:
        """What draws samples by their numbers, uint8 (N, 64, 64, 3); it goes to processes."""

    def _path(self, split: Split) -> Path:
        address = digest([self._drawing(), split, self.sizes[split]])
        return cache_folder() / f"{self.name}-{split}-{address}.npy"

    def _load(self, split: Split, progress: Progress | None) -> np.ndarray:
        path = self._path(split)
        expected = (self._pictures_in(split), SIDE, SIDE, 3)
        try:
            pictures: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            if pictures.shape == expected and pictures.dtype == np.uint8:
                return pictures
        except (OSError, ValueError):
            pass  # absent or damaged: draw it again
        _write(path, expected, self._parts(split, progress))
        drawn: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return drawn

    def _parts(self, split: Split, progress: Progress | None) -> Iterator[np.ndarray]:
        """Draws a split in processes; yields its pictures in order, chunk by chunk."""
        size = self.sizes[split]
        ranges = [
            range(start, min(start + self.chunk, size)) for start in range(0, size, self.chunk)
        ]
        with ProcessPoolExecutor(
            max_workers=min(len(ranges), os.cpu_count() or 1),
            mp_context=multiprocessing.get_context("spawn"),
        ) as pool:
            for numbers, part in zip(ranges, pool.map(self._draw(split), ranges), strict=True):
                yield part
                if progress is not None:
                    progress(len(numbers))


def _write(path: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
    """Writes parts one after the other as one array, so that they never fill the memory.

    They are written, not mapped: a full disk is then an error and not the end of the process.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with atomic(path) as scratch, scratch.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, header)
        for part in parts:
            handle.write(part.tobytes())
