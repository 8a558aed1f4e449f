"""Clips: which of their frames a classifier sees, and what it is shown of them.

Published results of clip classifiers hang on how frames are sampled, so each sampler is that of a
named project, short clips and oddities included. `sample_frames` is the door to all of them.

T is the number of frames asked for, N the number of frames in the clip.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import AroundDataSet, ClipDataSet, DataSet, FrameChange, Sample, Split
from bench.util import rng
from bench.util.errors import unknown
from bench.util.files import digest

#: For evaluation: nothing random, so that results differ by the classifier alone.
DEFAULT_SAMPLER = "tsn_middle"
DEFAULT_PADDING = "edge"


def tsn_random(count: int, length: int, draws: np.random.Generator) -> list[int]:
    """One random frame from each of T equal segments of N // T frames, N >= T.

    Training of DFER-CLIP and IAL. The N % T last frames of a clip are in no segment.
    """
    size = count // length
    return (np.arange(length) * size + draws.integers(size, size=length)).tolist()


def tsn_middle(count: int, length: int) -> list[int]:
    """The middle frame of each of T equal segments, N >= T: evaluation of DFER-CLIP and IAL."""
    return [(2 * segment + 1) * count // (2 * length) for segment in range(length)]


def linspace(count: int, length: int) -> list[int]:
    """T frames from the first to the last, equally far apart: evaluation of DFEW's authors.

    With T = N, as for the clips of 16 frames in S2D, these are all frames.
    """
    return np.linspace(0, count - 1, length).astype(int).tolist()


def m3dfel_jitter(count: int, length: int, draws: np.random.Generator) -> list[int]:
    """T equally spaced frames, each moved forward by 0 to T - 1, at most to the last one.

    Training and evaluation of M3DFEL. Frames may come out of order; short clips repeat some.
    """
    jitter = draws.integers(length, size=length)
    return np.minimum(np.arange(length) * count // length + jitter, count - 1).tolist()


def former_dfer_random(count: int, length: int, draws: np.random.Generator) -> list[int]:
    """Two consecutive frames at a random place of each of T / 2 segments: training of Former-DFER.

    Clips of T / 2 frames or fewer are their first two frames, over and over.
    """
    segments = _pairs(length)
    size = (count - 1) // segments
    if size == 0:
        return _followed([0] * segments, count)
    starts = np.arange(segments) * size + draws.integers(size, size=segments)
    return _followed(starts.tolist(), count)


def former_dfer_middle(count: int, length: int) -> list[int]:
    """Two consecutive frames at the middle of each of T / 2 segments: evaluation of Former-DFER.

    Clips of T / 2 + 1 frames or fewer are their first two frames, over and over.
    """
    segments = _pairs(length)
    if count <= segments + 1:
        return _followed([0] * segments, count)
    return _followed(tsn_middle(count - 1, segments), count)


def dense(count: int, length: int, draws: np.random.Generator, stride: int) -> list[int]:
    """T frames of a random window of T * stride frames: training of MAE-DFER.

    They are spread over the whole window, hence a little more than `stride` apart. Shorter clips
    are taken whole, in N // stride frames, and the last one is repeated.
    """
    window = length * stride
    if count <= window:
        spread = np.linspace(0, count, count // stride)
        repeated = np.full(length - len(spread), count)
        return np.minimum(np.concatenate([spread, repeated]), count - 1).astype(int).tolist()
    start = int(draws.integers(count - window))
    spread = np.linspace(start, start + window, length)
    return np.minimum(spread, start + window - 1).astype(int).tolist()


def _pairs(length: int) -> int:
    if length % 2:
        raise ValueError(f"frames come in pairs here, so {length} of them cannot be sampled")
    return length // 2


def _followed(starts: Sequence[int], count: int) -> list[int]:
    """Each frame and the one after it, if there is one."""
    return [frame for start in starts for frame in (start, min(start + 1, count - 1))]


_FIXED: Mapping[str, Callable[[int, int], list[int]]] = {
    "tsn_middle": tsn_middle,
    "linspace": linspace,
    "former_dfer_middle": former_dfer_middle,
}
_RANDOM: Mapping[str, Callable[[int, int, np.random.Generator], list[int]]] = {
    "tsn_random": tsn_random,
    "m3dfel_jitter": m3dfel_jitter,
    "former_dfer_random": former_dfer_random,
    "dense_1": partial(dense, stride=1),  # MAE-DFER on FERV39k
    "dense_4": partial(dense, stride=4),  # MAE-DFER on DFEW
}
_PADDED = frozenset({"tsn_random", "tsn_middle", "linspace"})

SAMPLERS = (*_FIXED, *_RANDOM)

#: How N frames become T or more: the last one repeated (DFER-CLIP), nothing but the first one
#: (IAL), or the whole clip as often as needed (DFEW's authors).
PADDINGS: Mapping[str, Callable[[int, int], list[int]]] = MappingProxyType(
    {
        "edge": lambda count, length: [min(frame, count - 1) for frame in range(length)],
        "first": lambda count, length: [0] * length,
        "tile": lambda count, length: [*range(count)] * -(-length // count),
    }
)


def sample_frames(
    count: int,
    length: int,
    sampler: str = DEFAULT_SAMPLER,
    padding: str = DEFAULT_PADDING,
    draws: np.random.Generator | None = None,
) -> list[int]:
    """Numbers of the frames to show, each in [0, count).

    Args:
        count: Frames in the clip, N.
        length: Frames asked for, T.
        sampler: A name in `SAMPLERS`.
        padding: A name in `PADDINGS`: what `tsn_random`, `tsn_middle` and `linspace` do with clips
            shorter than T. The others have rules of their own.
        draws: Where random samplers draw from; the others ignore it.

    Raises:
        UserError: If there is no such sampler or padding.
        ValueError: If a count is below 1, T does not suit the sampler, or draws are missing.
    """
    if sampler not in SAMPLERS:
        raise unknown("frame sampler", sampler, SAMPLERS)
    if padding not in PADDINGS:
        raise unknown("padding of short clips", padding, PADDINGS)
    if count < 1 or length < 1:
        raise ValueError(f"{length} frames of a clip of {count} cannot be sampled")
    short = count < length and sampler in _PADDED
    frames = PADDINGS[padding](count, length) if short else range(count)
    if sampler in _FIXED:
        chosen = _FIXED[sampler](len(frames), length)
    elif draws is None:
        raise ValueError(f"the frame sampler {sampler!r} is random and needs draws")
    else:
        chosen = _RANDOM[sampler](len(frames), length, draws)
    return [frames[number] for number in chosen]


# ------------------------------------------------------------------------------------------------
# What a run about clips shows its classifiers: the same frames of a clip to all of them.


class ShownClips(AroundDataSet, ClipDataSet):
    """Clips, of which some frames are shown; all else is the clips', also what is trained on.

    Args:
        clips: The clips.
        length: Frames shown of each, T.
        sampler: A name in `SAMPLERS`. Random ones draw once per clip and seed.
        padding: A name in `PADDINGS`.
        seed: Of the run.
    """

    clips: ClipDataSet

    def __init__(
        self,
        clips: ClipDataSet,
        length: int,
        sampler: str = DEFAULT_SAMPLER,
        padding: str = DEFAULT_PADDING,
        seed: int = 0,
    ) -> None:
        super().__init__(clips)
        self.clips, self.length = clips, length
        self.sampler, self.padding, self.seed = sampler, padding, seed
        others = [
            name
            for name, usual in ((sampler, DEFAULT_SAMPLER), (padding, DEFAULT_PADDING))
            if name != usual
        ]
        self.name = "_".join([clips.name, f"t{length}", *others])
        shown = f"{length} frames of a clip, sampled by {sampler}, padded by {padding}; WAR"
        self.protocol = f"{clips.protocol}; {shown}" if clips.protocol else shown
        drawn = {"seed": seed} if sampler in _RANDOM else {}
        self.digest = digest({"clips": clips.digest, "frames": [length, sampler, padding], **drawn})

    def frame_count(self, sample: Sample) -> int:
        """The clips'."""
        return self.clips.frame_count(sample)

    def clip(self, sample: Sample, frames: Sequence[int]) -> np.ndarray:
        """The clips'."""
        return self.clips.clip(sample, frames)

    def shown(self, sample: Sample, change: FrameChange | None = None) -> np.ndarray:
        """The frames that are shown, uint8 (T, H, W, 3)."""
        count = self.clips.frame_count(sample)
        draws = rng.generator(self.seed, self.clips.name, sample.id, "shown frames")
        numbers = sample_frames(count, self.length, self.sampler, self.padding, draws)
        read = partial(self.clips.clip, sample)
        return read(numbers) if change is None else change(read, count, numbers)


