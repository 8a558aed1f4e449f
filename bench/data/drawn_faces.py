"""The embedded data set: drawn faces, generated on first use and cached on disk.

Train, validation and test are disjoint by identity. The set is never shipped and always the same:
a picture is a function of (seed, split, index, difficulty).
"""

import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from bench.data import faces
from bench.data.base import DataSet, Sample, Split
from bench.data.cache import cache_folder
from bench.files import atomic, digest

#: Raise when the renderer draws other pixels, so that no stale cache or result is ever used.
RENDERER_VERSION = 1

Progress = Callable[[int], None]


class DrawnFaces(DataSet):
    """Drawn faces of the seven basic expressions, 64x64.

    Args:
        sizes: Pictures per split.
        difficulty: A name in `faces.DIFFICULTIES`.
        seed: Another seed is another set of the same kind.
    """

    classes = faces.EXPRESSIONS
    kind = "drawn faces"
    synthetic = True
    group_values = faces.GROUPS

    def __init__(self, sizes: dict[Split, int], difficulty: str = "default", seed: int = 0) -> None:
        self.sizes, self.difficulty, self.seed = sizes, difficulty, seed
        self.name = "faces" if difficulty == "default" else f"faces_{difficulty}"
        self.digest = digest([self._drawing(), sizes])
        self._pictures: dict[Split, np.ndarray] = {}

    def samples(self, split: Split) -> Sequence[Sample]:
        """The samples of a split; ids are "<split>-<index>"."""
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
        return 64, 64

    def picture(self, sample: Sample) -> np.ndarray:
        """The picture, from the cache."""
        split, _, index = sample.id.partition("-")
        pictures: np.ndarray = self.pictures(split)  # type: ignore[arg-type]
        return pictures[int(index)]

    def pictures(self, split: Split, progress: Progress | None = None) -> np.ndarray:
        """All pictures of a split, uint8 (N, 64, 64, 3), drawn if they are not cached."""
        if split not in self._pictures:
            self._pictures[split] = self._load(split, progress)
        return self._pictures[split]

    def is_cached(self, split: Split) -> bool:
        """Whether a split is on disk already."""
        return self._path(split).exists()

    def __getstate__(self) -> dict[str, object]:
        """Workers reopen the cache instead of receiving the pictures."""
        return {**self.__dict__, "_pictures": {}}

    def _face(self, sample: Sample) -> faces.Face:
        split, _, index = sample.id.partition("-")
        return faces.sample_face(self.seed, split, int(index), self._difficulty)

    def _drawing(self) -> list[object]:
        """Everything that determines a picture besides its split and index."""
        return [RENDERER_VERSION, dataclasses.asdict(self._difficulty), self.seed]

    @property
    def _difficulty(self) -> faces.Difficulty:
        return faces.DIFFICULTIES[self.difficulty]

    def _path(self, split: Split) -> Path:
        address = digest([self._drawing(), split, self.sizes[split]])
        return cache_folder() / f"{self.name}-{split}-{address}.npy"

    def _load(self, split: Split, progress: Progress | None) -> np.ndarray:
        path = self._path(split)
        expected = (self.sizes[split], 64, 64, 3)
        try:
            pictures: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            if pictures.shape == expected and pictures.dtype == np.uint8:
                return pictures
        except (OSError, ValueError):
            pass  # absent or damaged: draw it again
        drawn = self._draw(split, progress)
        with atomic(path) as scratch, scratch.open("wb") as handle:
            np.save(handle, drawn)
        return drawn

    def _draw(self, split: Split, progress: Progress | None) -> np.ndarray:
        chunk = 175
        ranges = [
            range(start, min(start + chunk, self.sizes[split]))
            for start in range(0, self.sizes[split], chunk)
        ]
        draw = partial(faces.generate, self.seed, split, difficulty=self._difficulty)
        parts = []
        with ProcessPoolExecutor(
            max_workers=min(len(ranges), os.cpu_count() or 1),
            mp_context=multiprocessing.get_context("spawn"),
        ) as pool:
            for part in pool.map(draw, ranges):
                parts.append(part)
                if progress is not None:
                    progress(len(part))
        return np.concatenate(parts)
