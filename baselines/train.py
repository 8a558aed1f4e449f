"""Training a discriminative baseline: cross-entropy with AdamW, as a resumable sequence of steps.

The weights kept are those with the best validation accuracy among the validations done so far
(never the test set's choice); the earliest wins a tie. Adversarial training, mixup, CutMix and SAM
change the loss or the step, the objectives of four papers replace the loss, and averaged weights
(EMA) take the place of the last ones; all are off unless asked for.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms import v2
from typing_extensions import override

from baselines.fer.dan import affinity_loss, partition_loss
from baselines.fer.eac import consistency_loss
from baselines.fer.scn import ranking_loss, relabelled
from baselines.networks import FaceClassifier

# ------------------------------------------------------------------------------------------------
# The training losses of SCN, DAN and EAC, for a ResNet of any size, and of MA-Net.
#
# scn   Wang et al. 2020: cross-entropy of certainty-scaled logits, and the ranking of a batch's
#       certain pictures above its uncertain ones; late in training, what is surely another class is
#       relabelled, in a table beside the data set.
# dan   Wen et al. 2021: cross-entropy, affinity to learned class centres, partition of the heads.
# eac   Zhang et al. 2022: cross-entropy, and equal attention maps of a picture and of its mirror
#       image. The picture is shown with a rectangle erased if `augmentation` says so.
# ma_net Zhao et al. 2021: cross-entropies of both branches, weighted as their logits are.
#
# The networks and formulas are those of `baselines.fer`. Differs from the papers: the optimiser,
# schedule, size and steps are the trainer's.


class HeadObjective(nn.Module):
    """A loss with a state of its own: parameters are trained, buffers are saved."""

    #: Whether the loss is given numbers of pictures in the place of labels.
    by_number = False

    def labels(self, given: Tensor) -> Tensor:
        """Labels int64 (B,) of what a step is given."""
        return given

    @abstractmethod
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        """The loss of images (B, 3, H, W) in [0, 1] and labels (B,); label smoothing in [0, 1)."""

    def finish(self, given: Tensor, progress: float) -> None:
        """After a step on what it was given, with a share `progress` of all steps done."""


class SelfCure(HeadObjective):
    """SCN's.

    Args:
        labels: Of all training pictures, int64 (N,).
        margin: Of the ranking; the paper's 0.15 is for batches of 1,024, 0.07 for 64.
        relabel_after: Share of the steps after which pictures are relabelled (epoch 10 of 70).
    """

    by_number = True
    table: Tensor

    def __init__(self, labels: Tensor, margin: float = 0.07, relabel_after: float = 1 / 7) -> None:
        super().__init__()
        self.margin, self.relabel_after = margin, relabel_after
        self.register_buffer("table", labels.clone())
        self._logits: Tensor | None = None

    @override
    def labels(self, given: Tensor) -> Tensor:
        return self.table[given]

    @override
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        certainty, logits = classifier.network.weighted(classifier.prepared(images))
        if self._logits is None:  # of the step's first pass, where there are two
            self._logits = logits.detach().float()
        entropy = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return entropy + ranking_loss(certainty, self.margin)

    @override
    def finish(self, given: Tensor, progress: float) -> None:
        if progress > self.relabel_after and self._logits is not None:
            self.table[given] = relabelled(self._logits, self.table[given])
        self._logits = None


class DistractAttention(HeadObjective):
    """DAN's.

    Args:
        classes: Number of classes.
        width: Of the trunk's features.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, width))

    @override
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        logits, features, heads = classifier.network.attended(classifier.prepared(images))
        entropy = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        affinity = affinity_loss(features, labels, self.centres)
        return entropy + affinity + partition_loss(heads)


class AttentionConsistency(HeadObjective):
    """EAC's, with the weight that the paper gives the second term."""

    weight = 5.0

    @override
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        logits, maps = classifier.network.mapped(classifier.prepared(images))
        _, mirrored = classifier.network.mapped(classifier.prepared(images.flip(3)))
        entropy = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return entropy + self.weight * consistency_loss(maps, mirrored)


