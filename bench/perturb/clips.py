"""Perturbed clips: pictures' corruptions on every frame, defects in time, attacks.

    CorruptedFrames   a corruption of pictures; what stays the same from frame to frame is a choice
    FrameDefect       frames lost, frozen, shuffled, blended: before frames are chosen to be shown
    Transmitted       the clip through a video codec, with damage on the way, likewise
    AttackedFrames    an attack on all frames, or on some

What a clip becomes depends on (seed, data set, sample, perturbation, level) and on nothing else.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import metadata
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import cv2
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


Read = Callable[[Sequence[int]], np.ndarray]
"""Frames of a clip by their numbers, uint8 (N, H, W, 3)."""


@dataclass(frozen=True)
class InTime(Perturbation):
    """What can happen to a clip at its native frame rate, before frames are chosen to be shown.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        constants: At severities 1 to 5.
        version: Raise when the same clip becomes another one.
    """

    name: str
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

    @abstractmethod
    def shown(
        self, read: Read, count: int, numbers: Sequence[int], severity: int, draws_of: Sequence[Any]
    ) -> np.ndarray:
        """What is seen in the place of some frames, uint8 (T, H, W, 3).

        Args:
            read: Reads frames of the clip.
            count: How many it has, at least 1.
            numbers: Of the frames that are shown, (T,).
            severity: 1 to 5.
            draws_of: Address of the draws: run seed, name of the data set, id of the sample.
        """

    @override
    def read(
        self, dataset: "DataSet", sample: "Sample", level: str, address: Address
    ) -> np.ndarray:
        def change(read: Read, count: int, numbers: Sequence[int]) -> np.ndarray:
            of = (address.seed, address.dataset, sample.id)
            return self.shown(read, count, numbers, int(level), of)

        return dataset.shown(sample, change)

    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """The clips as they were read."""
        return list(batch.pictures)


@dataclass(frozen=True)
class FrameDefect(InTime):
    """Frames that are lost, late, in another order or blended.

    Attributes:
        law: What is seen in the place of each frame.
    """

    law: _Defect = field(kw_only=True)

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
    def shown(
        self, read: Read, count: int, numbers: Sequence[int], severity: int, draws_of: Sequence[Any]
    ) -> np.ndarray:
        """Means are taken one at a time: memory does not grow with how many frames a clip has."""
        seed, dataset, sample_id = draws_of
        seen = self.seen(count, severity, seed=seed, dataset=dataset, sample_id=sample_id)
        groups = [seen[number] for number in numbers]
        if all(len(group) == 1 for group in groups):
            return read([group[0] for group in groups])
        means = [read(group).mean(axis=0, dtype=np.float64) for group in groups]
        return np.rint(np.stack(means)).astype(np.uint8)


# ------------------------------------------------------------------------------------------------
# Video codecs: the clip is encoded at its native size and 25 frames a second, damaged, decoded.
# Both ways take one thread and no conversion of FFmpeg's, so that bytes are the same on every
# machine with the same wheel of PyAV. A frame is a packet; one that has a wrong byte is lost, as
# its checksum does not fit. Decoders never meet damaged bytes: of these FFmpeg makes pictures with
# memory in them that nobody wrote. Parameter sets do not travel with the stream, as in MP4.

_RATE = 25
_CRF, _READ_AT_ONCE = 28, 32
_LEAST_SIDE = 128
"""Smaller frames get a margin that repeats their edge and is cut off again: of frames that are a
single block of 64 px x265 makes other bytes from run to run."""

_CODECS: Mapping[str, tuple[str, dict[str, str]]] = {
    # Its tree of macroblocks reads memory that nobody wrote: other bytes from run to run.
    "libx264": ("h264", {"x264-params": "threads=1:mbtree=0"}),
    "libx265": ("hevc", {"x265-params": "log-level=none:pools=none:frame-threads=1:wpp=0"}),
}

Damage = Literal["", "bytes", "packets"]


@dataclass(frozen=True)
class Transmitted(InTime):
    """A clip as it comes out of a video codec.

    Attributes:
        codec: Of the stream.
        damage: What the constants are. "": the constant rate factor (CRF). "bytes": one byte in so
            many is wrong. "packets": so many per cent of the packets are lost. Damaged streams have
            CRF 28, x265's default.
    """

    codec: str = "libx264"
    damage: Damage = ""
    shared = True

    @override
    def parameters(self) -> dict[str, Any]:
        """With the version of PyAV, whose wheels contain the codecs."""
        version = metadata.version("av") if find_spec("av") else ""
        return super().parameters() | {"codec": self.codec, "damage": self.damage, "av": version}

    @override
    def missing(self) -> str:
        if not find_spec("av"):
            return (
                "PyAV is not installed: run `pip install 'emodc-bench[video]'`, or leave "
                f"{self.name} out."
            )
        import av

        if self.codec in av.codecs_available and _CODECS[self.codec][0] in av.codecs_available:
            return ""
        return (
            f"this PyAV has no {self.codec}: install its wheel from PyPI (`pip install "
            f"--force-reinstall av`), or leave {self.name} out."
        )

    @override
    def shown(
        self, read: Read, count: int, numbers: Sequence[int], severity: int, draws_of: Sequence[Any]
    ) -> np.ndarray:
        """Frame by frame; what was lost repeats the frame before it, as players do."""
        import av

        size = read([0]).shape[1:3]
        sides = [max(_LEAST_SIDE, side + side % 2) for side in size]
        padding = [(0, side - own) for side, own in zip(sides, size, strict=True)]
        decoder = av.CodecContext.create(_CODECS[self.codec][0], "r")
        wanted, found = sorted(set(numbers)), dict[int, np.ndarray]()
        last: np.ndarray | None = None
        for frame in self._decoded(decoder, read, count, padding, severity, draws_of):
            picture = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
            picture = picture[: size[0], : size[1]]
            while len(found) < len(wanted) and wanted[len(found)] < frame.pts:
                found[wanted[len(found)]] = picture if last is None else last
            last = picture
            if len(found) == len(wanted):
                break
        black = np.zeros((*size, 3), np.uint8)
        for number in wanted[len(found) :]:
            found[number] = black if last is None else last
        return np.stack([found[number] for number in numbers])

    def _decoded(
        self,
        decoder: Any,
        read: Read,
        count: int,
        padding: Sequence[tuple[int, int]],
        severity: int,
        draws_of: Sequence[Any],
    ) -> Iterator[Any]:
        """What the decoder makes of the stream, in the order in which frames are shown."""
        import av
        from av.codec.context import Flags

        draws = rng.generator(*draws_of, self.name, severity)
        started = False
        for packet, header in self._encoded(read, count, padding, severity):
            if not started:
                decoder.extradata, decoder.thread_count, started = header, 1, True
                decoder.flags |= Flags.output_corrupt
            if packet is not None and draws.random() < self._loss(packet.size, severity):
                continue
            try:
                yield from decoder.decode(packet)
            except av.FFmpegError:  # of what lacks all it refers to
                continue

    def _encoded(
        self, read: Read, count: int, padding: Sequence[tuple[int, int]], severity: int
    ) -> Iterator[tuple[Any, bytes]]:
        """Packets with the stream's parameter sets; at last None."""
        import av
        from av.codec.context import Flags

        crf = _CRF if self.damage else self.constants[severity - 1]
        encoder: Any = av.CodecContext.create(self.codec, "w")
        encoder.options = {"preset": "medium", "crf": f"{crf:g}", **_CODECS[self.codec][1]}
        encoder.time_base, encoder.framerate = Fraction(1, _RATE), Fraction(_RATE)
        encoder.pix_fmt, encoder.thread_count = "yuv420p", 1
        encoder.flags |= Flags.global_header
        for first in range(0, count, _READ_AT_ONCE):
            frames = read(range(first, min(first + _READ_AT_ONCE, count)))
            padded = np.pad(frames, ((0, 0), *padding, (0, 0)), mode="edge")
            if first == 0:
                encoder.height, encoder.width = padded.shape[1:3]
            for place, picture in enumerate(padded):
                planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts, frame.time_base = first + place, encoder.time_base
                for packet in encoder.encode(frame):
                    yield packet, bytes(encoder.extradata or b"")
        for packet in encoder.encode(None):
            yield packet, bytes(encoder.extradata or b"")
        yield None, b""

    def _loss(self, size: int, severity: int) -> float:
        """Probability that a packet of so many bytes is lost."""
        constant = self.constants[severity - 1]
        if self.damage == "packets":
            return constant / 100
        return 1.0 - (1.0 - 1.0 / constant) ** size if self.damage else 0.0


#: The constants are those of Mini Kinetics-C (Yi et al. 2021), which damages H.264.
_TRANSMITTED: tuple[tuple[str, str, Damage, tuple[float, ...]], ...] = (
    ("h264_crf", "libx264", "", (23.0, 30.0, 37.0, 44.0, 51.0)),
    ("h265_crf", "libx265", "", (27.0, 33.0, 39.0, 45.0, 51.0)),
    ("bit_error", "libx265", "bytes", (100_000.0, 50_000.0, 30_000.0, 20_000.0, 10_000.0)),
    ("packet_loss", "libx265", "packets", (1.0, 2.0, 3.0, 4.0, 6.0)),
)

#: Everything that happens in time, by its name in configs and tables.
DEFECTS: Mapping[str, InTime] = MappingProxyType(
    {
        **{name: FrameDefect(name, own, law=law) for name, (law, own) in _LAWS.items()},
        **{name: Transmitted(name, own, codec=c, damage=d) for name, c, d, own in _TRANSMITTED},
    }
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

    shares_batches = False

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
