"""The one door to classifiers: EmoDC, baselines, a user's own.

With `training`, the only part of the bench that imports models of emodc or baselines. A classifier
is measured on pictures at their native size; resizing and normalisation live inside it.
"""

import hashlib
import importlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import baselines
import baselines.checkpoints
from bench.checkpoints import Card
from bench.config import (
    BaselineClassifier,
    CheckpointClassifier,
    ClassifierConfig,
    Config,
    EmoDCClassifier,
    Evaluation,
    PythonClassifier,
)
from bench.errors import UserError
from bench.store import Gate
from bench.traces import OtherPrompts, Traces
from emodc import CheckpointError, EmoDC
from emodc import Evaluation as EmoDCEvaluation
from emodc.unet import SharedTrunkClassifier


@dataclass(frozen=True)
class Measurement:
    """What a classifier said of a batch of N pictures.

    Attributes:
        logits: float32 (N, K).
        traces: EmoDC's errors; None for other classifiers.
        evaluations: Network evaluations per picture.
        seconds: Wall time per picture, (N,).
    """

    logits: np.ndarray
    traces: Traces | None
    evaluations: int
    seconds: np.ndarray


class Classifier(ABC):
    """A classifier as the sweep sees it.

    Attributes:
        classes: Class names in logit order.
        digest: Of the weights and of how they are evaluated.
        gate: For EmoDC, whether it is still a denoiser.
        timesteps: EmoDC's grid for a picture without noise; empty for other classifiers.
        evaluations: Network evaluations per picture.
        validation: Figures of its checkpoint on the validation split.
        training: What made its weights; see `bench.store.Manifest`.
    """

    classes: tuple[str, ...]
    digest: str
    gate: Gate | None = None
    timesteps: tuple[int, ...] = ()
    evaluations: int = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.validation: dict[str, float] = {}
        self.training: dict[str, Any] = {}

    def measure(self, pictures: Sequence[np.ndarray], ids: Sequence[str]) -> Measurement:
        """Measure uint8 RGB pictures (H, W, 3) of any sizes.

        On a CPU each picture is a computation of its own, so that its result does not depend on
        its neighbours, to the last bit. On a GPU pictures of one size share a batch.
        """
        results = []
        for batch in self._batches(pictures):
            images = as_images([pictures[i] for i in batch]).to(self.device)
            start = time.perf_counter()
            logits, traces = self._measure(images, [ids[i] for i in batch])
            spent = (time.perf_counter() - start) / len(batch)
            results.append((logits, traces, np.full(len(batch), spent)))
        logits, traces, seconds = zip(*results, strict=True)
        return Measurement(
            logits=np.concatenate(logits),
            traces=None if traces[0] is None else Traces.joined(traces),
            evaluations=self.evaluations,
            seconds=np.concatenate(seconds),
        )

    def other_prompts(self, pictures: Sequence[np.ndarray], ids: Sequence[str]) -> OtherPrompts:
        """Errors under the prompts that name no class, for classifiers whose `measure` has traces.

        A call of its own, so that a verdict's logits, seconds and evaluations stay what they are.
        """
        raise TypeError(f"{type(self).__name__} knows no prompts")

    def require_classes(self, classes: Sequence[str], name: str) -> None:
        """Refuse a data set whose labels this classifier does not know.

        Raises:
            UserError: Naming the labels on both sides.
        """
        missing = sorted(set(classes) - set(self.classes))
        if missing:
            raise UserError(
                f"classifier {name!r} does not know the data set's classes {', '.join(missing)}; "
                f"it knows {', '.join(self.classes)}."
            )

    @abstractmethod
    def attack_target(self, sample_id: str) -> nn.Module:
        """What an attack on this sample differentiates: images -> logits."""

    @abstractmethod
    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        """Logits and traces of float32 images (B, 3, H, W)."""

    def _batches(self, pictures: Sequence[np.ndarray]) -> list[list[int]]:
        if self.device.type == "cpu":
            return [[i] for i in range(len(pictures))]
        batches: list[list[int]] = []
        for i, picture in enumerate(pictures):
            if batches and pictures[batches[-1][0]].shape == picture.shape:
                batches[-1].append(i)
            else:
                batches.append([i])
        return batches


class DiffusionClassifier(Classifier):
    """EmoDC."""

    def __init__(
        self,
        model: EmoDC,
        digest: str,
        gate: Gate | None,
        attack_steps: int,
        device: torch.device,
    ) -> None:
        super().__init__(device)
        self.model = model.to(device).requires_grad_(False).eval()
        self.classes, self.digest, self.gate = model.classes, digest, gate
        self.timesteps = tuple(model.timesteps.tolist())
        self.evaluations = len(self.timesteps) * len(self.classes)
        self.attack_steps = min(attack_steps, len(self.timesteps))

    def attack_target(self, sample_id: str) -> nn.Module:
        """EmoDC on the verdict's own noise, a different share of its steps at each query."""
        return _SubsampledEmoDC(self.model, sample_id, self.attack_steps)

    def other_prompts(self, pictures: Sequence[np.ndarray], ids: Sequence[str]) -> OtherPrompts:
        """See `Classifier.other_prompts`."""
        parts = []
        for batch in self._batches(pictures):
            images, names = as_images([pictures[i] for i in batch]), [ids[i] for i in batch]
            null, non_class = self.model.other_prompts(images.to(self.device), names)
            parts.append(OtherPrompts(tuple(names), null.cpu().numpy(), non_class.cpu().numpy()))
        return OtherPrompts.joined(parts)

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        trace = self.model.trace(images, ids)
        errors, timesteps = trace.errors.cpu().numpy(), trace.timesteps.cpu().numpy()
        means = errors.astype(np.float64).mean(axis=2)
        logits = (-self.model.evaluation.logit_scale * means).astype(np.float32)
        return logits, Traces(tuple(ids), errors, timesteps.astype(np.int32))


