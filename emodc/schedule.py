"""The noise schedule and the grid of timesteps at which errors are measured.

The schedule itself is a diffusers scheduler (its JSON is part of the checkpoint folder); this
module reads it once, in float32, whatever the network's dtype: half-precision ``1 - alpha_bar``
is wrong by 15 % at t = 0.
"""

from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor


def cosine_scheduler(num_timesteps: int = 1000) -> DDPMScheduler:
    """The schedule of Nichol & Dhariwal (2021), eq. 17, with noise (epsilon) prediction."""
    return DDPMScheduler(
        num_train_timesteps=num_timesteps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="epsilon",
        clip_sample=False,
    )


def alphas_cumprod(scheduler: Any) -> Tensor:
    """alpha_bar of every timestep, float32 (T,). Raises ValueError if noise is not the target."""
    prediction = scheduler.config.prediction_type
    if prediction != "epsilon":
        raise ValueError(
            f"the scheduler predicts {prediction!r}; EmoDC's errors are defined for 'epsilon'"
        )
    table: Tensor = scheduler.alphas_cumprod.to(torch.float32)
    return table


def add_noise(latents: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """The forward process q(x_t | x_0) of Ho et al. (2020), eq. 4.

    Args:
        latents: Clean latents x_0, float32 (B, C, H, W).
        noise: Standard normal, float32 (B, C, H, W).
        alpha_bar: alpha_bar at each row's timestep, float32 (B,).

    Returns:
        x_t, float32 (B, C, H, W).
    """
    signal = alpha_bar[:, None, None, None]
    return signal.sqrt() * latents + (1.0 - signal).sqrt() * noise


def timestep_grid(steps: int, low: int, high: int) -> Tensor:
    """The middle of each of `steps` equal strata of [low, high): int64 (steps,), ascending.

    Stratified rather than drawn, so that ten steps already cover the whole range.

    Raises:
        ValueError: If the range is empty or `steps` is not positive.
    """
    if steps < 1 or not 0 <= low < high:
        raise ValueError(f"no grid of {steps} steps in timesteps [{low}, {high})")
    middles = (torch.arange(steps, dtype=torch.float64) + 0.5) * (high - low) / steps
    return (low + middles).to(torch.int64)
