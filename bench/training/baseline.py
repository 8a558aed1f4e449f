"""Training a discriminative network."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import baselines
import baselines.checkpoints
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
            classifier = baselines.FaceClassifier(spec.architecture, data.dataset.classes)
        except RuntimeError as error:
            raise UserError(
                f"classifier {name!r}: timm has no architecture {spec.architecture!r} ({error})."
            ) from error
    training = BaselineTrainConfig(
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        validate_every=max(1, spec.steps // 5),
        bfloat16=recipe["precision"] == "bfloat16",
    )
    trainer = BaselineTrainer(classifier.to(loop.device), training, data.split("val"))
    batches = Batches(*data.split("train"), spec.batch_size, recipe["seed"])
    seconds = loop.run(f"train {name}", trainer, batches, spec.steps, folder)
    loop.publish(
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
