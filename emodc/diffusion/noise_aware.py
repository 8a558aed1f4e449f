"""Noise that is in the picture already, counted as a part of the forward process.

Adding noise is what a diffusion model does to a picture first. A picture that arrives with white
noise of level s is therefore a picture at a later timestep, not a strange one: measuring starts
at the first timestep whose noise covers s, and only what is missing to that timestep's level is
added. The network then sees inputs like those it was trained on. What it is scored against is the
added part, the only one that is known.

This needs an encoder under which white noise stays white: pixels, or an orthogonal projection.
"""

import torch.nn.functional as F
from torch import Tensor

from emodc.diffusion.denoiser import Denoiser
from emodc.diffusion.schedule import Process

#: Share of the timestep range that is kept for measuring however noisy the picture is.
KEPT = 0.2


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
    planes = images.detach().float().flatten(0, 1)[:, None]
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
    """The part of [low, high) whose noise covers the picture's own; at least `KEPT` of it."""
    if own_noise is None:
        return low, high
    first = int((process.noise_to_signal < own_noise.max()).sum())
    return min(max(low, first), high - max(1, int(KEPT * (high - low)))), high


def noised(
    process: Process, latent: Tensor, noise: Tensor, timesteps: Tensor, own_noise: Tensor | None
) -> tuple[Tensor, Tensor]:
    """x_t of one picture at several timesteps, and the noise to be predicted.

    With the picture y = x_0 + s z, x_t = signal * y + m * noise has the variance that the timestep
    prescribes if m^2 = noise_t^2 - signal^2 s^2. Of the noise in x_t, the part m / noise_t * noise
    is known.

    Args:
        process: The forward process.
        latent: The encoded picture, (1, C, H, W).
        noise: Standard normal, (S, C, H, W).
        timesteps: int64 (S,).
        own_noise: s of every channel, (C,), or None.

    Returns:
        Two float32 tensors (S, C, H, W).
    """
    if own_noise is None:
        return process.noised(latent, noise, timesteps), noise
    rows = (slice(None), None, None, None)
    signal, level = process.signal[timesteps][rows], process.noise[timesteps][rows]
    covered = signal * own_noise[None, :, None, None]
    missing = (level.square() - covered.square()).clamp_min(0.0).sqrt() * noise
    return signal * latent + missing, missing / level
