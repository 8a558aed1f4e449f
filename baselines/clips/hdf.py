"""HDF (arXiv 2507.15765): its attention module DAM, and its scaled loss DSM.

    network = X3D(7, attach=lambda channels: DistributionalAttention(frames=16))
    loss = scaled_loss(entropy, features, labels, weights, ScalingConfig())

Written from the paper's figures and from the formulas of the authors' released code, which cannot
be run. Where the two differ, the figure is the default and the code an option.
"""

from dataclasses import dataclass
from math import pi
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# ------------------------------------------------------------------------------------------------
# DAM, the time-frequency distributional attention. A 3D network has one behind each stage. Two
# branches compute gates from the same maps X (B, C, T, H, W):
#
#     frequency   S (B, 1, H, W): a weight per place, from the spatial frequencies around it
#     time        g (B, T): a weight per frame, from its difference to the other frames
#     output      (w_t (X g + X) + w_s (X S + X)) / 2
#
# The default takes the time branch's differences between neighbouring frames, as the paper says;
# `variant="released"` takes them between neighbouring channel bins, as the released code does.
# Inferred, because neither source states it: the projections of the self-attention (linear, with
# bias), and in the frequency branch the unbiased standard deviation plus 1e-5.


Variant = Literal["time", "released"]
Perturbation = Literal["descent", "ascent"]

WINDOW = 7


def dct_basis(size: int = WINDOW) -> Tensor:
    """The orthonormal two-dimensional DCT-II, float32 (size^2, 1, size, size).

    Filter k = size * h + v is a(v) a(h) cos(pi v (i + 1/2) / size) cos(pi h (j + 1/2) / size) in
    row i and column j, with a(0) = sqrt(1 / size), else sqrt(2 / size).
    """
    frequency = torch.arange(size, dtype=torch.float64)[:, None]
    place = torch.arange(size, dtype=torch.float64)[None] + 0.5
    lines = torch.cos(pi * frequency * place / size) * (2 / size) ** 0.5
    lines[0] /= 2**0.5
    return torch.einsum("hj,vi->hvij", lines, lines).reshape(-1, 1, size, size).float()


