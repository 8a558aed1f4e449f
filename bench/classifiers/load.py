"""From a checkpoint to a classifier."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

import baselines
import baselines.networks
from baselines.clips import classifier as clip_networks
from bench.classifiers.base import Classifier
from bench.classifiers.clips import ClipNetworkClassifier
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier, MatchedControl
from bench.classifiers.kinds.base import Kind
from bench.classifiers.kinds.emodc import EvaluationConfig
from bench.store.checkpoints import Card
from bench.util.errors import UserError
from emodc import CheckpointError, EmoDC, Engine, Evaluation
from emodc.decisions.live import require_compiler
from emodc.diffusion.noise_aware import NEEDS_WHITE_NOISE

if TYPE_CHECKING:
    from bench.config import Config


def from_checkpoint(
    name: str, spec: Kind, folder: Path | None, config: "Config", device: torch.device
) -> Classifier:
    """Open a checkpoint; see `Kind.load`.

    Raises:
        UserError: If it is damaged, or does not fit what the config asks of it.
    """
    if folder is None:
        raise ValueError(f"{name} needs a checkpoint")
    card = Card.verified(folder)
    classifier = _opened(name, spec, folder, card, config, device)
    classifier.validation = card.validation
    made_by = {key: value for key, value in card.recipe.items() if key not in ("data", "classes")}
    classifier.training = made_by | {"seconds": card.seconds} | spec.declared()
    return classifier


def _opened(
    name: str, spec: Kind, folder: Path, card: Card, config: "Config", device: torch.device
) -> Classifier:
    try:
        if card.kind == "baseline":
            _require_no_decision(name, spec)
            model = baselines.networks.load(folder)
            return DiscriminativeClassifier(model, model.classes, card.weights, device)
        if card.kind == "clip_network":
            _require_no_decision(name, spec)
            network = clip_networks.load(folder)
            return ClipNetworkClassifier(network, network.classes, card.weights, device)
        emodc = EmoDC.from_pretrained(folder)
    except (
        CheckpointError,
        baselines.BaselineCheckpointError,
        clip_networks.ClipCheckpointError,
    ) as error:
        raise UserError(f"classifier {name!r}: {error}", 1) from error
    plan: EvaluationConfig = getattr(spec, "evaluation", EvaluationConfig())
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
    if not emodc.denoiser.predicts_noise:
        return MatchedControl(emodc, card.weights, plan.attack_steps, device, engine)
    return DiffusionClassifier(emodc, card.weights, card.gate, plan.attack_steps, device, engine)


def _require_no_decision(name: str, spec: Kind) -> None:
    if spec.decision is not None:
        raise UserError(
            f"classifier {name!r}: its checkpoint is a baseline, which has no steps to decide "
            "after. Remove `evaluation.decision`."
        )


def _engine(config: "Config", device: torch.device) -> Engine:
    settings = config.execution.engine
    if settings.compile:
        try:
            require_compiler(device)
        except ValueError as error:
            raise UserError(f"execution.engine: {error}") from error
    return Engine(settings.rows, settings.channels_last, settings.compile)