class ClipFrames(DataSet):
    """Some frames of each clip as pictures of their own, for classifiers of pictures to train on.

    Args:
        clips: The clips.
        count: Frames of each clip, the middles of as many equal segments.
    """

    def __init__(self, clips: ClipDataSet, count: int) -> None:
        self._of, self.count = clips, count
        self.name, self.classes, self.kind = (
            f"{clips.name}_frames{count}",
            clips.classes,
            clips.kind,
        )
        self.synthetic, self.skipped, self.protocol = clips.synthetic, clips.skipped, clips.protocol
        self.digest = digest([clips.training_digest, "frames", count])

    def samples(self, split: Split) -> Sequence[Sample]:
        """Each clip's frames one after the other; ids end in "#k"."""
        return [
            Sample(f"{sample.id}#{place}", sample.label)
            for sample in self._of.samples(split)
            for place in range(self.count)
        ]

    def picture(self, sample: Sample) -> np.ndarray:
        """The frame."""
        clip, place = self._clip(sample)
        numbers = sample_frames(self._of.frame_count(clip), self.count)
        frame: np.ndarray = self._of.clip(clip, [numbers[place]])[0]
        return frame

    def size(self, sample: Sample) -> tuple[int, int]:
        """The clip's."""
        return self._of.size(self._clip(sample)[0])

    @staticmethod
    def _clip(sample: Sample) -> tuple[Sample, int]:
        name, _, place = sample.id.rpartition("#")
        return Sample(name, sample.label), int(place)


