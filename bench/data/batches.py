"""Training pictures as tensors, and addressed batches of them."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import DataSet, Split
from bench.data.images import UnreadablePicture
from bench.util import rng
from bench.util.errors import UserError

SHIFT = 4  # pixels


def stacked(dataset: DataSet, split: Split, size: int) -> tuple[Tensor, Tensor]:
    """A whole split at one size.

    Returns:
        uint8 (N, 3, size, size), resized as classifiers resize; int64 labels (N,), indices into
        `dataset.classes`.

    Raises:
        UserError: If a picture can no longer be read.
    """
    samples = dataset.samples(split)
    images = torch.empty((len(samples), 3, size, size), dtype=torch.uint8)
    for row, sample in enumerate(samples):
        try:
            picture = torch.from_numpy(np.array(dataset.picture(sample))).permute(2, 0, 1)
        except UnreadablePicture as error:
            raise UserError(
                f"{sample.id} of {dataset.name}, {split}: {error}. The same command starts again "
                "from the pictures that are there.",
                1,
            ) from error
        if picture.shape[1:] != (size, size):
            resized = F.interpolate(
                picture[None].float(), (size, size), mode="bilinear", antialias=True
            )
            picture = resized[0].round().clamp(0, 255).to(torch.uint8)
        images[row] = picture
    numbers = {name: number for number, name in enumerate(dataset.classes)}
    return images, torch.tensor([numbers[sample.label] for sample in samples])


class Batches:
    """Random batches with flips and small shifts; batch `step` is a function of (seed, step).

    Args:
        images: uint8 (N, 3, S, S).
        labels: int64 (N,).
        batch_size: Rows per batch.
        seed: Names the batches.
        balanced: Draw every class equally often, however many pictures it has.
        augment: Changes a batch, float32 (B, 3, S, S) in [0, 1], with torch's global generator.
        numbers: Give the pictures' numbers in the place of their labels.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        seed: int,
        balanced: bool = False,
        augment: Callable[[Tensor], Tensor] | None = None,
        numbers: bool = False,
    ) -> None:
        self.images, self.labels = images, labels
        self.batch_size, self.seed, self.balanced = batch_size, seed, balanced
        self.augment, self.numbers = augment, numbers

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """float32 images (B, 3, S, S) in [0, 1] and int64 labels (B,)."""
        draws = rng.generator(self.seed, "batch", step)
        chosen = choose(draws, self.labels, self.batch_size, self.balanced)
        flips = draws.random(self.batch_size) < 0.5
        corners = draws.integers(2 * SHIFT + 1, size=(self.batch_size, 2))
        size = self.images.shape[-1]
        padded = F.pad(self.images[chosen].float() / 255.0, (SHIFT,) * 4, mode="replicate")
        rows = [
            (image.flip(2) if flip else image)[:, top : top + size, left : left + size]
            for image, flip, (top, left) in zip(padded, flips, corners, strict=True)
        ]
        batch = torch.stack(rows)
        if self.augment is not None:
            with rng.fenced(self.seed, "augmentation", step):
                batch = self.augment(batch)
        return batch, chosen if self.numbers else self.labels[chosen]


def choose(draws: np.random.Generator, labels: Tensor, count: int, balanced: bool) -> Tensor:
    """Indices of `count` samples, drawn with replacement, int64 (count,).

    Args:
        draws: Where they are drawn from.
        labels: int64 (N,).
        count: How many.
        balanced: Draw the class first, uniformly among those present, then a sample of it.
    """
    if not balanced:
        return torch.from_numpy(draws.integers(len(labels), size=count))
    present = labels.unique().tolist()
    members = [torch.nonzero(labels == label).flatten() for label in present]
    classes = draws.integers(len(present), size=count)
    places = draws.random(count)
    picked = [
        members[k][int(place * len(members[k]))] for k, place in zip(classes, places, strict=True)
    ]
    return torch.stack(picked)
