"""From a config's entry to a classifier."""

from pathlib import Path
from typing import Any

import torch

import baselines
import baselines.checkpoints
from bench.classifiers.base import Classifier
from bench.classifiers.discriminative import DiscriminativeClassifier, load_python
from bench.classifiers.emodc import DiffusionClassifier, MatchedControl
from bench.config import (
    BaselineClassifier,
    CheckpointClassifier,
    ClassifierConfig,
    Config,
    EvaluationConfig,
    PythonClassifier,
    StagedClassifier,
)
from bench.store.checkpoints import Card
from bench.util.errors import UserError
from emodc import CheckpointError, EmoDC, Engine, Evaluation
from emodc.decisions.engine import require_compiler
from emodc.unet import SharedTrunkClassifier

NEEDS_WHITE_NOISE = (
    "noise_aware needs an encoder that keeps white noise white (the small network's, or pixels); "
    "this one has a VAE. Set noise_aware to false."
)


def load_classifier(
    name: str, spec: ClassifierConfig, folder: Path | None, config: Config, device: torch.device
) -> Classifier:
    """Open a classifier.

    Args:
        name: Its name in the config.
        spec: Its entry in the config.
        folder: Its checkpoint, for the kinds that have one.
        config: The run.
        device: Where it computes.

    Raises:
        UserError: If the checkpoint is damaged or the factory fails.
    """
    if isinstance(spec, PythonClassifier):
        own = load_python(name, spec, device)
        own.training = declared(spec)
        return own
    if folder is None:
        raise ValueError(f"{name} needs a checkpoint")
    card = Card.verified(folder)
    classifier = _load_checkpoint(name, spec, folder, card, config, device)
    classifier.validation = card.validation
    made_by = {key: value for key, value in card.recipe.items() if key not in ("data", "classes")}
    classifier.training = made_by | {"seconds": card.seconds} | declared(spec)
    return classifier


def declared(spec: ClassifierConfig) -> dict[str, Any]:
    """What the config says of a training that it did not make, for manifests."""
    names = getattr(spec, "trained_with", [])
    return {"trained_with": list(names)} if names else {}


def _load_checkpoint(
    name: str,
    spec: BaselineClassifier | CheckpointClassifier | StagedClassifier,
    folder: Path,
    card: Card,
    config: Config,
    device: torch.device,
) -> Classifier:
    try:
        if card.kind == "baseline":
            _require_no_decision(name, spec)
            model = baselines.checkpoints.load(folder)
            return DiscriminativeClassifier(model, model.classes, card.weights, device)
        emodc = EmoDC.from_pretrained(folder)
    except (CheckpointError, baselines.BaselineCheckpointError) as error:
        raise UserError(f"classifier {name!r}: {error}", 1) from error
    plan = EvaluationConfig() if isinstance(spec, BaselineClassifier) else spec.evaluation
    emodc.evaluation = Evaluation(
        steps=plan.steps,
        low=plan.low,
        high=plan.high,
        seed=config.seed if plan.noise_seed is None else plan.noise_seed,
        noise_aware=plan.noise_aware,
        level_gradient=plan.level_gradient,
        weighting=plan.weighting,
        precision=config.precision,
    )
    if plan.noise_aware and not emodc.denoiser.keeps_noise_white:
        raise UserError(f"classifier {name!r}: {NEEDS_WHITE_NOISE}")
    try:
        emodc.denoiser.process.weight(emodc.timesteps, plan.weighting)
    except ValueError as error:
        raise UserError(f"classifier {name!r}: {error}.") from error
    engine = _engine(config, device)
    if isinstance(emodc.denoiser.network, SharedTrunkClassifier):
        return MatchedControl(emodc, card.weights, plan.attack_steps, device, engine)
    return DiffusionClassifier(emodc, card.weights, card.gate, plan.attack_steps, device, engine)


def _require_no_decision(
    name: str, spec: BaselineClassifier | CheckpointClassifier | StagedClassifier
) -> None:
    evaluation = getattr(spec, "evaluation", None)
    if evaluation is not None and evaluation.decision is not None:
        raise UserError(
            f"classifier {name!r}: its checkpoint is a baseline, which has no steps to decide "
            "after. Remove `evaluation.decision`."
        )


def _engine(config: Config, device: torch.device) -> Engine:
    settings = config.execution.engine
    if settings.compile:
        try:
            require_compiler(device)
        except ValueError as error:
            raise UserError(f"execution.engine: {error}") from error
    return Engine(settings.rows, settings.channels_last, settings.compile)
