"""Clips as tensors, and addressed batches of them.

What happens to a clip in space is drawn once and done to all of its frames alike: a crop that jumps
from frame to frame would be a movement that nobody made.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import rng
from bench.data.base import ClipDataSet, Sample, Split
from bench.data.batches import choose
from bench.data.sampling import DEFAULT_PADDING, DEFAULT_SAMPLER, sample_frames

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


def clip_tensor(
    dataset: ClipDataSet,
    sample: Sample,
    length: int = LENGTH,
    size: int | None = SIZE,
    sampler: str = DEFAULT_SAMPLER,
    padding: str = DEFAULT_PADDING,
    draws: np.random.Generator | None = None,
    augment: bool = False,
) -> Tensor:
    """Some frames of a clip, float32 (3, T, H, W) in [0, 1].

    Args:
        dataset: Which has the clip.
        sample: The clip.
        length: Frames, T.
        size: Height and width, resized as classifiers of pictures resize; None for native size.
        sampler: A name in `bench.data.sampling.SAMPLERS`.
        padding: A name in `bench.data.sampling.PADDINGS`, for clips of fewer frames.
        draws: Where random samplers and augmentation draw from, in that order.
        augment: Crop and mirror at random, all frames alike. With `size` None the crop is resized
            to the native size.

    Raises:
        UserError: If there is no such sampler or padding, or a frame cannot be read.
        ValueError: If something is random and there are no draws.
    """
    numbers = sample_frames(dataset.frame_count(sample), length, sampler, padding, draws)
    frames = torch.from_numpy(np.array(dataset.clip(sample, numbers))).permute(0, 3, 1, 2)
    height, width = frames.shape[2:]
    if augment:
        if draws is None:
            raise ValueError("augmentation is random and needs draws")
        view = random_view(draws, height, width)
        frames = frames[:, :, view.top :, view.left :][:, :, : view.height, : view.width]
        frames = frames.flip(3) if view.mirrored else frames
    shape = (height, width) if size is None else (size, size)
    pixels = frames.float() / 255.0
    if pixels.shape[2:] != shape:
        pixels = F.interpolate(pixels, shape, mode="bilinear", antialias=True).clamp(0.0, 1.0)
    return pixels.transpose(0, 1).contiguous()


class ClipBatches:
    """Random batches of clips; batch `step` is a function of (seed, step).

    Args:
        dataset: Whose clips; they are read when they are asked for.
        batch_size: Clips per batch.
        seed: Names the batches.
        split: The split they are drawn from, with replacement.
        length: As in `clip_tensor`.
        size: As in `clip_tensor`.
        sampler: As in `clip_tensor`.
        padding: As in `clip_tensor`.
        balanced: Draw every class equally often, however many clips it has.
    """

    def __init__(
        self,
        dataset: ClipDataSet,
        batch_size: int,
        seed: int,
        split: Split = "train",
        length: int = LENGTH,
        size: int = SIZE,
        sampler: str = "tsn_random",
        padding: str = DEFAULT_PADDING,
        balanced: bool = False,
    ) -> None:
        self.dataset, self.samples = dataset, dataset.samples(split)
        numbers = {name: number for number, name in enumerate(dataset.classes)}
        self.labels = torch.tensor([numbers[sample.label] for sample in self.samples])
        self.batch_size, self.seed, self.balanced = batch_size, seed, balanced
        self.length, self.size, self.sampler, self.padding = length, size, sampler, padding

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """float32 clips (B, 3, T, H, W) in [0, 1] and int64 labels (B,), indices into `classes`."""
        chosen = choose(
            rng.generator(self.seed, "clips", step), self.labels, self.batch_size, self.balanced
        )
        clips = [self._row(step, row, int(number)) for row, number in enumerate(chosen)]
        return torch.stack(clips), self.labels[chosen]

    def _row(self, step: int, row: int, number: int) -> Tensor:
        """One clip, from draws of its own: how many another one needs does not matter."""
        return clip_tensor(
            self.dataset,
            self.samples[number],
            self.length,
            self.size,
            self.sampler,
            self.padding,
            rng.generator(self.seed, "clip", step, row),
            augment=True,
        )


def random_view(draws: np.random.Generator, height: int, width: int) -> View:
    """A crop within `CROP_AREA` and `CROP_RATIO`, every other time in a mirror.

    Where ten that were drawn do not fit into the frame, the frame is taken whole.

    Args:
        draws: Where they are drawn from.
        height: Of the frames, pixels.
        width: Of the frames, pixels.
    """
    mirrored = bool(draws.random() < 0.5)
    for _ in range(_ATTEMPTS):
        area = height * width * draws.uniform(*CROP_AREA)
        ratio = math.exp(draws.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            top = int(draws.integers(height - high + 1))
            left = int(draws.integers(width - wide + 1))
            return View(top, left, high, wide, mirrored)
    return View(0, 0, height, width, mirrored)
