"""One stage of an EmoDC: from the checkpoint of the stage before to a checkpoint of its own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bench import rng
from bench.checkpoints import Card, judge
from bench.config import EmoDCClassifier, PromptTexts, Stage, StagedClassifier
from bench.data.base import DataSet
from bench.data.batches import Batches
from bench.errors import UserError
from bench.files import digest
from bench.models.load import NEEDS_WHITE_NOISE
from bench.training.data import LatentBatches, TrainingData, cached_latents
from bench.training.loop import Loop
from bench.training.recipes import checkpoint_folder
from bench.training.stage_trainer import StageTrainer, validation_figures
from bench.training.trackers import Trackers
from emodc import CheckpointError, Denoiser, EmoDC, Evaluation, Prompts
from emodc.evaluation import Precision
from emodc.objectives import OBJECTIVES, Objective
from emodc.small import small_control, small_denoiser
from emodc.train import EmoDCTrainer, TrainConfig

_VALIDATION_STEPS = 20


def train_stage(
    name: str,
    spec: StagedClassifier,
    chain: list[dict[str, Any]],
    number: int,
    out: Path,
    data: TrainingData,
    loop: Loop,
    trackers: Sequence[str],
) -> None:
    """Train stage `number` of an EmoDC, or of its matched control.

    Args:
        name: Names the classifier in messages.
        spec: Its config.
        chain: The recipes of all its stages.
        number: Which stage.
        out: Folder of the run.
        data: The splits.
        loop: Runs the steps.
        trackers: Names of trackers.

    Raises:
        UserError: If the stage asks for something that its network cannot do.
    """
    recipe, stage = chain[number], spec.stages[number]
    folder = checkpoint_folder(out, recipe)
    previous = checkpoint_folder(out, chain[number - 1]) if number else None
    control = not isinstance(spec, EmoDCClassifier)
    # The control reads no prompts; it needs one per class to keep its place.
    as_named = PromptTexts(words={label: label for label in data.dataset.classes})
    texts = spec.prompts if isinstance(spec, EmoDCClassifier) else as_named
    prompts = make_prompts(texts, data.dataset)
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
        batches = _latent_batches(stage, denoiser, recipe, training.seed, out, data, loop)
    else:
        pictures = data.split("train", denoiser.image_size)
        batches = Batches(*pictures, stage.batch_size, training.seed, stage.balanced)

    label = f"train {name} ({'cross-entropy head' if control else stage.objective.kind})"
    split = data.split("val", denoiser.image_size)
    names = trackers if loop.accelerator.is_main_process else []
    with Trackers(names, out, folder.name) as tracked:
        run = StageTrainer(trainer, stage, split, control, tracked, label, loop.reporter)
        seconds = loop.run(label, run, batches, stage.steps, folder)
    run.finish()

    model = EmoDC(denoiser, prompts).eval()
    before = Card.verified(previous) if previous else None
    card = _judged(model, spec, recipe, number, split, training.precision, before)
    figures = "  ".join(f"{key} {value:.4f}" for key, value in card.validation.items())
    failed = card.gate is not None and not card.gate.passed
    verdict = "  GATE FAILED: no longer a denoiser" if failed else ""
    loop.reporter.say(f"{label}: validation {figures}{verdict}")

    def save(scratch: Path) -> None:
        model.save_pretrained(scratch)
        lines = [json.dumps(record) + "\n" for record in run.records]
        (scratch / "training.jsonl").write_text("".join(lines))

    spent = seconds + (before.seconds if before else 0.0)
    loop.publish(folder, save, card.model_copy(update={"seconds": spent}))


def _require_sense(
    name: str, spec: StagedClassifier, stage: Stage, denoiser: Denoiser, loop: Loop
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
    spec: StagedClassifier,
    recipe: dict[str, Any],
    number: int,
    validation: tuple[Tensor, Tensor],
    precision: Precision,
    before: Card | None,
) -> Card:
    """The card of a trained stage: validation on the whole split, and the gate."""
    control = spec.kind == "control"
    high = spec.evaluation.high
    model.evaluation = Evaluation(steps=_VALIDATION_STEPS, high=high, precision=precision)
    accuracy, d_p = validation_figures(model, *validation)
    # Only what the recipe holds: the folder must not depend on how one run evaluates it.
    scale = 1.0 if control else Evaluation.logit_scale
    model.evaluation = Evaluation(high=high, logit_scale=scale)
    gate = None
    if not control:
        plain = all(stage.objective.kind == "base" for stage in spec.stages[: number + 1])
        base_d_p = before.gate.base_d_p if before and before.gate else None
        gate = judge(d_p, d_p if plain else base_d_p)
    return Card(
        kind="emodc",
        recipe=recipe,
        weights="",
        validation={"accuracy": accuracy, "nll" if control else "d_p": d_p},
        gate=gate,
        seconds=0.0,
    )


def make_objective(stage: Stage) -> Objective:
    """The objective that a stage's config describes."""
    fields = stage.objective.model_dump(exclude={"kind"})
    if "negatives" in fields:
        drawn = fields.pop("negatives")
        fields["count"] = None if drawn == "all" else drawn
    return OBJECTIVES[stage.objective.kind](**fields)


def make_prompts(texts: PromptTexts, dataset: DataSet) -> Prompts:
    """The prompts of a data set's classes.

    Raises:
        UserError: If two classes would share a prompt, or words are given for unknown classes.
    """
    try:
        return Prompts(
            dataset.classes,
            templates=tuple(texts.templates),
            non_class=texts.non_class,
            null=texts.null,
            words=texts.words,
        )
    except ValueError as error:
        raise UserError(f"prompts: {error}.") from error


def _train_config(
    spec: StagedClassifier, stage: Stage, number: int, recipe: dict[str, Any]
) -> TrainConfig:
    control = spec.kind == "control"  # its head reads no prompts
    return TrainConfig(
        objective=make_objective(stage),
        steps=stage.steps,
        learning_rate=stage.learning_rate,
        schedule=stage.schedule,
        warmup=stage.warmup,
        ema=stage.ema,
        high=spec.evaluation.high,
        weighting=stage.weighting,
        null_share=0.0 if control else stage.null_share,
        non_class_share=0.0 if control else stage.non_class_share,
        accumulate=stage.accumulate,
        checkpointing=stage.checkpointing,
        trained=stage.trained,
        lora_rank=stage.lora_rank,
        precision=recipe["precision"],
        seed=rng.key(recipe["seed"], "stage", number),
    )


def _starting_point(
    name: str,
    spec: StagedClassifier,
    recipe: dict[str, Any],
    previous: Path | None,
    prompts: Prompts,
    data: TrainingData,
) -> Denoiser:
    """The stage before, a pretrained pipeline, or a new network."""
    try:
        if previous is not None:
            return EmoDC.from_pretrained(previous).denoiser
        if isinstance(spec, EmoDCClassifier) and spec.pretrained is not None:
            return EmoDC.from_pretrained(spec.pretrained, prompts=prompts).denoiser
    except CheckpointError as error:
        raise UserError(f"classifier {name!r}: {error}", 1) from error
    images, _ = data.split("train")
    make = small_control if spec.kind == "control" else small_denoiser
    with rng.fenced(recipe["seed"], "weights", "emodc"):
        return make(
            images[:1024],
            prompts,
            whitening=spec.whitening,
            block_out_channels=spec.block_out_channels,
            head_channels=spec.head_channels,
        )


def _latent_batches(
    stage: Stage,
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
