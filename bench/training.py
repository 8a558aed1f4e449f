"""Training what has no checkpoint.

A checkpoint's folder is named by a digest of its recipe: everything that determines its weights.
An EmoDC is a chain of stages, each with a folder of its own, so variants that begin alike (Base,
and AMDiT from Base) share what they have in common.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

import baselines.checkpoints
from baselines.networks import INPUT_SIZE
from baselines.train import BaselineTrainer
from baselines.train import TrainConfig as BaselineTraining
from bench import rng
from bench.checkpoints import Card, fingerprint, judge
from bench.config import BaselineClassifier, Config, EmoDCClassifier, Stage
from bench.data.base import DataSet, Split
from bench.data.batches import Batches, stacked
from bench.errors import UserError
from bench.files import atomic, digest
from bench.progress import Reporter
from bench.runtime import pick_device
from emodc import EmoDC, Evaluation, Prompts, small_denoiser
from emodc.classifier import resolve_precision
from emodc.objectives import AMDiT, Base, Objective
from emodc.train import EmoDCTrainer
from emodc.train import TrainConfig as EmoDCTraining

#: Raise when training gives other weights for the same config.
RECIPE_VERSION = 1
SAVE_EVERY = 60.0  # seconds
VALIDATION_STEPS = 20


class Trainer(Protocol):
    """What the loop below needs of a trainer."""

    position: int

    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]: ...  # noqa: D102
    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state: dict[str, Any]) -> None: ...  # noqa: D102


class TrainingData:
    """The training and validation splits as tensors, made when first needed.

    Args:
        dataset: Where they come from.
        device: Where training computes; the splits themselves stay on the CPU.
    """

    def __init__(self, dataset: DataSet, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}

    def split(self, name: Split) -> tuple[Tensor, Tensor]:
        """uint8 images (N, 3, 64, 64) and int64 labels (N,)."""
        if name not in self._splits:
            self._splits[name] = stacked(self.dataset, name, INPUT_SIZE)
        return self._splits[name]


def recipes(config: Config, dataset: DataSet) -> dict[str, list[dict[str, Any]]]:
    """For each classifier that is trained: the recipe of each of its checkpoints, in order."""
    precision = str(resolve_precision(config.precision, pick_device(config.execution.device)))
    common = {
        "version": RECIPE_VERSION,
        "data": dataset.digest,
        "classes": list(dataset.classes),
        "seed": config.seed,
        "precision": precision.removeprefix("torch."),
    }
    chains: dict[str, list[dict[str, Any]]] = {}
    for name, spec in config.classifiers.items():
        if isinstance(spec, BaselineClassifier):
            chains[name] = [common | spec.model_dump()]
        elif isinstance(spec, EmoDCClassifier):
            network = spec.model_dump(include={"kind", "block_out_channels", "head_channels"})
            network["timesteps"] = [0, spec.evaluation.high]
            stages = [stage.model_dump() for stage in spec.stages]
            chains[name] = [
                common | network | {"stages": stages[: k + 1]} for k in range(len(stages))
            ]
    return chains


def checkpoint_folder(out: Path, recipe: dict[str, Any]) -> Path:
    """Where the checkpoint of a recipe is, or will be."""
    if recipe["kind"] == "emodc":
        stem = f"emodc-{recipe['stages'][-1]['objective']['kind']}"
    else:
        stem = recipe["architecture"]
    return out / "checkpoints" / f"{stem}-{digest(recipe)}"


def train_missing(
    config: Config, dataset: DataSet, out: Path, reporter: Reporter
) -> dict[str, Path]:
    """Train every classifier of `config` that has no checkpoint yet.

    Returns:
        The checkpoint folder of each trained or given classifier.

    Raises:
        UserError: If an existing checkpoint is damaged.
    """
    data = TrainingData(dataset, pick_device(config.execution.device))
    folders: dict[str, Path] = {}
    for name, chain in recipes(config, dataset).items():
        for recipe in chain:
            folder = checkpoint_folder(out, recipe)
            if folder.exists():
                Card.verified(folder)
                continue
            spec = config.classifiers[name]
            if isinstance(spec, BaselineClassifier):
                _train_baseline(name, spec, recipe, folder, data, reporter)
            elif isinstance(spec, EmoDCClassifier):
                _train_stage(name, spec, chain, chain.index(recipe), out, data, reporter)
        folders[name] = checkpoint_folder(out, chain[-1])
    return folders


def _train_baseline(
    name: str,
    spec: BaselineClassifier,
    recipe: dict[str, Any],
    folder: Path,
    data: TrainingData,
    reporter: Reporter,
) -> None:
    with rng.fenced(recipe["seed"], "weights", spec.architecture):
        try:
            classifier = baselines.FaceClassifier(spec.architecture, data.dataset.classes)
        except RuntimeError as error:
            raise UserError(
                f"classifier {name!r}: timm has no architecture {spec.architecture!r} ({error})."
            ) from error
    training = BaselineTraining(
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        validate_every=max(1, spec.steps // 5),
        bfloat16=recipe["precision"] == "bfloat16",
    )
    trainer = BaselineTrainer(classifier.to(data.device), training, data.split("val"))
    batches = Batches(*data.split("train"), spec.batch_size, recipe["seed"])
    label = f"train {name}"
    seconds = _loop(label, trainer, batches, spec.steps, folder, data.device, reporter)
    _publish(
        folder,
        lambda scratch: baselines.checkpoints.save(trainer.best(), scratch),
        Card(
            kind="baseline",
            recipe=recipe,
            weights="",
            validation={"accuracy": trainer.best_accuracy},
            gate=None,
            seconds=seconds,
        ),
    )


def _train_stage(
    name: str,
    spec: EmoDCClassifier,
    chain: list[dict[str, Any]],
    number: int,
    out: Path,
    data: TrainingData,
    reporter: Reporter,
) -> None:
    """Train stage `number` of an EmoDC, from the checkpoint of the stage before."""
    recipe, stage = chain[number], spec.stages[number]
    folder = checkpoint_folder(out, recipe)
    prompts = Prompts(data.dataset.classes)
    images, labels = data.split("train")
    previous = checkpoint_folder(out, chain[number - 1]) if number else None
    if previous is None:
        with rng.fenced(recipe["seed"], "weights", "emodc"):
            denoiser = small_denoiser(
                images[:1024],
                prompts,
                block_out_channels=spec.block_out_channels,
                head_channels=spec.head_channels,
            )
    else:
        denoiser = EmoDC.from_pretrained(previous).denoiser
    training = EmoDCTraining(
        objective=_objective(stage),
        steps=stage.steps,
        learning_rate=stage.learning_rate,
        low=0,
        high=spec.evaluation.high,
        precision=recipe["precision"],
        seed=rng.key(recipe["seed"], "stage", number),
    )
    trainer = EmoDCTrainer(denoiser.to(data.device), prompts, training)
    batches = Batches(images, labels, stage.batch_size, training.seed)
    label = f"train {name} ({stage.objective.kind})"
    seconds = _loop(label, trainer, batches, stage.steps, folder, data.device, reporter)

    model = EmoDC(trainer.averaged.cpu(), prompts)
    accuracy, d_p = _validate(model, *data.split("val"), recipe, spec)
    before = Card.verified(previous) if previous else None
    base_d_p = before.gate.d_p if before and before.gate else None
    gate = judge(d_p, d_p if stage.objective.kind == "base" else base_d_p)
    verdict = "" if gate.passed else "  GATE FAILED: no longer a denoiser"
    reporter.say(f"{label}: validation accuracy {accuracy:.3f}, d_p {d_p:.4f}{verdict}")
    _publish(
        folder,
        model.save_pretrained,
        Card(
            kind="emodc",
            recipe=recipe,
            weights="",
            validation={"accuracy": accuracy, "d_p": d_p},
            gate=gate,
            seconds=seconds + (before.seconds if before else 0.0),
        ),
    )


def _loop(
    label: str,
    trainer: Trainer,
    batches: Callable[[int], tuple[Tensor, Tensor]],
    steps: int,
    folder: Path,
    device: torch.device,
    reporter: Reporter,
) -> float:
    """Run `trainer` to its last step, from where a lost run had saved it; seconds of training."""
    state_path = folder.with_name(f".{folder.name}.state")
    before = _restore(trainer, state_path)
    start = saved = time.monotonic()
    with reporter.task(label, steps, trainer.position) as task, _deferred_interrupt() as pressed:
        while trainer.position < steps:
            images, labels = batches(trainer.position)
            with rng.fenced("training step", trainer.position):
                figures = trainer.step(images.to(device), labels.to(device))
            note = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
            task.advance(1, note)
            if pressed.is_set() or time.monotonic() - saved >= SAVE_EVERY:
                saved = time.monotonic()
                state = {"trainer": trainer.state_dict(), "seconds": before + saved - start}
                with atomic(state_path) as scratch:
                    torch.save(state, scratch)
            if pressed.is_set():
                raise KeyboardInterrupt
    return before + time.monotonic() - start


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
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        trainer.load_state_dict(state["trainer"])
        return float(state["seconds"])
    except FileNotFoundError:
        return 0.0
    except (OSError, RuntimeError, ValueError, KeyError, EOFError):
        path.unlink(missing_ok=True)  # damaged: the stage starts over
        return 0.0


def _publish(folder: Path, save: Callable[[Path], None], card: Card) -> None:
    """Write a finished checkpoint in one go, and drop the training state."""
    with atomic(folder) as scratch:
        save(scratch)
        card.model_copy(update={"weights": fingerprint(scratch)}).write(scratch)
    folder.with_name(f".{folder.name}.state").unlink(missing_ok=True)


def _validate(
    model: EmoDC, images: Tensor, labels: Tensor, recipe: dict[str, Any], spec: EmoDCClassifier
) -> tuple[float, float]:
    """Accuracy and mean d_p on the validation split, on a coarse grid."""
    plan = spec.evaluation
    model.eval().evaluation = Evaluation(
        steps=VALIDATION_STEPS, low=plan.low, high=plan.high, precision=recipe["precision"]
    )
    ids = [f"val-{row}" for row in range(len(images))]
    errors = model.trace(images.float() / 255.0, ids).errors.double().mean(dim=2)
    model.evaluation = Evaluation(steps=plan.steps, low=plan.low, high=plan.high)
    positive = errors.gather(1, labels[:, None])
    return (errors.argmin(1) == labels).double().mean().item(), positive.mean().item()


def _objective(stage: Stage) -> Objective:
    if stage.objective.kind == "base":
        return Base()
    return AMDiT(**stage.objective.model_dump())
