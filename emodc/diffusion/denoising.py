"""A picture made clean by a diffusion model: noise is added, and the model's estimate is kept.

One step is Carlini et al. 2023 (arXiv 2206.10550): at a timestep t, with a = signal and b = noise,

    x_t = a x_0 + b eps,    x_0^ = (x_t - b eps_theta(x_t, t)) / a,

the least-squares estimate of x_0 given x_t where eps_theta is that of eps. Several steps are DDIM
without noise of its own (Song et al. 2021, arXiv 2010.02502, eq. 12 with sigma = 0), as in DiffPure
(Nie et al. 2022, arXiv 2205.07460): from x_0^ and eps_theta the next, less noisy x_s is
a_s x_0^ + b_s eps_theta.
"""

import torch
from torch import Tensor

from emodc.diffusion.denoiser import Conditions, Denoiser


def denoised(
    denoiser: Denoiser,
    images: Tensor,
    noise: Tensor,
    condition: Conditions,
    timestep: int,
    steps: int = 1,
) -> Tensor:
    """The model's estimate of pictures, differentiable.

    Args:
        denoiser: The model; it must have a way back from x_0 to pictures.
        images: float32 (B, 3, H, W) in [0, 1].
        noise: The noise that is added, as x_0: (B, C, h, w).
        condition: Of one prompt, for all pictures: the null prompt knows no class.
        timestep: How much noise is added; in [0, T).
        steps: Network passes from there to x_0; at least 1.

    Returns:
        float32 (B, 3, S, S) in [0, 1], S the denoiser's `image_size`.

    Raises:
        ValueError: If there is no way back, or no such timestep or number of steps.
    """
    process = denoiser.process
    if not 0 <= timestep < len(process) or not 1 <= steps <= timestep + 1:
        raise ValueError(
            f"timestep {timestep} and {steps} steps do not fit the {len(process)} timesteps that "
            "there are"
        )
    levels = torch.linspace(timestep, 0, steps + 1, device=images.device).round().long()[:-1]
    everyone = condition[torch.zeros(len(images), dtype=torch.long, device=images.device)]
    x = process.noised(denoiser.encode(images), noise, levels[:1].expand(len(images)))
    for number, level in enumerate(levels):
        times = level.expand(len(images))
        eps = process.predicted_noise(denoiser.predict(x, times, everyone), x, times)
        estimate = process.without(eps, x, times)
        if number + 1 < len(levels):
            x = process.noised(estimate, eps, levels[number + 1].expand(len(images)))
    pictures = denoiser.decode(estimate)
    if pictures is None:
        raise ValueError("this denoiser has no way back from x_0 to pictures")
    return pictures.clamp(0.0, 1.0)
