"""DSM, the distribution-aware scaling of HDF (arXiv 2507.15765), as a loss of its own.

    L = lambda_CE CE + lambda_SC (L_DSC + sign * weight * Tr Cov(Z))

L_DSC is a supervised contrastive loss over the unit vectors z of a batch, whose denominator weighs
pair (i, a) by how near its cosine s_ia is to `eta`:

    w_ia = exp(-(s_ia - eta)^2 / (2 eta^2))
    L_i  = -1/|P(i)| sum_{p in P(i)} log[ exp(s_ip / tau) / sum_{a != i} w_ia exp(s_ia / tau) ]

P(i) are the other samples of i's class. L_DSC is the mean of L_i over the samples with such
positives. Tr Cov(Z) is the information-bottleneck term. After SAM's first pass the norm g of the
gradient of L sets

    lambda_CE = alpha g / (g + 1)        lambda_SC = beta / (g + 1)

so the cross-entropy dominates where the gradient is large, the contrastive term where it is small.

The formulas are those of the paper's figure; the released code differs from it and cannot be run.
`released=True` is its contrastive term with the undefined positives filled in: w of the logits
s / tau minus the row's maximum, normalised over the row, and a softmax that includes the pair
(i, i). `bottleneck_sign=-1` subtracts the trace, as the released code does.

Inferred: alpha = 10 and beta = .1 (the released code's fixed weights), the position of tau (the
figure has none), the mean over samples, and the covariance's divisor B - 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class ScalingConfig:
    """Constants of DSM.

    Attributes:
        temperature: tau > 0.
        eta: The cosine at which pairs weigh most, > 0.
        bottleneck: Weight of Tr Cov(Z).
        bottleneck_sign: +1 compresses (the figure), -1 spreads (the released code).
        alpha: Scale of lambda_CE.
        beta: Scale of lambda_SC.
        released: Whether the contrastive term is the released code's.
    """

    temperature: float = 0.07
    eta: float = 0.2
    bottleneck: float = 0.5
    bottleneck_sign: float = 1.0
    alpha: float = 10.0
    beta: float = 0.1
    released: bool = False


class Balance(NamedTuple):
    """Weights of the two terms."""

    cross_entropy: float
    contrastive: float


def balance(gradient_norm: float, config: ScalingConfig) -> Balance:
    """lambda_CE and lambda_SC at a gradient norm g >= 0."""
    steep = gradient_norm / (gradient_norm + 1.0)
    return Balance(config.alpha * steep, config.beta * (1.0 - steep))


def start(config: ScalingConfig) -> Balance:
    """The weights before the first gradient: alpha and beta, the released code's fixed weights."""
    return Balance(config.alpha, config.beta)


def scaled_loss(
    entropy: Tensor, features: Tensor, labels: Tensor, weights: Balance, config: ScalingConfig
) -> Tensor:
    """L (a scalar) of the cross-entropy (a scalar), pooled features (B, D), int64 labels (B,)."""
    unit = F.normalize(features, dim=1)
    contrast = (released_contrastive if config.released else contrastive)(unit, labels, config)
    bottleneck = config.bottleneck_sign * config.bottleneck * total_variance(unit)
    return weights.cross_entropy * entropy + weights.contrastive * (contrast + bottleneck)


def contrastive(unit: Tensor, labels: Tensor, config: ScalingConfig) -> Tensor:
    """L_DSC of unit vectors (B, D); 0 where no sample has another of its class."""
    cosine = unit @ unit.T
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    positives = (labels[:, None] == labels[None]) & ~itself
    log_weights = -((cosine - config.eta) ** 2) / (2 * config.eta**2)
    scaled = cosine / config.temperature
    others = (log_weights + scaled).masked_fill(itself, -torch.inf)
    log_ratio = scaled - others.logsumexp(1, keepdim=True)
    counts = positives.sum(1)
    anchors = counts > 0
    if not anchors.any():
        return unit.sum() * 0.0
    per_anchor = -(log_ratio * positives).sum(1)[anchors] / counts[anchors]
    return per_anchor.mean()


def released_contrastive(unit: Tensor, labels: Tensor, config: ScalingConfig) -> Tensor:
    """The released code's contrastive term, with the positives that it does not define."""
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    positives = (labels[:, None] == labels[None]) & ~itself
    logits = unit @ unit.T / config.temperature
    logits = logits - logits.amax(1, keepdim=True).detach()
    weights = torch.exp(-((logits - config.eta) ** 2) / (2 * config.eta**2))
    weights = weights / weights.sum(1, keepdim=True)
    return -(positives * weights * logits.log_softmax(1)).sum() / positives.sum().clamp(min=1)


def total_variance(unit: Tensor) -> Tensor:
    """Tr Cov(Z) of (B, D), unbiased; 0 for a single sample."""
    if len(unit) < 2:
        return unit.sum() * 0.0
    return unit.var(0).sum()
