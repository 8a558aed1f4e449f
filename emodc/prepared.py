"""A picture ready to be measured, and its noisy rows: what every way of measuring begins with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emodc.denoiser import Denoiser
from emodc.evaluation import Evaluation
from emodc.noise import step_noise
from emodc.noise_aware import covering_range, latent_noise, noised
from emodc.schedule import timestep_grid


@dataclass(frozen=True)
class Prepared:
    """An encoded picture.

    Attributes:
        name: Sample id, which addresses the noise.
        latent: x_0, float32 (1, C, H, W).
        own_noise: Noise that is in the picture already, (C,); None if it does not count.
        timesteps: Its grid, int64 (S,).
    """

    name: str
    latent: Tensor
    own_noise: Tensor | None
    timesteps: Tensor


def prepare(denoiser: Denoiser, plan: Evaluation, image: Tensor, name: str) -> Prepared:
    """Encode a picture and lay out its grid.

    Args:
        denoiser: Whose codec and process.
        plan: How errors are measured.
        image: float32 (3, H, W) in [0, 1].
        name: Its sample id.
    """
    with torch.autocast(image.device.type, enabled=False):
        latent = denoiser.encode(image[None])
        own_noise = latent_noise(denoiser, image) if plan.noise_aware else None
    low, high = covering_range(denoiser.process, own_noise, plan.low, plan.high)
    return Prepared(name, latent, own_noise, timestep_grid(plan.steps, low, high))


def noisy_rows(
    denoiser: Denoiser, plan: Evaluation, picture: Prepared, steps: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """A picture at some steps of its grid.

    Returns:
        x_t, float32 (n, C, H, W); timesteps, int64 (n,); the noise to be predicted, like x_t.
    """
    latent = picture.latent
    times = picture.timesteps[steps].to(latent.device)
    noise = step_noise(plan.seed, picture.name, steps, tuple(latent.shape[1:]))
    noise = noise.to(latent.device)
    noisy, target = noised(denoiser.process, latent, noise, times, picture.own_noise)
    return noisy, times, target