class ControlClassifier(DiffusionClassifier):
    """The matched control: EmoDC's trunk and steps, log-probabilities in the place of errors."""

    def __init__(self, model: EmoDC, digest: str, attack_steps: int, device: torch.device) -> None:
        model.evaluation = replace(model.evaluation, logit_scale=1.0)
        super().__init__(model, digest, None, attack_steps, device)
        self.evaluations, self.timesteps = len(self.timesteps), ()

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        logits, _ = super()._measure(images, ids)
        return logits, None  # not noise-prediction errors: no trace, no d_p


class _SubsampledEmoDC(nn.Module):
    """Logits from `count` of the verdict's steps; successive queries go through all of them."""

    def __init__(self, model: EmoDC, sample_id: str, count: int) -> None:
        super().__init__()
        self.model, self.sample_id = model, sample_id
        self.stride = max(1, model.evaluation.steps // count)
        self.queries = 0

    def forward(self, images: Tensor) -> Tensor:
        steps = range(self.queries % self.stride, self.model.evaluation.steps, self.stride)
        self.queries += 1
        return self.model(images, [self.sample_id], steps)


class DiscriminativeClassifier(Classifier):
    """A network with logits: a baseline or a user's own."""

    def __init__(
        self, model: nn.Module, classes: Sequence[str], digest: str, device: torch.device
    ) -> None:
        super().__init__(device)
        self.model = model.to(device).requires_grad_(False).eval()
        self.classes, self.digest = tuple(classes), digest

    def attack_target(self, sample_id: str) -> nn.Module:
        """The network itself."""
        return self.model

    @torch.no_grad()
    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        return self.model(images).float().cpu().numpy(), None


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
        return load_python(name, spec, device)
    if folder is None:
        raise ValueError(f"{name} needs a checkpoint")
    card = Card.verified(folder)
    classifier = _load_checkpoint(name, spec, folder, card, config, device)
    classifier.validation = card.validation
    made_by = {key: value for key, value in card.recipe.items() if key not in ("data", "classes")}
    classifier.training = made_by | {"seconds": card.seconds}
    return classifier


def _load_checkpoint(
    name: str,
    spec: BaselineClassifier | CheckpointClassifier | EmoDCClassifier,
    folder: Path,
    card: Card,
    config: Config,
    device: torch.device,
) -> Classifier:
    try:
        if card.kind == "baseline":
            model = baselines.checkpoints.load(folder)
            return DiscriminativeClassifier(model, model.classes, card.weights, device)
        emodc = EmoDC.from_pretrained(folder)
    except (CheckpointError, baselines.CheckpointError) as error:
        raise UserError(f"classifier {name!r}: {error}", 1) from error
    plan = Evaluation() if isinstance(spec, BaselineClassifier) else spec.evaluation
    emodc.evaluation = EmoDCEvaluation(
        steps=plan.steps,
        low=plan.low,
        high=plan.high,
        seed=config.seed,
        noise_aware=plan.noise_aware,
        weighting=plan.weighting,
        precision=config.precision,
    )
    if isinstance(emodc.denoiser.network, SharedTrunkClassifier):
        return ControlClassifier(emodc, card.weights, plan.attack_steps, device)
    return DiffusionClassifier(emodc, card.weights, card.gate, plan.attack_steps, device)


def as_images(pictures: Sequence[np.ndarray]) -> Tensor:
    """uint8 (H, W, 3) pictures of one size -> float32 (N, 3, H, W) in [0, 1]."""
    stacked = torch.from_numpy(np.stack(pictures))
    return stacked.permute(0, 3, 1, 2).float() / 255.0


def load_python(name: str, spec: PythonClassifier, device: torch.device) -> Classifier:
    """Call a user's factory.

    Raises:
        UserError: If it cannot be imported or returns something else than it should.
    """
    module_name, _, function = spec.factory.partition(":")
    sys.path.insert(0, "")  # `bench` is a script: the working folder is not on the path by itself
    try:
        model = getattr(importlib.import_module(module_name), function)()
        classes = tuple(model.classes)
        state = model.state_dict()
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"classifier {name!r}: {spec.factory} must be an importable function that returns a "
            f"torch module with an attribute `classes` (names in logit order): {error}"
        ) from error
    finally:
        sys.path.remove("")
    total = hashlib.sha256(spec.factory.encode())
    for key, tensor in sorted(state.items()):
        total.update(key.encode() + tensor.detach().cpu().double().numpy().tobytes())
    return DiscriminativeClassifier(model, classes, total.hexdigest()[:16], device)
