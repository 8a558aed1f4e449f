"""Training a discriminative network."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import baselines
import baselines.networks
from baselines.objectives import OBJECTIVES
from baselines.robust import augmented
from baselines.train import BaselineTrainConfig, BaselineTrainer
from bench.data.batches import Batches
from bench.store.checkpoints import Card
from bench.training.data import TrainingData
from bench.training.loop import Loop
from bench.util import rng
from bench.util.errors import UserError

if TYPE_CHECKING:
    from bench.classifiers.kinds.baseline import BaselineClassifier


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