class TwoBranches(HeadObjective):
    """MA-Net's."""

    @override
    def forward(
        self, classifier: FaceClassifier, images: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        local, whole = (
            F.cross_entropy(logits, labels, label_smoothing=smoothing)
            for logits in classifier.network.branches(classifier.prepared(images))
        )
        return 0.6 * local + 0.4 * whole


#: By name: the objective of a classifier and of all training labels, int64 (N,).
OBJECTIVES: dict[str, Callable[[FaceClassifier, Tensor], HeadObjective]] = {
    "scn": lambda classifier, labels: SelfCure(labels),
    "dan": lambda classifier, labels: DistractAttention(
        len(classifier.classes), classifier.network.trunk.num_features
    ),
    "eac": lambda classifier, labels: AttentionConsistency(),
    "ma_net": lambda classifier, labels: TwoBranches(),
}


# ------------------------------------------------------------------------------------------------
# Robust training. Adversarial training shows each picture after an attack on the network as it is
# at that step:
#
# pgd     PGD-AT, Madry et al. 2018 (arXiv 1706.06083), equation 2.1: the cross-entropy at the worst
#         point within eps of the picture.
# trades  Zhang et al. 2019 (arXiv 1901.08573), equation 5: the cross-entropy of the picture, plus
#         beta times how far the network's answer moves at the worst point within eps.
#
# Augmentation shows each picture as it is, or changed at random; see `AUGMENTATIONS`.


@dataclass(frozen=True)
class AdversarialTraining:
    """An attack within a ball of the maximum norm, and the loss at what it finds.

    Attributes:
        method: "pgd" (PGD-AT) or "trades".
        eps: Radius in [0, 1], as pixels are.
        steps: Gradient steps of the attack.
        step_size: Length of each; a quarter of eps if not given.
        beta: Weight of TRADES's second term.
    """

    method: Literal["pgd", "trades"] = "pgd"
    eps: float = 2 / 255
    steps: int = 7
    step_size: float | None = None
    beta: float = 6.0

    def attacked(
        self, classifier: nn.Module, images: Tensor, labels: Tensor, draws: torch.Generator
    ) -> Tensor:
        """The pictures, moved to where the loss's inner maximum is sought.

        Args:
            classifier: Attacked with its running statistics; left in the mode it was in.
            images: float32 (B, 3, H, W) in [0, 1].
            labels: int64 (B,).
            draws: Of the point where the attack starts: uniform in the ball (PGD), or a small step
                from the picture, where the divergence has no slope (TRADES).

        Returns:
            float32 (B, 3, H, W) in [0, 1], within eps of `images`.
        """
        training = classifier.training
        classifier.eval()
        step = self.eps / 4 if self.step_size is None else self.step_size
        if self.method == "pgd":
            start = self.eps * (2 * torch.rand(images.shape, generator=draws) - 1)
            clean = None
        else:
            start = 1e-3 * torch.randn(images.shape, generator=draws)
            with torch.no_grad():
                clean = classifier(images).softmax(dim=1)
        moved = (images + start.to(images.device).clamp(-self.eps, self.eps)).clamp(0, 1)
        for _ in range(self.steps):
            moved.requires_grad_(True)
            logits = classifier(moved)
            loss = F.cross_entropy(logits, labels) if clean is None else _divergence(clean, logits)
            (slope,) = torch.autograd.grad(loss, moved)
            moved = moved.detach() + step * slope.sign()
            moved = (images + (moved - images).clamp(-self.eps, self.eps)).clamp(0, 1)
        classifier.train(training)
        return moved.detach()

    def loss(
        self,
        classifier: nn.Module,
        images: Tensor,
        labels: Tensor,
        smoothing: float,
        draws: torch.Generator,
    ) -> Tensor:
        """The loss to descend; arguments as in `attacked`, label smoothing in [0, 1)."""
        moved = self.attacked(classifier, images, labels, draws)
        if self.method == "pgd":
            return F.cross_entropy(classifier(moved), labels, label_smoothing=smoothing)
        # One batch, so that both halves are normalised alike.
        clean, worst = classifier(torch.cat([images, moved])).chunk(2)
        entropy = F.cross_entropy(clean, labels, label_smoothing=smoothing)
        return entropy + self.beta * _divergence(clean.softmax(dim=1), worst)


def _divergence(truth: Tensor, logits: Tensor) -> Tensor:
    """KL(truth || softmax(logits)), mean over rows; probabilities (B, K) and logits (B, K)."""
    return F.kl_div(logits.log_softmax(dim=1), truth, reduction="batchmean")


# ------------------------------------------------------------------------------------------------
# Augmentation.


Augmentation = Literal["noise", "blur", "augmix", "randaugment", "jitter", "erasing"]
_STRONGEST_NOISE = 0.3
_STRONGEST_BLUR = 0.04  # of a picture's side


def _noise(image: Tensor) -> Tensor:
    """White noise of a random strength (compare Rusak et al. 2020, arXiv 2001.06057)."""
    return (image + _STRONGEST_NOISE * torch.rand(()) * torch.randn(image.shape)).clamp(0, 1)


def _blur(image: Tensor) -> Tensor:
    """A Gaussian blur of a random strength."""
    widest = _STRONGEST_BLUR * image.shape[-1]
    sigma = max(1e-3, float(widest * torch.rand(())))
    size = 2 * int(3 * sigma + 1) + 1
    blurred: Tensor = v2.functional.gaussian_blur(image, [size, size], [sigma, sigma])
    return blurred


def _on_bytes(transform: nn.Module) -> Callable[[Tensor], Tensor]:
    """A transform that reads 8 bits, for pictures in [0, 1]."""
    return lambda image: transform((image * 255).round().to(torch.uint8)).float() / 255.0


#: What each does to one float32 picture (3, H, W) in [0, 1], with torch's global generator.
#: "augmix" is AugMix's augmentation (arXiv 1912.02781) without its consistency loss.
AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "augmix": _on_bytes(v2.AugMix()),
    "randaugment": _on_bytes(v2.RandAugment()),
    "jitter": v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "erasing": v2.RandomErasing(p=1.0),
}
assert set(AUGMENTATIONS) == set(get_args(Augmentation))


