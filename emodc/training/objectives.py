"""Training objectives: functions of the noise-prediction errors of one batch.

Notation follows EmoDC (arXiv 2603.29578): d_p is the error under the positive prompt, d_n under a
negative one, d_nn under a prompt that is not negative. All prompts of a sample share its noise and
timestep. The paper's text was not available to us; what its abstract and figures leave open (the
weight of the hinge, which negatives, what is detached) is configuration, and the defaults are ours.

An objective is a dataclass that a config of the bench names by its `kind` and checks by its
annotations; torch is imported where a loss is computed.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from typing_extensions import override

if TYPE_CHECKING:
    from torch import Tensor

NotNegative = Literal["positive", "null", "non_class"]


@dataclass(frozen=True)
class BatchErrors:
    """Errors of one batch under the prompts that the objective asked for.

    Attributes:
        positive: d_p, (B,).
        negatives: d_n of M wrong prompts, (B, M); M = 0 if none was asked for.
        not_negative: d_nn, (B,): under the prompt that sets an adaptive margin.
    """

    positive: "Tensor"
    negatives: "Tensor"
    not_negative: "Tensor"


@dataclass(frozen=True)
class Objective(ABC):
    """A loss per sample, and what it needs to be computed."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    kind: str

    @abstractmethod
    def __call__(self, errors: BatchErrors) -> "Tensor":
        """Loss per sample, (B,)."""

    @property
    def drawn(self) -> int | None:
        """How many wrong prompts are drawn per sample; None for all of them."""
        return 0

    @property
    def not_negative(self) -> NotNegative:
        """Which prompt d_nn belongs to."""
        return "positive"

    @property
    def per_sample(self) -> bool:
        """Whether a sample's loss depends on that sample alone."""
        return True

    def hinges(self, errors: BatchErrors) -> "Tensor":
        """The hinge of every negative prompt before weighting, (B, M); logged by training."""
        return errors.negatives.new_zeros(errors.negatives.shape)


@dataclass(frozen=True)
class Base(Objective):
    """Plain denoising under the right prompt: the loss is d_p."""

    kind: Literal["base"] = "base"

    def __call__(self, errors: BatchErrors) -> "Tensor":
        """Loss per sample, (B,)."""
        return errors.positive


@dataclass(frozen=True)
class Discrepancy(Objective):
    """d_p plus a weighted penalty on wrong prompts that predict the noise too well.

    Attributes:
        weight: Weight of the penalty against the denoising term.
        negatives: Wrong prompts drawn uniformly per sample; "all" of them is the expectation of
            one random negative without its variance.
        reduce: Over a sample's wrong prompts: their mean, or the hardest (largest penalty) only.
        limit: If given, the batch's weighted penalty is scaled down (by a factor without a
            gradient) to at most this multiple of its denoising term, which it then cannot outweigh.
    """

    weight: NonNegativeFloat = 5.0
    negatives: PositiveInt | Literal["all"] = "all"
    reduce: Literal["mean", "hardest"] = "mean"
    limit: PositiveFloat | None = None

    @property
    @override
    def drawn(self) -> int | None:
        return None if self.negatives == "all" else self.negatives

    @property
    def per_sample(self) -> bool:
        """Not with a limit, which is on the batch's mean."""
        return self.limit is None

    def __call__(self, errors: BatchErrors) -> "Tensor":
        """Loss per sample, (B,)."""
        hinges = self.hinges(errors)
        chosen = hinges.mean(dim=1) if self.reduce == "mean" else hinges.amax(dim=1)
        penalty = self.weight * chosen
        if self.limit is not None:
            bound = self.limit * errors.positive.detach().mean()
            penalty = penalty * (bound / penalty.detach().mean().clamp_min(1e-12)).clamp_max(1.0)
        return errors.positive + penalty


@dataclass(frozen=True)
class HardNegative(Discrepancy):
    """Clipped hard negatives on batch means: DiffusionITM (Krojer et al. 2023, arXiv 2305.16397).

    mean(d_p) - weight * min(mean(d_n), mean(d_p)): the wrong prompts' error is pushed up until it
    reaches the right prompt's, with no margin, and for the batch as a whole rather than for every
    sample. Written as a penalty, max(0, mean(d_p) - mean(d_n)) with d_p as a constant level. The
    nearest ancestor of margin training, and its control.

    Raises:
        ValueError: For a weight above 1, with which raising all errors together lowers the loss:
            training then diverges.
    """

    kind: Literal["hard_negative"] = "hard_negative"
    weight: NonNegativeFloat = 0.9

    def __post_init__(self) -> None:
        if self.weight > 1:
            raise ValueError(f"hard_negative diverges with a weight above 1, got {self.weight}")

    @property
    def per_sample(self) -> bool:
        """No: it compares means over the batch."""
        return False

    def hinges(self, errors: BatchErrors) -> "Tensor":
        """One value per column of negatives, repeated for every sample, (B, M)."""
        level = errors.positive.detach().mean()
        return (
            (level - errors.negatives.mean(dim=0, keepdim=True))
            .clamp_min(0.0)
            .expand_as(errors.negatives)
        )


@dataclass(frozen=True)
class Margin(Discrepancy):
    """Margin-based discrepancy training with a fixed margin.

    d_p + weight * max(0, d_p - d_n + m_f).

    Attributes:
        margin: m_f, in units of the error.
    """

    kind: Literal["margin"] = "margin"
    margin: NonNegativeFloat = 0.05

    def hinges(self, errors: BatchErrors) -> "Tensor":
        """max(0, d_p - d_n + m_f), (B, M)."""
        return (errors.positive[:, None] - errors.negatives + self.margin).clamp_min(0.0)


@dataclass(frozen=True)
class AMDiT(Discrepancy):
    """Adaptive margin discrepancy training.

    d_p + weight * max(0, d_p - d_n + alpha * d_nn): with d_nn = d_p the hinge asks
    d_n >= (1 + alpha) d_p, a margin relative to how hard this picture is at this timestep.

    Attributes:
        alpha: Margin as a share of d_nn.
        c_nn: The prompt of d_nn.
        detach_margin: Whether d_nn only sets the margin, without a gradient of its own.
    """

    kind: Literal["amdit"] = "amdit"
    alpha: NonNegativeFloat = 0.2
    c_nn: NotNegative = "positive"
    detach_margin: bool = True

    @property
    @override
    def not_negative(self) -> NotNegative:
        return self.c_nn

    def hinges(self, errors: BatchErrors) -> "Tensor":
        """max(0, d_p - d_n + alpha * d_nn), (B, M)."""
        level = errors.not_negative.detach() if self.detach_margin else errors.not_negative
        gap = errors.positive[:, None] - errors.negatives
        return (gap + self.alpha * level[:, None]).clamp_min(0.0)


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """d_p + weight * cross-entropy of softmax(-scale * d) over the class prompts.

    Attributes:
        weight: Weight against the denoising term.
        scale: Inverse temperature of the errors.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    weight: NonNegativeFloat = 0.1
    scale: PositiveFloat = 40.0

    @property
    @override
    def drawn(self) -> None:
        return None

    def __call__(self, errors: BatchErrors) -> "Tensor":
        """Loss per sample, (B,)."""
        import torch
        import torch.nn.functional as F

        logits = -self.scale * torch.cat([errors.positive[:, None], errors.negatives], dim=1)
        right = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
        return errors.positive + self.weight * F.cross_entropy(logits, right, reduction="none")


#: Every objective; a config names one by its `kind`.
AnyObjective = Base | HardNegative | Margin | AMDiT | CrossEntropy
