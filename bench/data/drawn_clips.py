"""Drawn clips: the seven basic expressions from onset over apex to offset, in motion."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bench.data import faces
from bench.data.base import ClipDataSet, Sample, Split
from bench.data.drawn import RENDERER_VERSION, SIDE, DrawnDataSet

#: Raise when clips have other lengths or movements; the renderer's version counts as well.
CLIPS_VERSION = 1


class DrawnClips(DrawnDataSet, ClipDataSet):
    """Clips of drawn faces, 12 to 40 frames of 64x64, one person, light and room per clip.

    Frames come from the cache where their split was drawn, and are drawn one by one where not.
    Attributes and groups are those of the middle frame.

    Args:
        sizes: Clips per split.
        seed: Another seed is another set of the same kind.
        domain: A name in `faces.DOMAINS`: the room and the camera.

    Raises:
        UserError: If there is no such domain.
    """

    classes = faces.EXPRESSIONS
    kind = "clips of drawn faces"
    chunk = 7

    def __init__(self, sizes: dict[Split, int], seed: int = 0, domain: str = "default") -> None:
        super().__init__("clips", sizes, seed, domain)
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
        return faces.sample_clip(self.seed, *self._address(sample), self._domain)

    def _face(self, sample: Sample) -> faces.Face:
        clip = self._clip(sample)
        return clip.face(clip.frame_count // 2)

    def _drawing(self) -> list[object]:
        settings: list[object] = ["clips", CLIPS_VERSION, RENDERER_VERSION, self.seed]
        settings.append(dataclasses.asdict(faces.DIFFICULTIES["default"]))
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
        return partial(faces.generate_clips, self.seed, split, domain=self._domain)