def augmented(images: Tensor, names: Sequence[str]) -> Tensor:
    """Half of the pictures changed, each by one augmentation that is drawn from `names`.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        names: Of `AUGMENTATIONS`.

    Returns:
        float32 (B, 3, H, W) in [0, 1]; drawn with torch's global generator.
    """
    rows = []
    for image in images:
        if torch.rand(()) < 0.5:
            chosen = names[int(torch.randint(len(names), ()))]
            image = AUGMENTATIONS[chosen](image)
        rows.append(image)
    return torch.stack(rows)


# ------------------------------------------------------------------------------------------------
# The trainer.


Network = TypeVar("Network", bound=nn.Module)
Schedule = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True)
class BaselineTrainConfig:
    """How a baseline is trained.

    Attributes:
        steps: Optimiser steps.
        learning_rate: Peak rate, after a linear warm-up.
        schedule: How it falls: to zero by a cosine or linearly, or not.
        warmup: Share of the steps that warm up.
        weight_decay: Of AdamW.
        layer_decay: Each layer's rate over that of the layer above it, the last one's being 1; in
            (0, 1] (Clark et al. 2020, arXiv 2003.10555; layers as timm groups them).
        ema: Decay of averaged weights, in [0, 1), which are then validated and kept; 0 averages
            none.
        label_smoothing: Of the cross-entropy.
        validate_every: Steps between validations.
        bfloat16: Whether the network computes in bfloat16 (parameters stay float32).
        adversarial: Train on attacked pictures; the weights kept are then those with the best
            validation accuracy under that attack.
        mixup: Concentration of the Beta distribution that mixes pairs of pictures (Zhang et al.
            2018, arXiv 1710.09412); 0 mixes none.
        cutmix: The same of rectangles that are put from one picture into another (Yun et al. 2019,
            arXiv 1905.04899); with both, batches take turns by chance.
        sam: Radius of sharpness-aware minimisation; 0 takes plain steps.
        seed: Of the attacks and of mixup.
    """

    steps: int = 625
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    ema: float = 0.0
    label_smoothing: float = 0.1
    validate_every: int = 125
    bfloat16: bool = False
    adversarial: AdversarialTraining | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    sam: float = 0.0
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / max(1.0, self.warmup * self.steps))
        if self.schedule == "constant":
            return self.learning_rate * warm
        if self.schedule == "linear":
            return self.learning_rate * warm * (1.0 - step / self.steps)
        cosine = 0.5 * (1.0 + torch.cos(torch.tensor(torch.pi * step / self.steps)).item())
        return self.learning_rate * warm * cosine


