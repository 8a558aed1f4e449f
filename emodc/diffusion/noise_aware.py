"""Noise that is in the picture already, counted as a part of the forward process.

Adding noise is what a diffusion model does to a picture first. A picture that arrives with white
noise of level s is therefore a picture at a later timestep, not a strange one: measuring starts
at the first timestep whose noise covers s, and only what is missing to that timestep's level is
added. The network then sees inputs like those it was trained on.

**What it is scored against.** The picture is y = x_0 + s z, and x_t = signal y + added eps with
added^2 = level^2 - signal^2 s^2. With rho^2 = signal^2 s^2 / level^2, the picture's own share of
the noise variance, and q = 1 - rho^2:

    x_t = signal x_0 + level n,    n = rho z + sqrt(q) eps ~ N(0, 1).

The network predicts n, of which only eps is known. Both are Gaussian with covariance sqrt(q), and
independent of the picture without noise and of its class c, so E[eps | x_0, n] = sqrt(q) n, and

    E[eps | x_t, c] = sqrt(q) E[n | x_t, c].

Scored against k eps, the expected squared error is therefore least at k sqrt(q) E[n | x_t, c]:
k = 1 / sqrt(q) = level / added is the one factor for which the better denoiser wins. (With
k = sqrt(q), the added part in units of n, predictions are shrunk by q: for rho^2 > 1/2 a prediction
of zero beats the right one.) For any prediction f that depends on x_t alone, and per element,

    E (f - eps / sqrt(q))^2 = E (f - n)^2 + 1 / q - 1,

for E[eps / sqrt(q) | x_t, n] = n, and eps / sqrt(q) varies about n by 1 / q - 1. The constant is
the same for every class. Its estimate from the draw, the mean of target^2 - eps^2, is subtracted
from the error (`Noised.excess`), so that d_p keeps its meaning: it is the expected error in n.

The price is variance: 1 / q - 1 in every element. Below q = `LEAST` the factor stays what it is
there, and the range begins where q is at least that.

This needs an encoder under which white noise stays white: pixels, or an orthogonal projection.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from emodc.diffusion.denoiser import Denoiser
from emodc.diffusion.schedule import Process

#: Why a denoiser behind a VAE cannot be evaluated so.
NEEDS_WHITE_NOISE = (
    "noise_aware needs an encoder that keeps white noise white (the small network's, or pixels); "
    "this one has a VAE. Set noise_aware to false."
)

#: Share of the timestep range that is kept for measuring however noisy the picture is.
KEPT = 0.2

#: Least share q of the noise variance in x_t that has to be ours to score against.
LEAST = 0.05


class Noised(NamedTuple):
    """A picture at several timesteps.

    Attributes:
        noisy: x_t, float32 (S, C, H, W).
        timesteps: int64 (S,).
        target: What the prediction is compared with, like x_t.
        excess: What that comparison's mean squared error has beyond the error in the noise of x_t,
            float32 (S,); 0 where all of the noise is ours.
    """

    noisy: Tensor
    timesteps: Tensor
    target: Tensor
    excess: Tensor


def noise_level(images: Tensor) -> Tensor:
    """Standard deviation of the white noise in pictures.

    The Laplacian-difference mask of Immerkaer (1996), doi 10.1006/cviu.1996.0060, which smooth
    shading does not pass, with the median of Donoho & Johnstone (1994) in place of the mean, which
    edges do not move.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].

    Returns:
        float32 (B,), in units of [0, 1].
    """
    mask = images.new_tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    planes = images.float().flatten(0, 1)[:, None]
    response = F.conv2d(planes, mask[None, None]).abs().flatten(1)
    # The mask has norm 6; .6745 is the median of a standard normal's absolute value.
    return (response.median(dim=1).values / (0.6745 * 6.0)).unflatten(0, (-1, 3)).mean(dim=1)


def latent_noise(denoiser: Denoiser, image: Tensor) -> Tensor | None:
    """Estimated noise in the channels of x_0, float32 (C,); None if the picture is clean.

    Args:
        denoiser: Whose encoder says how pixel noise arrives in x_0.
        image: float32 (3, H, W) in [0, 1].

    Raises:
        ValueError: If white noise does not stay white under the encoder.
    """
    [estimate] = denoiser.pixel_noise(image[None])
    return estimate if bool(estimate.any()) else None


def covering_range(
    process: Process, own_noise: Tensor | None, low: int, high: int
) -> tuple[int, int]:
    """The part of [low, high) where q >= `LEAST` of the noise is ours; at least `KEPT` of it."""
    if own_noise is None:
        return low, high
    covers = (1 - LEAST) ** 0.5 * process.noise_to_signal
    first = int((covers < own_noise.max()).sum())
    return min(max(low, first), high - max(1, int(KEPT * (high - low)))), high


def noised(
    process: Process, latent: Tensor, noise: Tensor, timesteps: Tensor, own_noise: Tensor | None
) -> Noised:
    """One picture at several timesteps, and what its noise is compared with.

    Args:
        process: The forward process.
        latent: The encoded picture, (1, C, H, W).
        noise: Standard normal, (S, C, H, W).
        timesteps: int64 (S,).
        own_noise: s of every channel, (C,), or None.
    """
    if own_noise is None:
        noisy = process.noised(latent, noise, timesteps)
        return Noised(noisy, timesteps, noise, noise.new_zeros(len(noise)))
    rows = (slice(None), None, None, None)
    signal, level = process.signal[timesteps][rows], process.noise[timesteps][rows]
    ours = 1 - (signal * own_noise[None, :, None, None] / level).square()  # q
    # Above 0, because the gradient of a root at 0 is infinite.
    added = level * ours.clamp_min(1e-8).sqrt() * noise
    target = noise / ours.clamp_min(LEAST).sqrt()
    excess = (target.square() - noise.square()).mean(dim=(1, 2, 3))
    return Noised(signal * latent + added, timesteps, target, excess)
