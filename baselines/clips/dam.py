"""DAM, the time-frequency distributional attention of HDF (arXiv 2507.15765).

Written from the paper's figure and the formulas of the authors' released module; it goes behind
each stage of a 3D network. Two branches look at the same maps X (B, C, T, H, W):

    frequency   S (B, 1, H, W): which places carry which spatial frequencies
    time        g (B, T): which frames differ from the others
    output      (w_t (X g + X) + w_s (X S + X)) / 2

`variant="released"` keeps a reading of the released code that the paper's words contradict: it
takes differences between neighbouring *channel bins* where the text speaks of frames. The default
takes them between frames. The projections of the self-attention are inferred: linear, with bias.
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

    D are the 49 DCT coefficients around each place, of the sum over channels. They are perturbed
    along their sign, by a learnable noise and by their spread over space (distributionally robust
    optimisation is the paper's motive), squashed, and mixed to one map.

    Args:
        perturbation: Whether the perturbation's parameters follow the loss down, as in the
            released code, or up, as an adversary's would.
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

    Args:
        frames: T that the learnable maps are made for. Clips of another length get them resized.
        variant: Between what differences are taken: frames ("time") or channel bins ("released").
    """

    def __init__(self, frames: int, variant: Variant = "time") -> None:
        super().__init__()
        self.frames, self.variant = frames, variant
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
            self._map(self.statistics_scale, count) * statistics
            + self._map(self.spread_scale, count) * spread
            - change
        )
        tokens = F.linear(gated.transpose(1, 2), self._map(self.over_time.weight, count))
        tokens = tokens.transpose(1, 2)  # (B, T, bins)
        query, key, value = (
            F.linear(tokens, self._map(layer.weight, count), self._line(layer.bias, count))
            for layer in (self.query, self.key, self.value)
        )
        attention = torch.softmax(query @ key.transpose(1, 2) / count**0.5, dim=2)
        return (attention @ value).mean(2).sigmoid()

    def _map(self, weights: Tensor, count: int) -> Tensor:
        if count == self.frames:
            return weights
        resized = F.interpolate(weights[None, None], (count, count), mode="bilinear")[0, 0]
        return resized * (self.frames / count)

    def _line(self, bias: Tensor, count: int) -> Tensor:
        if count == self.frames:
            return bias
        return F.interpolate(bias[None, None], count, mode="linear")[0, 0]


class DistributionalAttention(nn.Module):
    """DAM: both gates and their fusion.

    Args:
        frames: T of the clips.
        variant: See the module's docstring.
        perturbation: Of the frequency gate.
        identity_init: Whether the module begins as the identity, by a learnable share that starts
            at 0. Without it four DAMs scale the signal to about .46 at the start.

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
