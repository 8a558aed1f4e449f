"""One stage of an EmoDC: trained, shown, validated and published."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker
from accelerate.utils import is_tensorboard_available, is_wandb_available
from numpy.typing import NDArray
from torch import Tensor

from bench.data.base import DataSet
from bench.store.checkpoints import Card, conditioning_check, judge, split_errors
from bench.training.loop import (
    Batches,
    LatentBatches,
    Loop,
    TrainingData,
    TrainingJob,
    cached_latents,
)
from bench.util import rng
from bench.util.errors import UserError
from bench.util.files import digest
from bench.util.progress import Reporter
from emodc import CheckpointError, Denoiser, EmoDC, Evaluation, Prompts
from emodc.diffusion.measuring import measured_linear_error
from emodc.diffusion.noise_aware import NEEDS_WHITE_NOISE
from emodc.diffusion.schedule import timestep_grid
from emodc.settings import Precision, PromptTexts, StageSettings, chosen
from emodc.training.trainer import EmoDCTrainer, TrainConfig

if TYPE_CHECKING:
    from bench.classifiers.kinds.emodc import Stage, StagedClassifier

# ------------------------------------------------------------------------------------------------
# Figures of a training shown while it runs: TensorBoard and Weights & Biases, both optional.


class Trackers:
    """The trackers of one training.

    Args:
        names: "tensorboard", "wandb".
        out: Folder of the run; TensorBoard's files go to `out`/tracking.
        run: Names the training.

    Raises:
        UserError: If a package is not installed.
    """

    def __init__(self, names: Sequence[str], out: Path, run: str) -> None:
        self._trackers: list[GeneralTracker] = []
        available = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}
        for name in names:
            if not available[name]():
                raise UserError(f"execution.trackers: {name} is not installed: pip install {name}")
        if "tensorboard" in names:
            self._trackers.append(TensorBoardTracker(run, out / "tracking"))
        if "wandb" in names:
            self._trackers.append(WandBTracker(run))

    def __enter__(self) -> Self:
        for tracker in self._trackers:
            tracker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for tracker in self._trackers:
            tracker.finish()

    def log(self, step: int, figures: dict[str, Any]) -> None:
        """Show figures of one step."""
        for tracker in self._trackers:
            tracker.log(figures, step=step)


# ------------------------------------------------------------------------------------------------
# An EmoDC stage as the loop sees it: logged by timestep, validated on the way, stopped early.


#: A validation d_p above plain denoising's by more than this share is worth a warning: the model
#: stops being generative.
WARN_ABOVE = 1.05
LOG_EVERY = 100  # steps
_PICTURES, _STEPS = 210, 10  # of a validation on the way


class StageTrainer:
    """An `EmoDCTrainer` with validation.

    Args:
        trainer: The stage.
        stage: Its config.
        validation: uint8 images (N, 3, S, S) and int64 labels (N,).
        control: Whether errors are the matched control's: negative log-probabilities.
        trackers: Where figures are shown while training.
        label: Names the stage in messages.
        reporter: Hears warnings.

    Attributes:
        records: One record per timestep bin and reading of the log, and one per validation.
    """

    def __init__(
        self,
        trainer: EmoDCTrainer,
        stage: "Stage",
        validation: tuple[Tensor, Tensor],
        control: bool,
        trackers: Trackers,
        label: str,
        reporter: Reporter,
    ) -> None:
        self.trainer, self.stage, self.trackers = trainer, stage, trackers
        self.control, self.label, self.reporter = control, label, reporter
        images, labels = validation
        stride = -(-len(labels) // _PICTURES)
        self._validation = images[::stride], labels[::stride]
        self._every = stage.early_stop.every if stage.early_stop else -(-stage.steps // 3)
        self.records: list[dict[str, float]] = []
        self._best_accuracy, self._best_step = -1.0, 0
        self._best_weights: list[Tensor] = []
        self._start_d_p: float | None = None
        self._warned = False

    @property
    def position(self) -> int:
        """Steps done."""
        return self.trainer.position

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or none has helped for too long."""
        stop = self.stage.early_stop
        if stop and self.position - self._best_step >= stop.every * stop.patience:
            return True
        return self.position >= self.stage.steps

    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """One optimiser step; see `EmoDCTrainer.step`."""
        if self._start_d_p is None:
            self._start_d_p = self._measure()[1]
        figures = self.trainer.step(images, labels, encoded=self.stage.cache_latents)
        last = self.position == self.stage.steps
        if self.position % LOG_EVERY == 0 or last:
            self.trackers.log(self.position, self._named(figures))
            for record in self.trainer.log.read():
                self.records.append({"step": self.position, **self._named(record)})
        if self.position % self._every == 0 or last:
            self._validate()
        return self._named(figures)

    def finish(self) -> None:
        """Leave the stage's result in the denoiser: averaged weights, the best if it may stop."""
        best = self._best_weights if self.stage.early_stop else None
        self.trainer.finish(best or None)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        return {
            "trainer": self.trainer.state_dict(),
            "records": self.records,
            "best_accuracy": self._best_accuracy,
            "best_step": self._best_step,
            "best_weights": self._best_weights,
            "start_d_p": self._start_d_p,
            "warned": self._warned,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        self.trainer.load_state_dict(state["trainer"])
        self.records = list(state["records"])
        self._best_accuracy = float(state["best_accuracy"])
        self._best_step = int(state["best_step"])
        self._best_weights = list(state["best_weights"])
        self._start_d_p = state["start_d_p"]
        self._warned = bool(state["warned"])

    def _validate(self) -> None:
        accuracy, d_p = self._measure()
        name = "validation_nll" if self.control else "validation_d_p"
        record = {"step": self.position, "validation_accuracy": accuracy, name: d_p}
        self.records.append(record)
        self.trackers.log(self.position, record)
        if accuracy > self._best_accuracy:
            self._best_accuracy, self._best_step = accuracy, self.position
            if self.stage.early_stop:
                self._best_weights = self.trainer.averages()
        start = self._start_d_p
        margins = self.stage.objective.kind != "base"
        if margins and start and d_p > WARN_ABOVE * start and not self._warned:
            self._warned = True
            self.reporter.say(
                f"{self.label}: at step {self.position} the validation d_p is {d_p:.4f}, "
                f"{d_p / start - 1:+.0%} against where the stage began; the model is becoming "
                "less of a denoiser."
            )

    def _named(self, figures: dict[str, float]) -> dict[str, float]:
        """The figures under their names: the control has no noise-prediction errors."""
        if not self.control:
            return figures
        kept = {name: value for name, value in figures.items() if name in ("low", "loss")}
        return {"nll": figures["d_p"], **kept}

    def _measure(self) -> tuple[float, float]:
        config = self.trainer.config
        evaluation = Evaluation(
            steps=_STEPS, low=config.low, high=config.high, precision=config.precision
        )
        with self.trainer.averaged_weights() as denoiser:
            model = EmoDC(denoiser, self.trainer.prompts, evaluation).eval()
            images, labels = self._validation
            return accuracy_and_d_p(validation_errors(model, images), labels.numpy())


@torch.no_grad()
def validation_errors(model: EmoDC, images: Tensor) -> NDArray[np.float64]:
    """Mean error of every picture under every class's prompt, (N, K).

    Args:
        model: Evaluated as its `evaluation` says.
        images: uint8 (N, 3, S, S).
    """
    device, errors = model.denoiser.device, []
    for row in range(len(images)):
        picture = images[row : row + 1].to(device).float() / 255.0
        errors.append(model.trace(picture, [f"val-{row}"]).errors.double().mean(dim=2).cpu())
    return torch.cat(errors).numpy()


@torch.no_grad()
def linear_floor(model: EmoDC, train: Tensor, validation: Tensor) -> float | None:
    """Error of the best linear denoiser beside which a validation d_p stands; see `emodc`.

    Args:
        model: Whose latents and schedule; at the timesteps of the validation.
        train: uint8 (N, 3, S, S), of which some thousands are enough.
        validation: uint8 (M, 3, S, S).

    Returns:
        None if there are too few pictures.
    """
    if len(train) < 4:
        return None
    denoiser, high = model.denoiser, model.evaluation.high
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:_LINEAR]
    known, held_out = (
        torch.cat([denoiser.encode(p.to(denoiser.device).float() / 255.0) for p in own.split(64)])
        for own in (train[chosen], validation)
    )
    times = timestep_grid(_VALIDATION_STEPS, 0, high).to(denoiser.device)
    process = denoiser.process
    return measured_linear_error(known, held_out, process.signal[times], process.noise[times])


