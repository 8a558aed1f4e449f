"""Perturbed clips: pictures' corruptions on every frame, defects in time, attacks.

    CorruptedFrames   a corruption of pictures; what stays the same from frame to frame is a choice
    FrameDefect       frames lost, frozen, shuffled, blended: before frames are chosen to be shown
    AttackedFrames    an attack on all frames, or on some

What a clip becomes depends on (seed, data set, sample, perturbation, level) and on nothing else.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from typing_extensions import override

from bench.perturb.base import Address, Batch, Measurable, ModelFree, Perturbation
from bench.store.cells import FamilyName
from bench.util import rng

if TYPE_CHECKING:
    from bench.data.base import DataSet, Sample

#: "camera": the same draws for all frames, as of dirt on a lens or of a motion of the camera.
#: "sensor": fresh draws for each frame, as of a sensor's noise.
#: "burst": as "camera", but only in a stretch of the frames that are shown.
Temporal = Literal["camera", "sensor", "burst"]

BURST = 0.4
"""Share of the shown frames that a burst changes, rounded up."""


def usual_temporal(name: str) -> Temporal:
    """What a corruption of a run draws if nothing is said: noises afresh, all others once."""
    return "sensor" if name.rpartition(".")[2].endswith("noise") else "camera"


class _OfFrames(Perturbation):
    """A perturbation of pictures, `inner`, made to frames of clips."""

    inner: Perturbation
    clips_only = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """The inner one's."""
        return self.inner.name

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """The inner one's."""
        return self.inner.usual_levels

    @override
    def level(self, asked: Any) -> str:
        return self.inner.level(asked)

    @override
    def missing(self) -> str:
        return self.inner.missing()

    @override
    def of_clips(self) -> Perturbation:
        return self

    @property
    @override
    def of_pictures(self) -> Perturbation:
        return self.inner


@dataclass(frozen=True)
class CorruptedFrames(_OfFrames, ModelFree):
    """A change of pictures, made to every frame of clips at its native size.

    Attributes:
        inner: What becomes of a picture.
        temporal: What is drawn anew; None: as `usual_temporal` says.
    """

    inner: ModelFree
    temporal: Temporal | None = None

    @property
    def family(self) -> FamilyName:  # type: ignore[override]
        """The change's."""
        return self.inner.family

    @property
    def chosen(self) -> Temporal:
        """What is drawn anew."""
        return self.temporal or usual_temporal(self.name)

    def parameters(self) -> dict[str, Any]:
        """The change's, and what is drawn anew."""
        return self.inner.parameters() | {"temporal": self.chosen}

    def inputs(self, level: str) -> dict[str, Any]:
        """Likewise, at one level."""
        return self.inner.inputs(level) | {"temporal": self.chosen}

    def changed(
        self, pictures: np.ndarray, level: str, address: Address, ids: Sequence[str]
    ) -> np.ndarray:
        """Clips uint8 (N, T, H, W, 3); frame k of the sensor's is addressed as "<id>#k"."""
        count, length = pictures.shape[:2]
        if self.chosen == "sensor":
            names = [f"{name}#{k}" for name in ids for k in range(length)]
        else:
            names = [name for name in ids for _ in range(length)]
        frames = pictures.reshape(count * length, *pictures.shape[2:])
        found = self.inner.changed(frames, level, address, names).reshape(pictures.shape)
        if self.chosen != "burst":
            return found
        result, size = pictures.copy(), math.ceil(BURST * length)
        for row, name in enumerate(ids):
            draws = rng.generator(address.seed, address.dataset, name, self.name, level, "burst")
            first = int(draws.integers(length - size + 1))
            result[row, first : first + size] = found[row, first : first + size]
        return result


def _dropped(count: int, share: float, draws: np.random.Generator) -> np.ndarray:
    """Each frame but the first is lost with probability `share`; the one before it is repeated."""
    kept = draws.random(count) >= share
    kept[0] = True
    return np.maximum.accumulate(np.where(kept, np.arange(count), 0))