# ------------------------------------------------------------------------------------------------
# Clips as tensors, and addressed batches of them.
#
# What happens to a clip in space is drawn once and done to all of its frames alike: a crop that
# jumps from frame to frame would be a movement that nobody made.


LENGTH = 16  # frames
SIZE = 112  # pixels

#: The crops of Inception's training, as M3DFEL and others use them: share of the area, and ratio of
#: width to height.
CROP_AREA = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)

_ATTEMPTS = 10


class View(NamedTuple):
    """What part of a clip is seen, and whether in a mirror; pixels."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool


class Augment(NamedTuple):
    """What is drawn once for all frames of a training clip.

    Attributes:
        least_area: Of a random crop, as a share of the frame.
        jitter: Brightness, contrast and saturation are each multiplied by 1 - jitter to 1 + jitter.
    """

    least_area: float = CROP_AREA[0]
    jitter: float = 0.0


def clip_tensor(
    dataset: ClipDataSet,
    sample: Sample,
    length: int = LENGTH,
    size: int | None = SIZE,
    sampler: str = DEFAULT_SAMPLER,
    padding: str = DEFAULT_PADDING,
    draws: np.random.Generator | None = None,
    augment: Augment | None = None,
) -> Tensor:
    """Some frames of a clip, float32 (3, T, H, W) in [0, 1].

    Args:
        dataset: Which has the clip.
        sample: The clip.
        length: Frames, T.
        size: Height and width, resized as classifiers of pictures resize; None for native size.
        sampler: A name in `bench.data.clips.SAMPLERS`.
        padding: A name in `bench.data.clips.PADDINGS`, for clips of fewer frames.
        draws: Where random samplers and augmentation draw from, in that order.
        augment: Crop, mirror and colour at random, all frames alike. With `size` None the crop is
            resized to the native size.

    Raises:
        UserError: If there is no such sampler or padding, or a frame cannot be read.
        ValueError: If something is random and there are no draws.
    """
    numbers = sample_frames(dataset.frame_count(sample), length, sampler, padding, draws)
    frames = torch.from_numpy(np.array(dataset.clip(sample, numbers))).permute(0, 3, 1, 2)
    height, width = frames.shape[2:]
    if augment is not None:
        if draws is None:
            raise ValueError("augmentation is random and needs draws")
        view = random_view(draws, height, width, augment.least_area)
        frames = frames[:, :, view.top :, view.left :][:, :, : view.height, : view.width]
        frames = frames.flip(3) if view.mirrored else frames
    shape = (height, width) if size is None else (size, size)
    pixels = frames.float() / 255.0
    if pixels.shape[2:] != shape:
        pixels = F.interpolate(pixels, shape, mode="bilinear", antialias=True).clamp(0.0, 1.0)
    if augment is not None and augment.jitter and draws is not None:
        pixels = _jittered(pixels, draws, augment.jitter)
    return pixels.transpose(0, 1).contiguous()


def _jittered(frames: Tensor, draws: np.random.Generator, jitter: float) -> Tensor:
    """Frames (T, 3, H, W) with one brightness, contrast and saturation, in this order."""
    bright, contrast, saturation = draws.uniform(1.0 - jitter, 1.0 + jitter, 3)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    frames = (frames * bright).clamp(0.0, 1.0)
    middle = (frames * weights).sum(1).mean()
    frames = (contrast * frames + (1.0 - contrast) * middle).clamp(0.0, 1.0)
    grey = (frames * weights).sum(1, keepdim=True)
    return (saturation * frames + (1.0 - saturation) * grey).clamp(0.0, 1.0)


def random_view(
    draws: np.random.Generator, height: int, width: int, least_area: float = CROP_AREA[0]
) -> View:
    """A crop within `CROP_AREA` and `CROP_RATIO`, every other time in a mirror.

    Where ten that were drawn do not fit into the frame, the frame is taken whole.

    Args:
        draws: Where they are drawn from.
        height: Of the frames, pixels.
        width: Of the frames, pixels.
        least_area: In the place of the least one of `CROP_AREA`.
    """
    mirrored = bool(draws.random() < 0.5)
    for _ in range(_ATTEMPTS):
        area = height * width * draws.uniform(least_area, CROP_AREA[1])
        ratio = math.exp(draws.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            top = int(draws.integers(height - high + 1))
            left = int(draws.integers(width - wide + 1))
            return View(top, left, high, wide, mirrored)
    return View(0, 0, height, width, mirrored)
