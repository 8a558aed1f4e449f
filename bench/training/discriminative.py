"""Training a discriminative network: of pictures, or of clips."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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
from bench.training.loop import TrainingJob
from bench.util import rng
from bench.util.errors import UserError

if TYPE_CHECKING:
    from bench.classifiers.kinds.baseline import BaselineClassifier
    from bench.classifiers.kinds.clip_network import ClipNetwork


def train_baseline(spec: "BaselineClassifier", job: TrainingJob) -> None:
    """Train the network of a recipe into its folder.

    Raises:
        UserError: If timm does not know the architecture.
    """
    with rng.fenced(job.recipe["seed"], "weights", spec.architecture):
        try:
            classifier = baselines.FaceClassifier(
                spec.architecture, job.data.dataset.classes, spec.objective
            )
        except RuntimeError as error:
            raise UserError(
                f"classifier {job.name!r}: timm has no architecture {spec.architecture!r} "
                f"({error})."
            ) from error
    images, labels = job.data.split("train")
    objective = None
    if spec.objective is not None:
        with rng.fenced(job.recipe["seed"], "objective", spec.objective):
            objective = OBJECTIVES[spec.objective](classifier, labels).to(job.loop.device)
    training = BaselineTrainConfig(
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        validate_every=max(1, spec.steps // 5),
        label_smoothing=spec.label_smoothing,
        bfloat16=job.recipe["precision"] == "bfloat16",
        adversarial=spec.adversarial.training() if spec.adversarial else None,
        mixup=spec.mixup,
        sam=spec.sam,
        seed=rng.key(job.recipe["seed"], "baseline"),
    )
    trainer = BaselineTrainer(
        classifier.to(job.loop.device), training, job.data.split("val"), objective
    )
    batches = Batches(
        images,
        labels,
        spec.batch_size,
        job.recipe["seed"],
        spec.balanced,
        partial(augmented, names=spec.augmentation) if spec.augmentation else None,
        numbers=objective is not None and objective.by_number,
    )
    seconds = job.loop.run(f"train {job.name}", trainer, batches, spec.steps, job.folder)
    best = trainer.best()
    validation = {"accuracy": trainer.best_accuracy}
    if training.adversarial is not None:
        validation = {
            "accuracy": trainer.validation_accuracy(),
            "pgd_accuracy": trainer.best_accuracy,
        }
    job.loop.publish(
        job.folder,
        lambda scratch: baselines.networks.save(best, scratch),
        Card(
            kind="baseline",
            recipe=job.recipe,
            weights="",
            validation=validation,
            gate=None,
            seconds=seconds,
        ),
    )


# ------------------------------------------------------------------------------------------------
# Clips.


def train_clip_network(spec: "ClipNetwork", job: TrainingJob) -> None:
    """Train the network of a recipe into its folder.

    Raises:
        UserError: If the data set has no clips, or the pretrained weights do not fit.
    """
    clips, length = job.data.dataset.clips, spec.frames
    if clips is None or length is None:
        raise UserError(f"classifier {job.name!r} is trained on clips; set `clips` in the config.")
    with rng.fenced(job.recipe["seed"], "weights", spec.architecture):
        classifier = clip_networks.ClipClassifier(
            spec.architecture, tuple(clips.classes), length, spec.size, **spec.options
        )
    if spec.pretrained is not None:
        _load_pretrained(job.name, classifier, spec.pretrained)
    training = clip_networks.ClipTrainConfig(
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        warmup=spec.warmup,
        weight_decay=spec.weight_decay,
        label_smoothing=spec.label_smoothing,
        validate_every=spec.validate_every or max(1, spec.steps // 5),
        bfloat16=job.recipe["precision"] == "bfloat16",
        sam=spec.sam,
        scaling=ScalingConfig(**spec.dsm.model_dump()) if spec.dsm is not None else None,
    )
    validation = stacked_clips(clips, "val", length, spec.size, spec.padding)
    trainer = clip_networks.ClipTrainer(classifier.to(job.loop.device), training, validation)
    batches = ClipBatches(
        clips,
        spec.batch_size,
        job.recipe["seed"],
        length=length,
        size=spec.size,
        sampler=spec.sampler,
        padding=spec.padding,
        balanced=spec.balanced,
        augment=Augment(spec.least_crop, spec.jitter),
        readers=spec.readers,
    )
    seconds = job.loop.run(f"train {job.name}", trainer, batches, spec.steps, job.folder)
    job.loop.publish(
        job.folder,
        lambda scratch: clip_networks.save(trainer.best(), scratch),
        Card(
            kind="clip_network",
            recipe=job.recipe,
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
