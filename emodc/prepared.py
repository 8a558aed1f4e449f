"""A picture ready to be measured, its noisy rows, and their errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from emodc.denoiser import Conditions, Denoiser
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


def errors_at(
    denoiser: Denoiser,
    plan: Evaluation,
    picture: Prepared,
    steps: Sequence[int],
    conditions: Conditions,
) -> Tensor:
    """Errors of P prompts at n steps, float32 (n, P), in the units of the plan.

    They are measured in chunks. With gradients nothing but the latent is kept between these, and
    the backward pass measures them again.
    """
    chunk = max(1, denoiser.rows // (1 if denoiser.shared_trunk else len(conditions)))

    def measure(latent: Tensor, first: int) -> Tensor:
        own, rows = replace(picture, latent=latent), steps[first : first + chunk]
        noisy, times, target = noisy_rows(denoiser, plan, own, rows)
        errors = denoiser.errors(noisy, times, target, conditions)
        return errors * denoiser.process.weight(times, plan.weighting)[:, None]

    firsts = range(0, len(steps), chunk)
    if not torch.is_grad_enabled() or len(firsts) == 1:
        return torch.cat([measure(picture.latent, first) for first in firsts])
    parts = [
        checkpoint(measure, picture.latent, first, use_reentrant=False, preserve_rng_state=False)
        for first in firsts
    ]
    return torch.cat(parts)
