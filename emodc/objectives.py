"""Training objectives: functions of the noise-prediction errors of one batch.

Notation follows EmoDC (arXiv 2603.29578): d_p is the error under the positive prompt, d_n under a
negative one, d_nn under a prompt that is not negative. All prompts of a sample share its noise and
timestep. The paper's text was not available to us; what its abstract and figures leave open (here:
the weight of the hinge, which negatives, what is detached) is configuration, and the defaults are
ours.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchErrors:
    """Errors of one batch under every prompt.

    Attributes:
        classes: d under each class prompt, (B, K).
        labels: Index of the positive prompt, int64 (B,).
        null: d under the null prompt, (B,).
        non_class: d under the non-class prompt, (B,).
    """

    classes: Tensor
    labels: Tensor
    null: Tensor
    non_class: Tensor

    @property
    def positive(self) -> Tensor:
        """d_p, (B,)."""
        return self.classes.gather(1, self.labels[:, None]).squeeze(1)

    @property
    def negatives(self) -> Tensor:
        """d_n for every wrong class, (B, K - 1)."""
        wrong = torch.ones_like(self.classes, dtype=torch.bool)
        wrong.scatter_(1, self.labels[:, None], False)
        return self.classes[wrong].unflatten(0, (len(self.classes), -1))


@dataclass(frozen=True)
class Base:
    """Plain denoising under the right prompt: the loss is d_p."""

    kind: Literal["base"] = "base"

    def __call__(self, errors: BatchErrors) -> Tensor:
        """Loss per sample, (B,)."""
        return errors.positive


@dataclass(frozen=True)
class AMDiT:
    """Adaptive margin discrepancy training with c_nn = c_p.

    d_p + weight * mean over wrong prompts of max(0, d_p - d_n + alpha * d_nn): with d_nn = d_p the
    hinge asks d_n >= (1 + alpha) d_p, a margin relative to how hard this picture is at this
    timestep. Averaging over all wrong prompts is the expectation of the paper's random negative,
    without its variance; the shared trunk makes it free.

    Attributes:
        alpha: Margin as a share of d_nn.
        weight: Weight of the hinge against the denoising term.
        detach_margin: Whether d_nn only sets the margin, without a gradient of its own.
    """

    kind: Literal["amdit"] = "amdit"
    alpha: float = 0.2
    weight: float = 5.0
    detach_margin: bool = True

    def __call__(self, errors: BatchErrors) -> Tensor:
        """Loss per sample, (B,)."""
        positive = errors.positive
        not_negative = positive.detach() if self.detach_margin else positive
        gap = positive[:, None] - errors.negatives
        hinge = (gap + self.alpha * not_negative[:, None]).clamp_min(0.0)
        return positive + self.weight * hinge.mean(dim=1)


Objective = Base | AMDiT
