"""What a data set is to the bench: an index of samples, and their pictures."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

Split = Literal["train", "val", "test"]

FrameChange = Callable[[Callable[[Sequence[int]], np.ndarray], int, Sequence[int]], np.ndarray]
"""(frames by their numbers, how many a clip has, numbers of those shown (T,)) -> what is seen in
their place, uint8 (T, H, W, 3)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a data set.

    Attributes:
        id: Unique within the data set and stable: it addresses all noise of the sample.
        label: Class name.
    """

    id: str
    label: str


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why."""

    path: str
    reason: str


class DataSet(ABC):
    """An index of samples in three disjoint splits.

    Attributes:
        name: How tables call it.
        classes: Class names, in table order.
        digest: Changes whenever a sample, a label, a split or a picture changes.
        kind: What it is, in words.
        protocol: Which pictures and whose split, in a few words for captions; empty if that goes
            without saying.
        synthetic: Whether its pictures are generated; such a set is no evidence about real faces.
        skipped: Files left out, for the report.
        group_values: Values of each group attribute, in table order.
        clips: The clips, where classifiers are shown clips (`bench.data.clips.ShownClips`).
        length: Frames that classifiers are shown of a sample.
    """

    name: str
    classes: tuple[str, ...]
    digest: str
    kind: str
    protocol: str = ""
    synthetic: bool = False
    skipped: tuple[Skipped, ...] = ()
    group_values: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    clips: "ClipDataSet | None" = None
    length: int = 1

    @property
    def training_digest(self) -> str:
        """Changes whenever what is trained on changes; checkpoints are known by it."""
        return self.digest

    @abstractmethod
    def samples(self, split: Split) -> Sequence[Sample]:
        """The samples of a split, always in the same order."""

    @abstractmethod
    def picture(self, sample: Sample) -> np.ndarray:
        """The picture at its native size, uint8 RGB (H, W, 3).

        Raises:
            UnreadablePicture: If it could be read when the data set was opened and no longer can.
        """

    def shown(self, sample: Sample, change: "FrameChange | None" = None) -> np.ndarray:
        """What a run shows classifiers of a sample: its picture, or some frames of a clip.

        Args:
            sample: The sample.
            change: Makes what is seen in the place of the frames of a clip that are shown.

        Returns:
            uint8 RGB (H, W, 3), or (T, H, W, 3) where a run is about clips.

        Raises:
            UnreadablePicture: As of `picture`.
            TypeError: If frames of a picture are to be changed.
        """
        if change is not None:
            raise TypeError(f"{sample.id} is a picture, which has no frames")
        return self.picture(sample)

    @abstractmethod
    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width of the picture in pixels, without reading it again."""

    def attributes(self, sample: Sample) -> dict[str, str | float | int | bool]:
        """What is known of a sample besides its label, as table columns; empty by default."""
        return {}

    def groups(self, sample: Sample) -> dict[str, str]:
        """The groups that a sample is in: a value for each group attribute that applies to it."""
        return {}


class ClipDataSet(DataSet):
    """A data set whose samples are clips.

    Classifiers of pictures see the middle frame of each clip, which is also its `picture`.
    """

    @abstractmethod
    def frame_count(self, sample: Sample) -> int:
        """Number of frames of the clip."""

    @abstractmethod
    def clip(self, sample: Sample, frames: Sequence[int]) -> np.ndarray:
        """The frames with the given numbers (from 0, repetitions allowed), uint8 (T, H, W, 3)."""

    def picture(self, sample: Sample) -> np.ndarray:
        """The middle frame."""
        middle: np.ndarray = self.clip(sample, [self.frame_count(sample) // 2])[0]
        return middle


class AroundDataSet(DataSet):
    """A data set around another one, which is in all that one is unless it says otherwise.

    Args:
        inner: The other one.
    """

    def __init__(self, inner: DataSet) -> None:
        self.inner = inner
        self.name, self.classes, self.digest = inner.name, inner.classes, inner.digest
        self.kind, self.protocol, self.synthetic = inner.kind, inner.protocol, inner.synthetic
        self.skipped, self.group_values = inner.skipped, dict(inner.group_values)
        self.clips, self.length = inner.clips, inner.length

    @property
    def training_digest(self) -> str:
        """The other one's."""
        return self.inner.training_digest

    def samples(self, split: Split) -> Sequence[Sample]:
        """The other one's."""
        return self.inner.samples(split)

    def picture(self, sample: Sample) -> np.ndarray:
        """The other one's."""
        return self.inner.picture(sample)

    def shown(self, sample: Sample, change: FrameChange | None = None) -> np.ndarray:
        """The other one's."""
        return self.inner.shown(sample, change)

    def size(self, sample: Sample) -> tuple[int, int]:
        """The other one's."""
        return self.inner.size(sample)

    def attributes(self, sample: Sample) -> dict[str, str | float | int | bool]:
        """The other one's."""
        return self.inner.attributes(sample)

    def groups(self, sample: Sample) -> dict[str, str]:
        """The other one's."""
        return self.inner.groups(sample)


def balanced_subset(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` samples, taken in turn from each class; all of them if `limit` is None.

    The smaller subset of two limits is contained in the larger one.
    """
    if limit is None or limit >= len(samples):
        return list(samples)
    rank: dict[str, int] = {}
    ranked = []
    for position, sample in enumerate(samples):
        rank[sample.label] = rank.get(sample.label, -1) + 1
        ranked.append((rank[sample.label], position, sample))
    chosen = sorted(ranked, key=lambda item: item[:2])[:limit]
    return [sample for _, _, sample in sorted(chosen, key=lambda item: item[1])]
