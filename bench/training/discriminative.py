"""Training a discriminative network: of pictures, of clips, or a regression on its features."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize
from torch import Tensor, nn

import baselines
import baselines.networks
from baselines.clips import classifier as clip_networks
from baselines.clips.hdf import ScalingConfig
from baselines.clips.x3d import load_kinetics
from baselines.train import OBJECTIVES, BaselineTrainConfig, BaselineTrainer, augmented
from bench.data.clips import Augment
from bench.store.checkpoints import Card
from bench.training.loop import Batches, ClipBatches, TrainingJob, stacked_clips
from bench.util import rng
from bench.util.errors import UserError

if TYPE_CHECKING:
    from bench.classifiers.kinds.baseline import BaselineClassifier
    from bench.classifiers.kinds.clip_network import ClipNetwork
    from bench.classifiers.kinds.probe import ProbeClassifier


def _publish(
    job: TrainingJob, save: Callable[[Path], None], validation: dict[str, float], seconds: float
) -> None:
    """Store what was trained, with its card."""
    kind = job.recipe["kind"]
    card = Card(
        kind=kind, recipe=job.recipe, weights="", validation=validation, gate=None, seconds=seconds
    )
    job.loop.publish(job.folder, save, card)


def train_baseline(spec: "BaselineClassifier", job: TrainingJob) -> None:
    """Train the network of a recipe into its folder.

    Raises:
        UserError: If weights to start from do not fit, or batches do not divide among the
            processes.
    """
    processes = job.loop.accelerator.num_processes
    if spec.batch_size % processes:
        raise UserError(
            f"classifier {job.name!r}: batch_size {spec.batch_size} does not divide among "
            f"{processes} processes; choose a multiple."
        )
    with rng.fenced(job.recipe["seed"], "weights", spec.architecture):
        classifier = spec.start(job.name, job.data.dataset.classes)
    images, labels = job.data.split("train", spec.image_size)
    objective = None
    if spec.loss is not None:
        with rng.fenced(job.recipe["seed"], "objective", spec.loss):
            objective = OBJECTIVES[spec.loss](classifier, labels).to(job.loop.device)
    training = BaselineTrainConfig(
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        schedule=spec.schedule,
        warmup=spec.warmup,
        weight_decay=spec.weight_decay,
        layer_decay=spec.layer_decay,
        ema=spec.ema,
        validate_every=max(1, spec.steps // 5),
        label_smoothing=spec.label_smoothing,
        bfloat16=job.recipe["precision"] == "bfloat16",
        adversarial=spec.adversarial.training() if spec.adversarial else None,
        mixup=spec.mixup,
        cutmix=spec.cutmix,
        sam=spec.sam,
        seed=rng.key(job.recipe["seed"], "baseline"),
    )
    judged = job.data.split("val", spec.image_size)
    trainer = BaselineTrainer(
        classifier.to(job.loop.device), training, judged, objective, job.loop.accelerator
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
    _publish(job, lambda folder: baselines.networks.save(best, folder), validation, seconds)


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
    judged = stacked_clips(clips, "val", length, spec.size, spec.padding)
    trainer = clip_networks.ClipTrainer(classifier.to(job.loop.device), training, judged)
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
    validation = {"accuracy": trainer.best_accuracy}
    best = trainer.best()
    _publish(job, lambda folder: clip_networks.save(best, folder), validation, seconds)


def _load_pretrained(name: str, classifier: clip_networks.ClipClassifier, path: Path) -> None:
    try:
        published = torch.load(path, weights_only=True, map_location="cpu")
        load_kinetics(classifier.network, published.get("model_state", published))
    except Exception as error:  # of pickle, of torch, or of other names
        raise UserError(
            f"classifier {name!r}: {path} does not have X3D's published weights, a .pyth file of "
            f"PyTorchVideo: {error}"
        ) from error


# ------------------------------------------------------------------------------------------------
# A probe: multinomial logistic regression on the features of a network that stays as it is.
#
# With features f (standardised on the training pictures), logits W f + b, and a penalty on W alone,
#
#     L(W, b) = mean of -log softmax(W f + b)[label] + penalty / 2 * |W|^2
#
# is convex, so L-BFGS finds its one minimum wherever it begins. The penalty is the candidate whose
# mean NLL on validation pictures is least.
# ------------------------------------------------------------------------------------------------

_BATCH = 32  # pictures whose features are computed at once

#: Penalties that validation pictures choose from.
PENALTIES = tuple(10.0**power for power in range(-6, 2))


class LinearProbe(nn.Module):
    """Images in [0, 1] of any size -> logits.

    Args:
        backbone: Images -> features (B, D), behind the inputs that it wants.
        weight: float32 (K, D), of features as they are.
        bias: float32 (K,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, backbone: nn.Module, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 (B, K) of float32 RGB images (B, 3, H, W)."""
        return nn.functional.linear(self.backbone(images), self.weight, self.bias)


class Features:
    """Computes features of pictures, a batch a step; a trainer for `bench.training.loop`.

    Args:
        backbone: Images as the network wants them -> features (B, D).
        total: How many pictures there are.
        batch: How many a step has.
    """

    def __init__(self, backbone: Callable[[Tensor], Tensor], total: int, batch: int) -> None:
        self.backbone, self.total, self.batch = backbone, total, batch
        self.position = 0
        self.found: list[Tensor] = []

    @property
    def finished(self) -> bool:
        """Whether all are computed."""
        return self.position * self.batch >= self.total

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """The features of some pictures."""
        self.found.append(self.backbone(images).float().cpu())
        self.position += 1
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What was computed."""
        return {"position": self.position, "found": self.found}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue."""
        self.position, self.found = state["position"], list(state["found"])


def fit_probe(features: np.ndarray, labels: np.ndarray, penalty: float, count: int) -> np.ndarray:
    """The weights of least loss, float64 (K, D + 1); the last column is the bias.

    Args:
        features: float (N, D).
        labels: int (N,), in [0, K).
        penalty: On the squared weights, at least 0.
        count: K.
    """
    given = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    right = np.eye(count)[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(count, -1)
        logits = given @ weights.T
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        slope = (np.exp(log_p) - right).T @ given / len(given)
        slope[:, :-1] += penalty * weights[:, :-1]
        value = -log_p[right > 0].mean() + penalty / 2 * np.square(weights[:, :-1]).sum()
        return float(value), slope.ravel()

    start = np.zeros(count * given.shape[1])
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-12, "gtol": 1e-7}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    weights: np.ndarray = found.x.reshape(count, -1)
    return weights


def chosen_probe(
    train: tuple[np.ndarray, np.ndarray], val: tuple[np.ndarray, np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Weight (K, D) and bias (K,) for features as they are, and what validation said of them.

    Args:
        train: Features (N, D) and labels (N,).
        val: The same of validation pictures.
        count: K.
    """
    mean, spread = train[0].mean(axis=0), train[0].std(axis=0)
    spread = np.where(spread > 1e-6 * max(spread.max(), 1e-30), spread, np.inf)  # a constant: 0
    best: tuple[float, np.ndarray, dict[str, float]] | None = None
    for penalty in PENALTIES:
        weights = fit_probe((train[0] - mean) / spread, train[1], penalty, count)
        logits = (val[0] - mean) / spread @ weights[:, :-1].T + weights[:, -1]
        top = logits.max(axis=1)
        norm = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        nll = float((norm - logits[np.arange(len(logits)), val[1]]).mean())
        if best is None or nll < best[0]:
            accuracy = float((logits.argmax(axis=1) == val[1]).mean())
            best = nll, weights, {"accuracy": accuracy, "nll": nll, "penalty": penalty}
    assert best is not None
    _, weights, said = best
    weight = weights[:, :-1] / spread
    return weight, weights[:, -1] - weight @ mean, said


def save_probe(folder: Path, weight: np.ndarray, bias: np.ndarray, classes: Sequence[str]) -> None:
    """Write what was fitted; the backbone is not copied."""
    tensors = {"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()}
    save_file(tensors, folder / "probe.safetensors")
    (folder / "probe.json").write_text(json.dumps({"classes": list(classes)}, indent=1))


def load_probe(folder: Path, backbone: nn.Module) -> tuple[LinearProbe, tuple[str, ...]]:
    """The probe in a folder, and its classes in logit order.

    Raises:
        UserError: If it is damaged.
    """
    try:
        tensors = load_file(folder / "probe.safetensors")
        classes = tuple(json.loads((folder / "probe.json").read_text())["classes"])
        return LinearProbe(backbone, tensors["weight"], tensors["bias"]), classes
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder} is not a readable probe ({error}).", 1) from error


def train_probe(spec: "ProbeClassifier", job: TrainingJob) -> None:
    """Compute the features of all pictures, and fit."""
    dataset = job.data.dataset
    samples = [*dataset.samples("train"), *dataset.samples("val")]
    network = spec.backbone(job.name).eval()

    def batch(position: int) -> tuple[Tensor, Tensor]:
        part = samples[position * _BATCH : (position + 1) * _BATCH]
        # Of any sizes; what the network is given has one.
        pictures = [torch.from_numpy(np.array(dataset.picture(one))) for one in part]
        prepared = [network.inputs(own.movedim(-1, 0)[None].float() / 255.0) for own in pictures]
        return torch.cat(prepared), torch.zeros(len(part))

    features = Features(network.to(job.loop.device).of_prepared, len(samples), _BATCH)
    steps = -(-len(samples) // _BATCH)
    seconds = job.loop.run(f"features for {job.name}", features, batch, steps, job.folder)
    found = torch.cat(features.found).numpy().astype(np.float64)
    place = {label: k for k, label in enumerate(dataset.classes)}
    labels = np.array([place[one.label] for one in samples])
    cut = len(dataset.samples("train"))
    weight, bias, said = chosen_probe(
        (found[:cut], labels[:cut]), (found[cut:], labels[cut:]), len(dataset.classes)
    )
    _publish(job, lambda folder: save_probe(folder, weight, bias, dataset.classes), said, seconds)