class FrequencyGate(nn.Module):
    """The gate S (B, 1, H, W) of the time mean's local spatial frequencies.

    D (B, 49, H, W) are the DCT coefficients of the 7 x 7 window around each place, of the maps
    averaged over time and summed over channels:

        P  = (n a + .05 b |D - mean D|) sign(D)         norm and mean over space, n, a, b per k
        D' = (alpha D + beta (D + P)) / 2
        S  = sigmoid(conv7x7(tanh(slope D' / std_k D') gain + offset))

    The paper's motive for P is distributionally robust optimisation.

    Args:
        perturbation: Whether n, a and b are trained to lower the loss ("descent", as in the
            released code) or to raise it ("ascent", as an adversary does).
    """

    basis: Tensor

    def __init__(self, perturbation: Perturbation = "descent") -> None:
        super().__init__()
        count = WINDOW**2
        self.perturbation = perturbation
        self.register_buffer("basis", dct_basis(), persistent=False)
        self.noise = nn.Parameter(0.1 * torch.randn(count, 1, 1))
        self.noise_scale = nn.Parameter(torch.ones(count, 1, 1))
        self.spread_scale = nn.Parameter(torch.zeros(count, 1, 1))
        self.plain_weight = nn.Parameter(torch.tensor(0.5))
        self.perturbed_weight = nn.Parameter(torch.tensor(0.5))
        self.slope = nn.Parameter(torch.tensor(0.5))
        self.gain = nn.Parameter(torch.ones(count, 1, 1))
        self.offset = nn.Parameter(torch.zeros(count, 1, 1))
        self.mix = nn.Conv2d(count, 1, WINDOW, padding=WINDOW // 2, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, 1, H, W) in (0, 1)."""
        coefficients = _convolve(maps.mean(2).sum(1, keepdim=True), self.basis)
        noise, noise_scale, spread_scale = (
            _turned(w, self.perturbation) for w in (self.noise, self.noise_scale, self.spread_scale)
        )
        centred = coefficients - coefficients.mean((2, 3), keepdim=True)
        spread = torch.linalg.vector_norm(centred, dim=(2, 3), keepdim=True)
        shift = (noise * noise_scale + 0.05 * spread_scale * spread) * coefficients.sign()
        perturbed = coefficients + shift
        mixed = (self.plain_weight * coefficients + self.perturbed_weight * perturbed) / 2
        deviation = mixed.std(1, keepdim=True) + 1e-5
        squashed = torch.tanh(self.slope * mixed / deviation) * self.gain + self.offset
        return _convolve(squashed, self.mix.weight).sigmoid()


class TimeGate(nn.Module):
    """The gate g (B, T): a weight per frame from T x T pooled statistics.

    A and M (B, T, T) are the mean and the maximum of each frame in each of T bins of channels:

        G = sigmoid(gamma (alpha A + beta M) + delta |A - mean A| - |change of A|)
        g = sigmoid(mean over bins of attention(linear over time(G)))

    Norm and mean are over the bins; frames are the tokens of the attention.

    Args:
        frames: T that the learnable weights are made for. Clips of another length get them resized.
        variant: What the change is between: frames ("time") or channel bins ("released").
    """

    def __init__(self, frames: int, variant: Variant = "time") -> None:
        super().__init__()
        self.variant = variant
        self.mean_weight = nn.Parameter(torch.tensor(0.5))
        self.max_weight = nn.Parameter(torch.tensor(0.5))
        self.statistics_scale = nn.Parameter(torch.ones(frames, frames))
        self.spread_scale = nn.Parameter(torch.zeros(frames, frames))
        self.over_time = nn.Linear(frames, frames, bias=False)
        self.query = nn.Linear(frames, frames)
        self.key = nn.Linear(frames, frames)
        self.value = nn.Linear(frames, frames)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, T) in (0, 1)."""
        count = maps.shape[2]
        per_frame = maps.transpose(1, 2)  # (B, T, C, H, W)
        means = F.adaptive_avg_pool1d(per_frame.mean((3, 4)), count)  # (B, T, bins)
        maxima = F.adaptive_max_pool1d(per_frame.amax((3, 4)), count)
        statistics = self.mean_weight * means + self.max_weight * maxima
        spread = torch.linalg.vector_norm(means - means.mean(2, keepdim=True), dim=2, keepdim=True)
        axis = 1 if self.variant == "time" else 2
        start = means.narrow(axis, 0, 1)
        change = means.diff(dim=axis, prepend=start).abs()
        gated = torch.sigmoid(
            _resized(self.statistics_scale, count) * statistics
            + _resized(self.spread_scale, count) * spread
            - change
        )
        tokens = _linear(self.over_time, gated.transpose(1, 2)).transpose(1, 2)  # (B, T, bins)
        query, key, value = (_linear(part, tokens) for part in (self.query, self.key, self.value))
        attention = torch.softmax(query @ key.transpose(1, 2) / count**0.5, dim=2)
        return (attention @ value).mean(2).sigmoid()


class DistributionalAttention(nn.Module):
    """DAM: both gates and their fusion.

    Args:
        frames: T of the clips.
        variant: What the time branch's changes are between; see `TimeGate`.
        perturbation: Of the frequency gate.
        identity_init: Whether a learnable share of the output, at first 0, replaces the input, so
            that the module starts as the identity. Without it four DAMs scale the signal to about
            .46 at the start.

    Raises:
        ValueError: If `variant` or `perturbation` is unknown.
    """

    def __init__(
        self,
        frames: int,
        variant: Variant = "time",
        perturbation: Perturbation = "descent",
        identity_init: bool = False,
    ) -> None:
        super().__init__()
        for value, allowed in ((variant, Variant), (perturbation, Perturbation)):
            if value not in get_args(allowed):
                raise ValueError(f"{value!r} is none of {', '.join(get_args(allowed))}")
        self.frequency = FrequencyGate(perturbation)
        self.time = TimeGate(frames, variant)
        self.time_weight = nn.Parameter(torch.tensor(0.8))
        self.frequency_weight = nn.Parameter(torch.tensor(0.3))
        self.share = nn.Parameter(torch.tensor(0.0)) if identity_init else None

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        in_time = maps * (1 + self.time(maps)[:, None, :, None, None])
        in_space = maps * (1 + self.frequency(maps)[:, :, None])
        fused = (self.time_weight * in_time + self.frequency_weight * in_space) / 2
        return fused if self.share is None else maps + self.share * (fused - maps)


def _convolve(maps: Tensor, kernels: Tensor) -> Tensor:
    """Zero-padded correlation; rows and columns of kernels that see only padding are cut away.

    On a map of H rows, a row of the kernel that is H or more off its centre meets zeros everywhere.
    """
    trims = [max(0, WINDOW // 2 - (size - 1)) for size in maps.shape[2:]]
    rows, columns = (slice(trim, WINDOW - trim) for trim in trims)
    padding = [WINDOW // 2 - trim for trim in trims]
    return F.conv2d(maps, kernels[..., rows, columns], padding=padding)


def _linear(layer: nn.Linear, values: Tensor) -> Tensor:
    """The layer on a last axis of any length; its weights are resized to keep their sum."""
    count = values.shape[-1]
    weight = _resized(layer.weight, count) * (layer.in_features / count)
    bias = None if layer.bias is None else _resized(layer.bias[None], 1, count)[0]
    return F.linear(values, weight, bias)


def _resized(weights: Tensor, rows: int, columns: int | None = None) -> Tensor:
    size = (rows, columns or rows)
    if weights.shape == size:
        return weights
    return F.interpolate(weights[None, None], size, mode="bilinear")[0, 0]


class _Reversal(torch.autograd.Function):
    """The identity whose gradient changes sign."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def _turned(values: Tensor, perturbation: Perturbation) -> Tensor:
    if perturbation == "descent":
        return values
    result: Tensor = _Reversal.apply(values)
    return result


# ------------------------------------------------------------------------------------------------
# DSM, the distribution-aware scaling, as a loss of its own.
#
#     L = lambda_CE CE + lambda_SC (L_DSC + sign * weight * Tr Cov(Z))
#
# L_DSC is a supervised contrastive loss over the unit vectors z of a batch, whose denominator
# weighs pair (i, a) by how near its cosine s_ia is to `eta`:
#
#     w_ia = exp(-(s_ia - eta)^2 / (2 eta^2))
#     L_i  = -1/|P(i)| sum_{p in P(i)} log[ exp(s_ip / tau) / sum_{a != i} w_ia exp(s_ia / tau) ]
#
# P(i) are the other samples of i's class. L_DSC is the mean of L_i over the samples with such
# positives. Tr Cov(Z) is the information-bottleneck term. After SAM's first pass the norm g of the
# gradient of L sets
#
#     lambda_CE = alpha g / (g + 1)        lambda_SC = beta / (g + 1)
#
# so the cross-entropy dominates where the gradient is large, the contrastive term where it is
# small.
#
# `released=True` is the released code's contrastive term with the undefined positives filled in: w
# of the logits s / tau minus the row's maximum, normalised over the row, and a softmax that
# includes the pair (i, i). `bottleneck_sign=-1` subtracts the trace, as the released code does.
#
# Inferred: alpha = 10 and beta = .1 (the released code's fixed weights), the position of tau (the
# figure has none), the mean over samples, and the covariance's divisor B - 1.


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