class BaselineTrainer(Generic[Network]):
    """Optimiser, best weights and position of one run.

    Args:
        classifier: Trained in place.
        config: The run.
        validation: uint8 images (N, 3, H, W) and int64 labels (N,).
        objective: Another loss than the cross-entropy, with the state that it trains; neither
            adversarial nor mixup.
        accelerator: The processes that train together; one if not given. Each takes its share of a
            batch, and gradients are averaged. An objective that keeps labels of its own is given
            whole batches by all, so that these labels stay alike.

    Attributes:
        position: Steps done.
        best_accuracy: Validation accuracy of the best weights, in [0, 1]; under the attack if
            training is adversarial.
    """

    rows_at_once: ClassVar[int] = 128
    """Pictures of a validation's batch."""

    def __init__(
        self,
        classifier: Network,
        config: BaselineTrainConfig,
        validation: tuple[Tensor, Tensor],
        objective: HeadObjective | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.classifier, self.config, self.objective = classifier, config, objective
        self._accelerator = accelerator
        self.position = 0
        self.best_accuracy = -1.0
        self._validation = validation
        self._best = _copy(classifier.state_dict())
        self._optimizer = torch.optim.AdamW(
            _layers(classifier, config),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        if objective is not None and (own := list(objective.parameters())):
            self._optimizer.add_param_group({"params": own, "weight_decay": 0.0})
        self._sharpness = SharpnessAware(self._optimizer, config.sam) if config.sam else None
        self._average = (
            AveragedModel(classifier, multi_avg_fn=_averaging(config.ema), use_buffers=True)
            if config.ema
            else None
        )

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.position >= self.config.steps

    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """One optimiser step on float32 images (B, 3, H, W) in [0, 1] and int64 labels (B,).

        An objective that keeps labels of its own is given numbers of pictures in their place. Of
        several processes each is given the whole batch.

        Raises:
            ValueError: If the batch does not divide among the processes.
        """
        self.classifier.train()
        if self.objective is None or not self.objective.by_number:
            images, labels = self._own_share(images), self._own_share(labels)
        given = labels
        if self.objective is not None:
            labels = self.objective.labels(given)
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.rate(self.position) * group.get("lr_scale", 1.0)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._update(images, labels)
        self.position += 1
        if self._average is not None:
            self._average.update_parameters(self.classifier)
        if self.objective is not None:
            self.objective.finish(given, self.position / self.config.steps)
        if self.position % self.config.validate_every == 0 or self.position == self.config.steps:
            self._validate()
        known = self.best_accuracy >= 0  # after the first validation
        return {"loss": loss, **({"best_accuracy": self.best_accuracy} if known else {})}

    def _update(self, images: Tensor, labels: Tensor) -> float:
        """Change the weights once; returns the loss before."""
        loss = self._loss(images, labels)
        loss.backward()
        self._average_gradients()
        if self._sharpness is None:
            self._optimizer.step()
        else:
            self._sharpness.ascend()
            with frozen_statistics(self.classifier):
                self._loss(images, labels).backward()
            self._average_gradients()
            self._sharpness.descend()
        return loss.item()

    def _own_share(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch."""
        if self._accelerator is None:
            return batch
        processes = self._accelerator.num_processes
        if len(batch) % processes:
            raise ValueError(f"{len(batch)} samples do not divide among {processes} processes")
        return batch[self._accelerator.process_index :: processes]

    def _average_gradients(self) -> None:
        """Over the processes, in one message."""
        if self._accelerator is None or self._accelerator.num_processes == 1:
            return
        groups = self._optimizer.param_groups
        grads = [w.grad for group in groups for w in group["params"] if w.grad is not None]
        together = torch.cat([grad.flatten() for grad in grads])
        mean = self._accelerator.reduce(together, "mean")
        for grad, own in zip(grads, mean.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(own.view_as(grad))

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        config, smoothing = self.config, self.config.label_smoothing
        draws = torch.Generator().manual_seed(config.seed + self.position)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=config.bfloat16):
            if self.objective is not None:
                loss: Tensor = self.objective(self.classifier, images, labels, smoothing)
                return loss
            if config.adversarial is not None:
                return config.adversarial.loss(self.classifier, images, labels, smoothing, draws)
            if not config.mixup and not config.cutmix:
                logits = self.classifier(images)
                return F.cross_entropy(logits, labels, label_smoothing=smoothing)
            order = torch.randperm(len(images), generator=draws).to(images.device)
            both = config.mixup and config.cutmix
            cut = torch.rand((), generator=draws) < 0.5 if both else bool(config.cutmix)
            if cut:
                mixed, share = _pasted(images, images[order], config.cutmix, draws)
            else:
                share = _beta(config.mixup, draws)
                mixed = share * images + (1 - share) * images[order]
            logits = self.classifier(mixed)
            first = F.cross_entropy(logits, labels, label_smoothing=smoothing)
            second = F.cross_entropy(logits, labels[order], label_smoothing=smoothing)
            return share * first + (1 - share) * second

    def best(self) -> Network:
        """The classifier with the weights chosen on the validation set."""
        self._judged.load_state_dict(self._best)
        self.classifier.load_state_dict(self._best)
        return self.classifier.eval()

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        return {
            "position": self.position,
            "classifier": self.classifier.state_dict(),
            "best": self._best,
            "best_accuracy": self.best_accuracy,
            "optimizer": self._optimizer.state_dict(),
            **({} if self._average is None else {"average": self._average.state_dict()}),
            **({} if self.objective is None else {"objective": self.objective.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        self.classifier.load_state_dict(state["classifier"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if self.objective is not None:
            self.objective.load_state_dict(state["objective"])
        self._best = _copy(state["best"])
        self.best_accuracy = float(state["best_accuracy"])
        self.position = int(state["position"])

    def _validate(self) -> None:
        accuracy = self.validation_accuracy(self.config.adversarial)
        if accuracy > self.best_accuracy:
            self.best_accuracy, self._best = accuracy, _copy(self._judged.state_dict())

    def validation_accuracy(self, attack: AdversarialTraining | None = None) -> float:
        """Accuracy of the present weights in [0, 1], on attacked pictures if an attack is given."""
        judged = self._judged.eval()
        device = next(judged.parameters()).device
        draws = torch.Generator().manual_seed(self.config.seed)
        images, labels = self._validation
        correct = 0
        rows = self.rows_at_once
        for batch, truth in zip(images.split(rows), labels.split(rows), strict=True):
            pictures, named = batch.to(device).float() / 255.0, truth.to(device)
            if attack is not None:
                pictures = attack.attacked(judged, pictures, named, draws)
            with torch.no_grad():
                correct += int((judged(pictures).argmax(1) == named).sum())
        return correct / len(labels)

    @property
    def _judged(self) -> nn.Module:
        """The network with the weights that count now."""
        return self.classifier if self._average is None else self._average.module


def _layers(classifier: nn.Module, config: BaselineTrainConfig) -> Any:
    """What the optimiser is given: parameters, or groups of them whose "lr_scale" differs."""
    if config.layer_decay == 1:
        return classifier.parameters()
    groups = param_groups_layer_decay(
        classifier.network, config.weight_decay, layer_decay=config.layer_decay
    )
    return groups


def _averaging(decay: float) -> Callable[[Any, Any, Any], None]:
    """The exponential average of weights and statistics; whole numbers, such as indices, stay."""
    average = get_ema_multi_avg_fn(decay)

    def update(averaged: Sequence[Tensor], present: Sequence[Tensor], count: Any) -> None:
        if averaged[0].is_floating_point():
            average(averaged, present, count)
        else:  # rounded down, an average of equal numbers can be another number
            for own, value in zip(averaged, present, strict=True):
                own.copy_(value)

    return update


def _beta(concentration: float, draws: torch.Generator) -> float:
    """A draw of Beta(a, a)."""
    numbers = np.random.default_rng(int(torch.randint(2**62, (), generator=draws)))
    return float(numbers.beta(concentration, concentration))


def _pasted(
    images: Tensor, others: Tensor, concentration: float, draws: torch.Generator
) -> tuple[Tensor, float]:
    """Pictures with a rectangle of others in them, and the share of their area that is their own.

    The rectangle has the picture's proportions and its centre anywhere; what would lie outside is
    cut off, so the share is that of the pixels and not the one that was drawn.
    """
    height, width = images.shape[-2:]
    side = (1 - _beta(concentration, draws)) ** 0.5
    y, x = (float(torch.rand((), generator=draws)) * length for length in (height, width))
    top, bottom = (min(max(round(y + d * side * height / 2), 0), height) for d in (-1, 1))
    left, right = (min(max(round(x + d * side * width / 2), 0), width) for d in (-1, 1))
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


# ------------------------------------------------------------------------------------------------
# Sharpness-aware minimisation, SAM (Foret et al. 2021, arXiv 2010.01412).
#
# A step has two passes. The first finds the gradient g at the weights w, and moves to the point
# w + rho g / |g|, where the loss is about the highest within rho of w (their equation 2). The
# second finds the gradient there; the base optimiser applies it at w:
#
#     loss(model).backward()
#     sharpness = sam.ascend()
#     with frozen_statistics(model):
#         loss(model).backward()
#     sam.descend()
#
# Between steps only the base optimiser has a state; saving that is enough to continue exactly.


class SharpnessAware:
    """The two halves of a SAM step around any optimiser.

    Args:
        optimizer: Applies the second gradient at the first weights.
        rho: Radius of the neighbourhood, in the 2-norm over all weights; > 0.

    Raises:
        ValueError: If `rho` is not positive.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rho: float = 0.05) -> None:
        if rho <= 0:
            raise ValueError(f"rho is a radius and must be positive, not {rho}")
        self.optimizer, self.rho = optimizer, rho
        self._before: list[Tensor | None] = []

    @torch.no_grad()
    def ascend(self) -> float:
        """Move to the worst nearby weights, clear the gradients, return the gradient's norm."""
        if self._before:
            raise RuntimeError("ascend() was called twice without descend() in between")
        norm = torch.linalg.vector_norm(
            torch.stack([w.grad.norm() for w in self._weights() if w.grad is not None])
        )
        for weight in self._weights():
            # Copied, not subtracted again: w + e - e is not w in floating point.
            self._before.append(None if weight.grad is None else weight.clone())
            if weight.grad is not None:
                weight.add_(weight.grad, alpha=self.rho / (norm.item() + 1e-12))
        self.optimizer.zero_grad(set_to_none=True)
        return norm.item()

    @torch.no_grad()
    def descend(self) -> None:
        """Return to the first weights and let the optimiser step with the second gradient."""
        if not self._before:
            raise RuntimeError("descend() needs an ascend() before it")
        for weight, before in zip(self._weights(), self._before, strict=True):
            if before is not None:
                weight.copy_(before)
        self._before = []
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _weights(self) -> list[Tensor]:
        return [w for group in self.optimizer.param_groups for w in group["params"]]


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """BatchNorm normalises by the batch as usual, and does not update its running statistics.

    The weights of the second pass are not kept, so its statistics are not the model's.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
