"""What the drawn data sets share: samples, groups, and pictures cached per split on disk."""

import dataclasses
import io
import math
import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from bench import faces
from bench.data.base import ClipDataSet, DataSet, Sample, Split
from bench.util import runtime
from bench.util.errors import UserError, unknown
from bench.util.files import SEAL_BYTES, atomic, cache_folder, digest, seal, unsealed

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
        face = self._face(sample)
        return {**face.attributes(), "teeth_visible": faces.teeth_visible(face)}

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
        """Whether a split is on disk already; damage is found, and mended, when it is read."""
        try:
            return self._path(split).stat().st_size == _file_size(self._shape(split))
        except OSError:
            return False

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
        path, shape = self._path(split), self._shape(split)
        pictures = _read(path, shape)
        if pictures is None:  # absent or damaged
            _write(path, shape, self._parts(split, progress))
            pictures = _read(path, shape)
        if pictures is None:
            raise UserError(f"{path} has other bytes than were written; is the disk whole?", 1)
        return pictures

    def _shape(self, split: Split) -> tuple[int, ...]:
        return self._pictures_in(split), SIDE, SIDE, 3

    def _parts(self, split: Split, progress: Progress | None) -> Iterator[np.ndarray]:
        """Draws a split, in processes if it is large; yields its pictures in order, by chunks."""
        size = self.sizes[split]
        ranges = [
            range(start, min(start + self.chunk, size)) for start in range(0, size, self.chunk)
        ]
        processes = min(len(ranges), os.cpu_count() or 1)
        died = (
            "a process that draws faces died (out of memory?). The same command draws them again."
        )
        with ExitStack() as stack:
            here = processes == 1
            each = map if here else stack.enter_context(runtime.pool(processes, died)).map
            for numbers, part in zip(ranges, each(self._draw(split), ranges), strict=True):
                yield part
                if progress is not None:
                    progress(len(numbers))


# A file of pictures is an array as numpy writes it, sealed.


def _header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    entries = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, entries)
    return header.getvalue()


def _file_size(shape: tuple[int, ...]) -> int:
    return len(_header(shape)) + math.prod(shape) + SEAL_BYTES


