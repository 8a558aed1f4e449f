"""DAM, the time-frequency distributional attention of HDF (arXiv 2507.15765).

Written from the paper's figure and the formulas of the authors' released module. A 3D network has
one behind each stage. Two branches compute gates from the same maps X (B, C, T, H, W):

    frequency   S (B, 1, H, W): a weight per place, from the spatial frequencies around it
    time        g (B, T): a weight per frame, from its difference to the other frames
    output      (w_t (X g + X) + w_s (X S + X)) / 2

The default takes the time branch's differences between neighbouring frames, as the paper says;
`variant="released"` takes them between neighbouring channel bins, as the released code does.
Inferred, because neither source states it: the projections of the self-attention (linear, with
bias), and in the frequency branch the unbiased standard deviation plus 1e-5.
"""

from math import pi
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        variant: See the module's docstring.
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
