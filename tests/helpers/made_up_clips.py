"""A data set of clips whose pixels say which frame they are of."""

from collections.abc import Sequence

import numpy as np
import torch

from bench.data.base import ClipDataSet, Sample, Split

COUNTS = {"short": 5, "exact": 16, "long": 50}


class MadeUp(ClipDataSet):
    """Clips of 40x60 whose red is the frame's number, whose green rises to the right and whose
    blue rises downwards."""

    name, kind, digest = "made_up", "made-up clips", "0"
    classes = ("neutral", "happiness", "sadness")

    def samples(self, split: Split) -> Sequence[Sample]:
        return [Sample(name, label) for name, label in zip(COUNTS, self.classes, strict=True)]

    def size(self, sample: Sample) -> tuple[int, int]:
        return 40, 60

    def frame_count(self, sample: Sample) -> int:
        return COUNTS[sample.id]

    def clip(self, sample: Sample, frames: Sequence[int]) -> np.ndarray:
        clip = np.zeros((len(frames), 40, 60, 3), np.uint8)
        clip[..., 0] = np.array(frames)[:, None, None]
        clip[..., 1] = np.arange(60) * 4
        clip[..., 2] = np.arange(40)[:, None] * 6
        return clip


def shown(clip: torch.Tensor) -> list[int]:
    """The numbers of the frames in a clip."""
    return (clip[0, :, 0, 0] * 255).round().int().tolist()