def accuracy_and_d_p(errors: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy, of which ties are errors, and mean d_p; of errors (N, K) and labels (N,)."""
    positive, others = split_errors(errors, labels)
    return float((positive < others.min(axis=1)).mean()), float(positive.mean())


# ------------------------------------------------------------------------------------------------
# One stage of an EmoDC: from the checkpoint of the stage before to a checkpoint of its own.


_VALIDATION_STEPS = 20
_LINEAR = 2048  # training pictures that a linear denoiser is learned from: a few seconds


def train_stage(spec: "StagedClassifier", job: TrainingJob) -> None:
    """Train a stage of an EmoDC, or of its matched control.

    Args:
        spec: Its config.
        job: Which stage, and what its training is given.

    Raises:
        UserError: If the stage asks for something that its network cannot do.
    """
    name, data, loop, number = job.name, job.data, job.loop, job.training.number
    recipe, stage = job.recipe, spec.stages[number]
    folder, previous = job.folder, job.training.after
    control = not spec.reads_prompts
    prompts = make_prompts(spec.texts(data.dataset.classes), data.dataset)
    denoiser = _starting_point(name, spec, recipe, previous, prompts, data).to(loop.device)
    _require_sense(name, spec, stage, denoiser, loop)
    training = _train_config(spec, stage, number, recipe)
    try:
        with rng.fenced(recipe["seed"], "adapters", number):
            trainer = EmoDCTrainer(denoiser, prompts, training, loop.accelerator)
    except ValueError as error:
        raise UserError(f"classifier {name!r}: {error}.") from error
    batches: Batches | LatentBatches
    if stage.cache_latents:
        batches = _latent_batches(stage, denoiser, recipe, training.seed, job.out, data, loop)
    else:
        pictures = data.split("train", denoiser.image_size)
        batches = Batches(*pictures, stage.batch_size, training.seed, stage.balanced)

    label = f"train {name} ({'cross-entropy head' if control else stage.objective.kind})"
    split = data.split("val", denoiser.image_size)
    names = job.trackers if loop.accelerator.is_main_process else []
    with Trackers(names, job.out, folder.name) as tracked:
        run = StageTrainer(trainer, stage, split, control, tracked, label, loop.reporter)
        seconds = loop.run(label, run, batches, stage.steps, folder)
    run.finish()

    model = EmoDC(denoiser, prompts).eval()
    before = Card.verified(previous) if previous else None
    card = _judged(model, spec, recipe, number, split, training.precision, before)
    if card.gate is not None and denoiser.keeps_noise_white:
        floor = linear_floor(model, data.split("train", denoiser.image_size)[0], split[0])
        gate = card.gate.model_copy(update={"linear_d_p": floor})
        card = card.model_copy(update={"gate": gate})
    figures = "  ".join(f"{key} {value:.4f}" for key, value in card.validation.items())
    verdict = ""
    if card.gate is not None and not card.gate.passed:
        verdict = "  DENOISER CHECK FAILED: no longer a denoiser"
    conditioning = None if card.gate is None else card.gate.conditioning
    if conditioning is not None and not conditioning.passed:
        verdict += "  CONDITIONING CHECK FAILED: the prompt does not matter"
    loop.reporter.say(f"{label}: validation {figures}{verdict}")

    def save(scratch: Path) -> None:
        model.save_pretrained(scratch)
        lines = [json.dumps(record) + "\n" for record in run.records]
        (scratch / "training.jsonl").write_text("".join(lines))

    spent = seconds + (before.seconds if before else 0.0)
    loop.publish(folder, save, card.model_copy(update={"seconds": spent}))


def _require_sense(
    name: str, spec: "StagedClassifier", stage: "Stage", denoiser: Denoiser, loop: Loop
) -> None:
    """Refuse before training what would fail after it."""
    processes = loop.accelerator.num_processes
    if stage.batch_size % processes:
        raise UserError(
            f"classifier {name!r}: batch_size {stage.batch_size} does not divide among {processes} "
            "processes; choose a multiple."
        )
    if spec.evaluation.noise_aware and not denoiser.keeps_noise_white:
        raise UserError(f"classifier {name!r}: {NEEDS_WHITE_NOISE}")


def _judged(
    model: EmoDC,
    spec: "StagedClassifier",
    recipe: dict[str, Any],
    number: int,
    validation: tuple[Tensor, Tensor],
    precision: Precision,
    before: Card | None,
) -> Card:
    """The card of a trained stage: validation on the whole split, and the gate."""
    control = not spec.reads_prompts
    high = spec.evaluation.high
    model.evaluation = Evaluation(steps=_VALIDATION_STEPS, high=high, precision=precision)
    images, labels = validation
    errors = validation_errors(model, images)
    accuracy, d_p = accuracy_and_d_p(errors, labels.numpy())
    # Only what the recipe holds: the folder must not depend on how one run evaluates it.
    scale = 1.0 if control else Evaluation.logit_scale
    model.evaluation = Evaluation(high=high, logit_scale=scale)
    gate = None
    if not control:
        plain = all(stage.objective.kind == "base" for stage in spec.stages[: number + 1])
        base_d_p = before.gate.base_d_p if before and before.gate else None
        conditioning = conditioning_check(errors, labels.numpy())
        if plain:
            gate = judge(d_p, d_p, conditioning, "itself")
        else:
            gate = judge(d_p, base_d_p, conditioning)
    return Card(
        kind="emodc",
        recipe=recipe,
        weights="",
        validation={"accuracy": accuracy, "nll" if control else "d_p": d_p},
        gate=gate,
        seconds=0.0,
    )


def make_prompts(texts: PromptTexts, dataset: DataSet) -> Prompts:
    """The prompts of a data set's classes.

    Raises:
        UserError: If two classes would share a prompt, or words are given for unknown classes.
    """
    try:
        return Prompts(dataset.classes, **chosen(PromptTexts, texts))
    except ValueError as error:
        raise UserError(f"prompts: {error}.") from error


def _train_config(
    spec: "StagedClassifier", stage: "Stage", number: int, recipe: dict[str, Any]
) -> TrainConfig:
    settings = chosen(StageSettings, stage)
    if not spec.reads_prompts:
        settings |= {"null_share": 0.0, "non_class_share": 0.0}
    return TrainConfig(
        **settings,
        high=spec.evaluation.high,
        precision=recipe["precision"],
        seed=rng.key(recipe["seed"], "stage", number),
    )


def _starting_point(
    name: str,
    spec: "StagedClassifier",
    recipe: dict[str, Any],
    previous: Path | None,
    prompts: Prompts,
    data: TrainingData,
) -> Denoiser:
    """The stage before, a pretrained pipeline, or a new network."""
    try:
        if previous is not None:
            return EmoDC.from_pretrained(previous).denoiser
        opened = spec.opened(prompts)
        if opened is not None:
            return opened
    except CheckpointError as error:
        raise UserError(f"classifier {name!r}: {error}", 1) from error
    images, _ = data.split("train")
    with rng.fenced(recipe["seed"], "weights", "emodc"):
        return spec.untrained(images[:1024], prompts)


def _latent_batches(
    stage: "Stage",
    denoiser: Denoiser,
    recipe: dict[str, Any],
    seed: int,
    out: Path,
    data: TrainingData,
    loop: Loop,
) -> LatentBatches:
    """Batches of latents; encoded now if no training with the same encoder has done so."""
    images, labels = data.split("train", denoiser.image_size)

    def encode(pictures: Tensor) -> Tensor:
        return denoiser.encode(pictures.to(loop.device))

    # Two pictures' latents stand for the encoder, whatever it is made of.
    probe = encode(images[:2].float() / 255.0).double().cpu().numpy().round(3).tolist()
    identity = {"data": recipe["data"], "size": denoiser.image_size, "encoder": digest(probe)}
    cache = cached_latents(out / "cache", identity, encode, images, loop)
    return LatentBatches(cache, labels, stage.batch_size, seed, stage.balanced)