def _write(path: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
    """Writes parts one after the other as one array, so that they never fill the memory.

    They are written, not mapped: a full disk is then an error and not the end of the process.
    """
    with atomic(path) as scratch:
        with scratch.open("wb") as handle:
            for block in chain([_header(shape)], (part.tobytes() for part in parts)):
                handle.write(block)
        seal(scratch, path.name)


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array, memory-mapped; None if the file is not there, or not the one that was written."""
    stored = unsealed(path)
    if stored is None or len(stored) + SEAL_BYTES != _file_size(shape):
        return None
    return np.frombuffer(stored, np.uint8, offset=len(_header(shape))).reshape(shape)


# ------------------------------------------------------------------------------------------------
# The embedded data set: drawn faces, generated on first use and cached on disk.
#
# Train, validation and test are disjoint by identity. The set is never shipped and always the same:
# a picture is a function of (seed, split, index, difficulty, set of expressions, domain, drawing).


class DrawnFaces(DrawnDataSet):
    """Drawn faces of basic or compound expressions, 64x64.

    Args:
        sizes: Pictures per split.
        difficulty: A name in `faces.DIFFICULTIES`.
        seed: Another seed is another set of the same kind.
        expressions: A name in `faces.EXPRESSION_SETS`; no person is in two of these sets.
        domain: A name in `faces.DOMAINS`: the room and the camera.
        drawing: A number in `faces.DRAWINGS`; the drawings share persons and expressions.

    Raises:
        UserError: For a name or a number that does not exist.
    """

    classes = faces.EXPRESSIONS
    kind = "drawn faces"
    chunk = 175

    def __init__(
        self,
        sizes: dict[Split, int],
        difficulty: str = "default",
        seed: int = 0,
        expressions: str = "basic",
        domain: str = "default",
        drawing: int = faces.DRAWING,
    ) -> None:
        if drawing not in faces.DRAWINGS:
            raise unknown("drawing", str(drawing), map(str, faces.DRAWINGS))
        if expressions not in faces.EXPRESSION_SETS:
            raise unknown("set of expressions", expressions, faces.EXPRESSION_SETS)
        if difficulty not in faces.DIFFICULTIES:
            raise unknown("difficulty of drawn faces", difficulty, faces.DIFFICULTIES)
        self.difficulty, self.expressions, self.drawing = difficulty, expressions, drawing
        self.classes = faces.EXPRESSION_SETS[expressions]
        name = "faces" if expressions == "basic" else f"faces_{expressions}"
        name = name if difficulty == "default" else f"{name}_{difficulty}"
        name = name if drawing == faces.DRAWING else f"{name}_drawing{drawing}"
        super().__init__(name, sizes, seed, domain)

    def picture(self, sample: Sample) -> np.ndarray:
        """The picture, from the cache."""
        split, index = self._address(sample)
        picture: np.ndarray = self.pictures(split)[index]
        return picture

    def _face(self, sample: Sample) -> faces.Face:
        split, index = self._address(sample)
        return faces.sample_face(
            self.seed,
            split,
            index,
            self._difficulty,
            self.expressions,
            self._domain,
            self.drawing,
        )

    def _drawing(self) -> list[object]:
        settings: list[object] = [
            RENDERER_VERSION, dataclasses.asdict(self._difficulty), self.seed
        ]  # fmt: skip
        # Defaults stay out: checkpoints are addressed by the digests of older sets.
        if self.expressions != "basic":
            settings.append(self.expressions)
        if self.domain != "default":
            settings.append(dataclasses.asdict(self._domain))
        if self.drawing != 1:
            settings.append(dataclasses.asdict(faces.DRAWINGS[self.drawing]))
        return settings

    def _pictures_in(self, split: Split) -> int:
        return self.sizes[split]

    def _draw(self, split: Split) -> Callable[[range], np.ndarray]:
        return partial(
            faces.generate,
            self.seed,
            split,
            difficulty=self._difficulty,
            expressions=self.expressions,
            domain=self._domain,
            drawing=self.drawing,
        )

    @property
    def _difficulty(self) -> faces.Difficulty:
        return faces.DIFFICULTIES[self.difficulty]


# ------------------------------------------------------------------------------------------------
# Drawn clips: the seven basic expressions from onset over apex to offset, in motion.


#: Raise when clips have other lengths or movements; the renderer's version counts as well.
CLIPS_VERSION = 2


class DrawnClips(DrawnDataSet, ClipDataSet):
    """Clips of drawn faces, 12 to 40 frames of 64x64, one person, light and room per clip.

    Frames come from the cache where their split was drawn, and are drawn one by one where not.
    Attributes and groups are those of the middle frame.

    Args:
        sizes: Clips per split.
        seed: Another seed is another set of the same kind.
        domain: A name in `faces.DOMAINS`: the room and the camera.
        task: A name in `faces.TASKS`: what has to be recognised.

    Raises:
        UserError: If there is no such domain or task.
    """

    kind = "clips of drawn faces"
    chunk = 7

    def __init__(
        self,
        sizes: dict[Split, int],
        seed: int = 0,
        domain: str = "default",
        task: str = "expression",
    ) -> None:
        if task not in faces.TASKS:
            raise unknown("task of drawn clips", task, faces.TASKS)
        self.task, self.classes = task, faces.TASKS[task]
        super().__init__("clips" if task == "expression" else f"clips_{task}", sizes, seed, domain)
        self._starts: dict[Split, np.ndarray] = {}

    def frame_count(self, sample: Sample) -> int:
        """Number of frames of the clip; 20 us."""
        return faces.frame_count(self.seed, *self._address(sample))

    def clip(self, sample: Sample, frames: Sequence[int]) -> np.ndarray:
        """The frames with the given numbers (from 0, repetitions allowed), uint8 (T, H, W, 3).

        Raises:
            ValueError: If the clip has no such frame.
        """
        split, index = self._address(sample)
        count = self.frame_count(sample)
        for number in frames:
            if not 0 <= number < count:
                raise ValueError(f"{sample.id} has frames 0 to {count - 1}, not {number}")
        if self.is_cached(split):
            rows = self._first_pictures(split)[index] + np.array(frames, np.int64)
            stored: np.ndarray = self.pictures(split)[rows]
            return stored
        clip = self._clip(sample)
        drawn = {number: faces.draw(clip.face(number)) for number in set(frames)}
        return np.array([drawn[n] for n in frames], np.uint8).reshape(-1, SIDE, SIDE, 3)

    def attributes(self, sample: Sample) -> dict[str, str | float | int | bool]:
        """All that was sampled for the middle frame, and the number of frames."""
        return {**super().attributes(sample), "frames": self.frame_count(sample)}

    def _clip(self, sample: Sample) -> faces.Clip:
        return faces.sample_clip(self.seed, *self._address(sample), self._domain, self.task)

    def _face(self, sample: Sample) -> faces.Face:
        clip = self._clip(sample)
        return clip.face(clip.frame_count // 2)

    def _drawing(self) -> list[object]:
        settings: list[object] = ["clips", CLIPS_VERSION, RENDERER_VERSION, self.seed]
        settings.append(dataclasses.asdict(faces.DIFFICULTIES["default"]))
        settings.append(dataclasses.asdict(faces.DRAWINGS[faces.DRAWING]))
        if self.task != "expression":
            settings.append(self.task)
        if self.domain != "default":
            settings.append(dataclasses.asdict(self._domain))
        return settings

    def _pictures_in(self, split: Split) -> int:
        return int(self._first_pictures(split)[-1])

    def _first_pictures(self, split: Split) -> np.ndarray:
        """Where each clip begins among the pictures of its split, and where the last one ends."""
        if split not in self._starts:
            counts = [faces.frame_count(self.seed, split, i) for i in range(self.sizes[split])]
            self._starts[split] = np.cumsum([0, *counts])
        return self._starts[split]

    def _draw(self, split: Split) -> Callable[[range], np.ndarray]:
        return partial(faces.generate_clips, self.seed, split, domain=self._domain, task=self.task)
