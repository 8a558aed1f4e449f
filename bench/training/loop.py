"""One loop for every trainer: shows progress, saves as it goes, continues exactly; and its data."""

import contextlib
import copy
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from baselines.networks import INPUT_SIZE
from bench.data.base import DataSet, Split
from bench.data.batches import choose, stacked
from bench.store.checkpoints import Card, fingerprint
from bench.util import rng
from bench.util.errors import UserError
from bench.util.files import atomic, digest, seal, unsealed
from bench.util.progress import Reporter

#: What a state that cannot be read, or does not fit, raises.
_UNUSABLE = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    pickle.UnpicklingError,
)


class Trainer(Protocol):
    """What the loop needs of a trainer."""

    @property
    def position(self) -> int:
        """Steps done."""

    @property
    def finished(self) -> bool:
        """Whether there is no step left."""

    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """One optimiser step; figures to show."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict()`."""


class Loop:
    """The loop, and the processes and the progress that all trainings of a run share.

    Args:
        accelerator: The processes that train together; only the main one writes.
        device: Where training computes.
        reporter: Shows progress.
        save_every: Seconds between two saved states.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        device: torch.device,
        reporter: Reporter,
        save_every: float = 60.0,
    ) -> None:
        self.accelerator, self.device = accelerator, device
        self.reporter, self.save_every = reporter, save_every

    def run(
        self,
        label: str,
        trainer: Trainer,
        batches: Callable[[int], tuple[Tensor, Tensor]],
        steps: int,
        folder: Path,
    ) -> float:
        """Run `trainer` to its end, from where a lost run had saved it; seconds of training."""
        state_path = folder.with_name(f".{folder.name}.state")
        before = _restore(trainer, state_path)
        start = saved = time.monotonic()
        shown = self.reporter.task(label, steps, trainer.position)
        with shown as task, _deferred_interrupt() as pressed:
            while not trainer.finished:
                images, labels = batches(trainer.position)
                with rng.fenced("training step", trainer.position):
                    figures = trainer.step(images.to(self.device), labels.to(self.device))
                note = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
                task.advance(1, note)
                due = pressed.is_set() or time.monotonic() - saved >= self.save_every
                if due and self.accelerator.is_main_process:
                    saved = time.monotonic()
                    state = {"trainer": trainer.state_dict(), "seconds": before + saved - start}
                    with atomic(state_path) as scratch:
                        torch.save(state, scratch)
                        seal(scratch, state_path.name)
                if pressed.is_set():
                    raise KeyboardInterrupt
        return before + time.monotonic() - start

    def publish(self, folder: Path, save: Callable[[Path], None], card: Card) -> None:
        """Write a finished checkpoint in one go, and drop the training state.

        One that another run has put there meanwhile stays: that run reads it, and it is the same.
        """
        if self.accelerator.is_main_process:
            if not _is_there(folder, card):
                with atomic(folder, keep=not folder.exists()) as scratch:
                    scratch.mkdir(parents=True)
                    save(scratch)
                    card.model_copy(update={"weights": fingerprint(scratch)}).write(scratch)
            folder.with_name(f".{folder.name}.state").unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()


def _is_there(folder: Path, card: Card) -> bool:
    try:
        Card.verified(folder, card.recipe)
    except UserError:
        return False
    return True


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Hold Ctrl-C back until the step in progress is complete and saved."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    previous = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, previous)


def _restore(trainer: Trainer, path: Path) -> float:
    """Continue from a saved state if there is a usable one; seconds spent before."""
    if not path.exists():
        return 0.0
    untouched = copy.deepcopy(trainer.state_dict())
    try:
        if unsealed(path) is None:
            raise ValueError("it is not the state that was saved")
        state = torch.load(path, weights_only=True, map_location="cpu")
        trainer.load_state_dict(state["trainer"])
        return float(state["seconds"])
    except _UNUSABLE:  # damaged, or of another version: the stage starts over
        trainer.load_state_dict(untouched)
        path.unlink(missing_ok=True)
        return 0.0


# ------------------------------------------------------------------------------------------------
# What it is given: the splits as tensors, and as latents that were encoded once.


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


# ------------------------------------------------------------------------------------------------
# What is to be trained.


@dataclass(frozen=True)
class Training:
    """One checkpoint to be trained.

    Attributes:
        label: Names it in messages.
        classifier: Its classifier's name in the config.
        recipe: What determines its weights.
        number: Which checkpoint of its classifier it is, from 0.
        folder: Where it will be.
        after: The folder of the checkpoint that it starts from; None for the first.
    """

    label: str
    classifier: str
    recipe: dict[str, Any]
    number: int
    folder: Path
    after: Path | None = None


@dataclass(frozen=True)
class TrainingJob:
    """A training, and what it is given.

    Attributes:
        training: Which checkpoint.
        out: Folder of the run.
        data: The splits.
        loop: Runs the steps.
        trackers: Names of trackers.
    """

    training: Training
    out: Path
    data: TrainingData
    loop: Loop
    trackers: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Names the classifier in messages."""
        return self.training.label

    @property
    def recipe(self) -> dict[str, Any]:
        """What determines the weights."""
        return self.training.recipe

    @property
    def folder(self) -> Path:
        """Where the checkpoint is written."""
        return self.training.folder
