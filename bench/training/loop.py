"""One loop for every trainer: shows progress, saves as it goes, continues exactly; and its data."""

import contextlib
import copy
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from baselines.networks import INPUT_SIZE
from bench.data.base import ClipDataSet, DataSet, Sample, Split
from bench.data.clips import DEFAULT_PADDING, LENGTH, SIZE, Augment, clip_tensor
from bench.data.images import UnreadablePicture
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
# What it is given: splits as tensors, addressed batches of them, and latents encoded once.


_SHIFT = 4  # pixels that pictures are shifted by, at most
_AUGMENT = Augment()  # of training clips, where nothing else is asked for


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
    return images, _labels(dataset, samples)


def _labels(dataset: DataSet, samples: Sequence[Sample]) -> Tensor:
    numbers = {name: number for number, name in enumerate(dataset.classes)}
    return torch.tensor([numbers[sample.label] for sample in samples])


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
        corners = draws.integers(2 * _SHIFT + 1, size=(self.batch_size, 2))
        size = self.images.shape[-1]
        padded = F.pad(self.images[chosen].float() / 255.0, (_SHIFT,) * 4, mode="replicate")
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


def stacked_clips(
    dataset: ClipDataSet, split: Split, length: int, size: int, padding: str = DEFAULT_PADDING
) -> tuple[Tensor, Tensor]:
    """A whole split: uint8 clips (N, 3, T, size, size) and int64 labels (N,).

    Raises:
        UserError: If a clip can no longer be read.
    """
    samples = dataset.samples(split)
    clips = torch.empty((len(samples), 3, length, size, size), dtype=torch.uint8)
    for row, sample in enumerate(samples):
        clip = clip_tensor(dataset, sample, length, size, padding=padding)
        clips[row] = (clip * 255.0).round().to(torch.uint8)
    return clips, _labels(dataset, samples)


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
        augment: As in `clip_tensor`.
        readers: Threads that read clips; they change nothing but the time. With several the next
            batch is read while the caller works on one.
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
        augment: Augment | None = _AUGMENT,
        readers: int = 1,
    ) -> None:
        self.dataset, self.samples = dataset, dataset.samples(split)
        self.labels = _labels(dataset, self.samples)
        self.batch_size, self.seed, self.balanced = batch_size, seed, balanced
        self.length, self.size, self.sampler, self.padding = length, size, sampler, padding
        self.augment = augment
        self._readers = ThreadPoolExecutor(readers) if readers > 1 else None
        self._ahead: tuple[int, list[Future[Tensor]]] | None = None

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """float32 clips (B, 3, T, H, W) in [0, 1] and int64 labels (B,), indices into `classes`."""
        chosen = self._chosen(step)
        if self._readers is None:
            clips = [self._row(step, row, int(number)) for row, number in enumerate(chosen)]
        else:
            ready = self._ahead[1] if self._ahead and self._ahead[0] == step else self._begun(step)
            self._ahead = step + 1, self._begun(step + 1)
            clips = [row.result() for row in ready]
        return torch.stack(clips), self.labels[chosen]

    def _chosen(self, step: int) -> Tensor:
        draws = rng.generator(self.seed, "clips", step)
        return choose(draws, self.labels, self.batch_size, self.balanced)

    def _begun(self, step: int) -> "list[Future[Tensor]]":
        """The rows of a batch, being read."""
        assert self._readers is not None
        chosen = enumerate(self._chosen(step).tolist())
        return [self._readers.submit(self._row, step, row, number) for row, number in chosen]

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
            augment=self.augment,
        )


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