def _frozen(count: int, share: float, draws: np.random.Generator) -> np.ndarray:
    """The last `share` of the frames, give or take a tenth of all, repeat the one before them."""
    until = 1.0 - share + draws.uniform(-0.1, 0.1)
    return np.minimum(np.arange(count), max(0, int(until * count) - 1))


def _slowed(count: int, factor: float, draws: np.random.Generator) -> np.ndarray:
    """One frame in `factor` is kept and repeated; its place is drawn."""
    every = int(factor)
    phase = int(draws.integers(every))
    return np.maximum(0, (np.arange(count) + phase) // every * every - phase)


def _shuffled(count: int, share: float, draws: np.random.Generator) -> np.ndarray:
    """Frames change places within stretches of `share` of the clip, from the first frame on."""
    size = max(2, round(share * count))
    stretches = [np.arange(first, min(first + size, count)) for first in range(0, count, size)]
    return np.concatenate([draws.permutation(stretch) for stretch in stretches])


def _blended(count: int, reach: float, draws: np.random.Generator) -> list[range]:
    """Each frame is the mean of itself and `reach` frames on either side, as far as there are."""
    del draws
    return [range(max(0, n - int(reach)), min(count, n + int(reach) + 1)) for n in range(count)]


_Defect = Callable[[int, float, np.random.Generator], np.ndarray | Sequence[Sequence[int]]]
"""(frames, constant, draws) -> of each frame the number of that which is seen, or of several."""

_LAWS: Mapping[str, tuple[_Defect, tuple[float, ...]]] = {
    "frame_drop": (_dropped, (0.1, 0.2, 0.3, 0.5, 0.7)),
    "freeze": (_frozen, (0.2, 0.35, 0.5, 0.65, 0.8)),
    "frame_rate": (_slowed, (2.0, 3.0, 4.0, 6.0, 8.0)),
    "shuffle": (_shuffled, (0.125, 0.25, 0.5, 0.75, 1.0)),
    # The constants of Mini Kinetics-C's motion blur (Yi et al. 2021, NeurIPS Datasets), whose
    # clips lose the frames that lack neighbours; these keep them.
    "frame_blend": (_blended, (3.0, 5.0, 7.0, 9.0, 11.0)),
}


@dataclass(frozen=True)
class FrameDefect(Perturbation):
    """What can happen to a clip in time, at its native frame rate, before frames are chosen.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        law: What is seen in the place of each frame.
        constants: Of the law at severities 1 to 5.
        version: Raise when the same clip becomes another one.
    """

    name: str
    law: _Defect
    constants: tuple[float, ...]
    version: int = 1
    family = "corruption"
    clips_only = True

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """All severities."""
        return tuple(str(number) for number in range(1, len(self.constants) + 1))

    def parameters(self) -> dict[str, Any]:
        """Name, constants and version."""
        return {"name": self.name, "levels": list(self.constants), "version": self.version}

    @override
    def of_clips(self) -> Perturbation:
        return self

    def seen(
        self, count: int, severity: int, *, seed: int, dataset: str, sample_id: str
    ) -> Sequence[Sequence[int]]:
        """Of each frame of a clip, the frames whose mean is seen in its place, (count, ...).

        Args:
            count: Frames of the clip, at least 1.
            severity: 0 (every frame in its place) to 5.
            seed: Run seed.
            dataset: Name of the data set.
            sample_id: Of the clip.
        """
        if severity == 0:
            return [[number] for number in range(count)]
        draws = rng.generator(seed, dataset, sample_id, self.name, severity)
        found = self.law(count, self.constants[severity - 1], draws)
        if isinstance(found, np.ndarray):
            return [[int(number)] for number in found]
        return found

    @override
    def read(
        self, dataset: "DataSet", sample: "Sample", level: str, address: Address
    ) -> np.ndarray:
        def change(count: int, numbers: Sequence[int]) -> list[Sequence[int]]:
            found = self.seen(
                count,
                int(level),
                seed=address.seed,
                dataset=address.dataset,
                sample_id=sample.id,
            )
            return [found[number] for number in numbers]

        return dataset.shown(sample, change)

    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """The clips as they were read."""
        return list(batch.pictures)


#: Every defect in time, by its name in configs and tables.
DEFECTS: Mapping[str, FrameDefect] = MappingProxyType(
    {name: FrameDefect(name, *law) for name, law in _LAWS.items()}
)


# ------------------------------------------------------------------------------------------------
# Attacks on clips.


@dataclass(frozen=True)
class AttackedFrames(_OfFrames):
    """An attack on all frames of clips, or on some of them.

    The attack sees the frames one below the other as one picture, so any attack of pictures will
    do: its budget holds for every pixel of every frame.

    Attributes:
        inner: The attack.
        frames: How many frames it may change, evenly spread; None: all.
    """

    inner: Perturbation
    frames: int | None = None
    family = "attack"
    limit = "attack_limit"
    evaluation_fields = frozenset({"attack_steps"})

    @property
    def source(self) -> str:  # type: ignore[override]
        """The attack's."""
        return self.inner.source

    @property
    @override
    def queries(self) -> int:
        return self.inner.queries

    @property
    @override
    def every_step(self) -> bool:
        return self.inner.every_step

    def parameters(self) -> dict[str, Any]:
        """The attack's, and which frames it changes."""
        return self.inner.parameters() | {"frames": self.frames or "all"}

    def inputs(self, level: str) -> dict[str, Any]:
        """Likewise, at one level."""
        return self.inner.inputs(level) | {"frames": self.frames or "all"}

    @override
    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """Each clip alone."""
        assert classifier is not None
        found = []
        for clip, name, label in zip(batch.pictures, batch.ids, batch.labels, strict=True):
            count = min(self.frames or len(clip), len(clip))
            chosen = [(2 * place + 1) * len(clip) // (2 * count) for place in range(count)]
            tall = clip[chosen].reshape(-1, *clip.shape[2:])
            view = _TallView(classifier, clip, chosen)
            (moved,) = self.inner.apply(
                Batch([tall], [name], [label], batch.notes), level, address, view
            )
            changed = clip.astype(moved.dtype)
            changed[chosen] = moved.reshape(len(chosen), *clip.shape[1:])
            found.append(changed)
        return found


class _TallView:
    """A classifier of clips to an attack that sees chosen frames of one clip as a tall picture."""

    def __init__(self, classifier: Measurable, clip: np.ndarray, chosen: Sequence[int]) -> None:
        self._classifier, self._clip, self._chosen = classifier, clip, list(chosen)
        self.classes = classifier.classes

    def attack_target(self, sample_id: str, every_step: bool = False, fresh: bool = False) -> Any:
        import torch
        from torch import Tensor, nn

        target = self._classifier.attack_target(sample_id, every_step, fresh)
        chosen, count = self._chosen, len(self._chosen)
        still = torch.from_numpy(np.moveaxis(self._clip, -1, 0) / np.float32(255.0))[None]

        class Tall(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.target = target

            def forward(self, images: Tensor) -> Tensor:
                frames = images.unflatten(2, (count, -1))  # (B, 3, count, H, W)
                clips = still.to(images).expand(len(images), -1, -1, -1, -1)
                logits: Tensor = self.target(clips.index_copy(2, torch.tensor(chosen), frames))
                return logits

        # In evaluation mode: who attacks a module in training mode leaves its network in it.
        return Tall().eval()

    def measure(self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Any = None) -> Any:
        raise TypeError("attacks ask for gradients")

    def measure_views(self, pictures: Sequence[np.ndarray], ids: Sequence[str], views: Any) -> Any:
        raise TypeError("attacks ask for gradients")
