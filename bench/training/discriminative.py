"""Training a discriminative network: of pictures, or of clips."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import baselines
import baselines.networks
from baselines.clips import classifier as clip_networks
from baselines.clips.hdf import ScalingConfig
from baselines.clips.x3d import load_kinetics
from baselines.robust import augmented
from baselines.train import OBJECTIVES, BaselineTrainConfig, BaselineTrainer
from bench.data.batches import Batches
from bench.data.clips import Augment, ClipBatches, stacked_clips
from bench.store.checkpoints import Card
from bench.training.loop import Loop, TrainingData
from bench.util import rng
from bench.util.errors import UserError

if TYPE_CHECKING:
    from bench.classifiers.kinds.baseline import BaselineClassifier
    from bench.classifiers.kinds.clip_network import ClipNetwork


def train_baseline(
    name: str,
    spec: "BaselineClassifier",
    recipe: dict[str, Any],
    folder: Path,
    data: TrainingData,
    loop: Loop,
) -> None:
    """Train the network of `recipe` into `folder`.

    Raises:
        UserError: If timm does not know the architecture.
    """
    with rng.fenced(recipe["seed"], "weights", spec.architecture):
        try:
            classifier = baselines.FaceClassifier(
                spec.architecture, data.dataset.classes, spec.objective
            )
        except RuntimeError as error:
            raise UserError(
                f"classifier {name!r}: timm has no architecture {spec.architecture!r} ({error})."
            ) from error
    images, labels = data.split("train")
    objective = None
    if spec.objective is not None:
        with rng.fenced(recipe["seed"], "objective", spec.objective):
            objective = OBJECTIVES[spec.objective](classifier, labels).to(loop.device)
    training = BaselineTrainConfig(
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        validate_every=max(1, spec.steps // 5),
        label_smoothing=spec.label_smoothing,
        bfloat16=recipe["precision"] == "bfloat16",
        adversarial=spec.adversarial.training() if spec.adversarial else None,
        mixup=spec.mixup,
        sam=spec.sam,
        seed=rng.key(recipe["seed"], "baseline"),
    )
    trainer = BaselineTrainer(classifier.to(loop.device), training, data.split("val"), objective)
    batches = Batches(
        images,
        labels,
        spec.batch_size,
        recipe["seed"],
        spec.balanced,
        partial(augmented, names=spec.augmentation) if spec.augmentation else None,
        numbers=objective is not None and objective.by_number,
    )
    seconds = loop.run(f"train {name}", trainer, batches, spec.steps, folder)
    best = trainer.best()
    validation = {"accuracy": trainer.best_accuracy}
    if training.adversarial is not None:
        validation = {
            "accuracy": trainer.validation_accuracy(),
            "pgd_accuracy": trainer.best_accuracy,
        }
    loop.publish(
        folder,
        lambda scratch: baselines.networks.save(best, scratch),
        Card(
            kind="baseline",
            recipe=recipe,
            weights="",
            validation=validation,
            gate=None,
            seconds=seconds,
        ),
    )


# ------------------------------------------------------------------------------------------------
# Clips.


def train_clip_network(
    name: str,
    spec: "ClipNetwork",
    recipe: dict[str, Any],
    folder: Path,
    data: TrainingData,
    loop: Loop,
) -> None:
    """Train the network of `recipe` into `folder`.

    Raises:
        UserError: If the data set has no clips, or the pretrained weights do not fit.
    """
    clips, length = data.dataset.clips, spec.frames
    if clips is None or length is None:
        raise UserError(f"classifier {name!r} is trained on clips; set `clips` in the config.")
    with rng.fenced(recipe["seed"], "weights", spec.architecture):
        classifier = clip_networks.ClipClassifier(
            spec.architecture, tuple(clips.classes), length, spec.size, **spec.options
        )
    if spec.pretrained is not None:
        _load_pretrained(name, classifier, spec.pretrained)
    training = clip_networks.ClipTrainConfig(
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        warmup=spec.warmup,
        weight_decay=spec.weight_decay,
        label_smoothing=spec.label_smoothing,
        validate_every=spec.validate_every or max(1, spec.steps // 5),
        bfloat16=recipe["precision"] == "bfloat16",
        sam=spec.sam,
        scaling=ScalingConfig(**spec.dsm.model_dump()) if spec.dsm is not None else None,
    )
    validation = stacked_clips(clips, "val", length, spec.size, spec.padding)
    trainer = clip_networks.ClipTrainer(classifier.to(loop.device), training, validation)
    batches = ClipBatches(
        clips,
        spec.batch_size,
        recipe["seed"],
        length=length,
        size=spec.size,
        sampler=spec.sampler,
        padding=spec.padding,
        balanced=spec.balanced,
        augment=Augment(spec.least_crop, spec.jitter),
        readers=spec.readers,
    )
    seconds = loop.run(f"train {name}", trainer, batches, spec.steps, folder)
    loop.publish(
        folder,
        lambda scratch: clip_networks.save(trainer.best(), scratch),
        Card(
            kind="clip_network",
            recipe=recipe,
            weights="",
            validation={"accuracy": trainer.best_accuracy},
            gate=None,
            seconds=seconds,
        ),
    )


def _load_pretrained(name: str, classifier: clip_networks.ClipClassifier, path: Path) -> None:
    try:
        published = torch.load(path, weights_only=True, map_location="cpu")
        load_kinetics(classifier.network, published.get("model_state", published))
    except Exception as error:  # of pickle, of torch, or of other names
        raise UserError(
            f"classifier {name!r}: {path} does not have X3D's published weights, a .pyth file of "
            f"PyTorchVideo: {error}"
        ) from error
