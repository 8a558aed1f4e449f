"""The training and validation splits as tensors, and as latents that were encoded once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.networks import INPUT_SIZE
from bench.data.base import DataSet, Split
from bench.data.batches import choose, stacked
from bench.training.loop import Loop
from bench.util import rng
from bench.util.files import atomic, digest


class TrainingData:
    """A data set's splits, read when first needed.

    Args:
        dataset: Where they come from.
    """

    def __init__(self, dataset: DataSet) -> None:
        self.dataset = dataset
        self._splits: dict[tuple[Split, int], tuple[Tensor, Tensor]] = {}

    def split(self, name: Split, size: int = INPUT_SIZE) -> tuple[Tensor, Tensor]:
        """uint8 images (N, 3, size, size) and int64 labels (N,)."""
        if (name, size) not in self._splits:
            self._splits[name, size] = stacked(self.dataset, name, size)
        return self._splits[name, size]


class LatentBatches:
    """Batches of latents encoded once: every picture and its mirror image, no shifts.

    An encoder that costs more than the denoiser's step is paid once instead of once per epoch.

    Args:
        path: The cache, a float32 array (N, 2, C, H, W).
        labels: int64 (N,).
        batch_size: Rows per batch.
        seed: Names the batches.
        balanced: Draw every class equally often.
    """

    def __init__(
        self, path: Path, labels: Tensor, batch_size: int, seed: int, balanced: bool
    ) -> None:
        self.latents = np.load(path, mmap_mode="r", allow_pickle=False)
        self.labels, self.batch_size = labels, batch_size
        self.seed, self.balanced = seed, balanced

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """float32 latents (B, C, H, W) and int64 labels (B,)."""
        draws = rng.generator(self.seed, "batch", step)
        chosen = choose(draws, self.labels, self.batch_size, self.balanced)
        mirrored = draws.random(self.batch_size) < 0.5
        rows = self.latents[chosen.numpy(), mirrored.astype(np.int64)]
        return torch.from_numpy(np.array(rows)), self.labels[chosen]


@torch.no_grad()
def cached_latents(
    folder: Path,
    identity: Any,
    encode: Callable[[Tensor], Tensor],
    images: Tensor,
    loop: Loop,
) -> Path:
    """The latents of `images` and of their mirror images, encoded now if they are not on disk.

    Args:
        folder: Where caches are kept.
        identity: What determines the latents; named in the file.
        encode: float32 images (B, 3, S, S) in [0, 1] -> float32 latents (B, C, H, W).
        images: uint8 (N, 3, S, S).
        loop: Shows progress; only its main process encodes.
    """
    path = folder / f"latents-{digest(identity)}.npy"
    if not path.exists() and loop.accelerator.is_main_process:
        told = loop.reporter.task("encode pictures", len(images))
        with atomic(path, private=True) as scratch, told as task:
            shape = (len(images), 2, *encode(images[:1].float() / 255.0).shape[1:])
            cache = np.lib.format.open_memmap(scratch, "w+", dtype=np.float32, shape=shape)
            for first in range(0, len(images), 32):
                pictures = images[first : first + 32].float() / 255.0
                both = torch.stack([encode(pictures), encode(pictures.flip(3))], dim=1)
                cache[first : first + len(both)] = both.cpu().numpy()
                task.advance(len(both))
            cache.flush()
    loop.accelerator.wait_for_everyone()
    return path
