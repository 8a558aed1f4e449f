"""Measurements of a denoiser on known pictures, for the self-test in `emodc.selftest.check`.

For an ideal denoiser three things are theorems, because what it predicts is the mean of eps given
x_t and no function of x_t does better: reading its output in another way, telling it another
time, or replacing it by a multiple of x_t cannot lower the error.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emodc.diffusion.denoiser import Conditions, Denoiser
from emodc.diffusion.measuring import Evaluation, autocast
from emodc.diffusion.noise import step_noise
from emodc.diffusion.philox import philox
from emodc.diffusion.schedule import Prediction, Process, best_multiple

Reading = Callable[[Tensor, Tensor, Tensor], Tensor]  # output, x_t, timesteps -> eps


def patterns(count: int, size: int = 96, seed: int = 0) -> Tensor:
    """Known pictures: discs and bars on a gradient, float32 (count, 3, size, size) in [0, 1]."""
    across = torch.linspace(0, 1, size)[None].expand(size, -1)
    down = across.T
    pictures = []
    for number in range(count):
        draws = philox(seed, "pattern", number)
        picture = _colour(draws) * across + _colour(draws) * (1 - down)
        picture = picture / picture.max()
        for _ in range(6):
            x, y, radius, stretch = draws.uniform([0.1, 0.1, 0.06, 0.4], [0.9, 0.9, 0.25, 2.5])
            inside = ((across - x) * stretch) ** 2 + ((down - y) / stretch) ** 2 < radius**2
            picture = torch.where(inside, _colour(draws), picture)
        pictures.append(picture)
    return torch.stack(pictures).float()


def _colour(draws: np.random.Generator) -> Tensor:
    return torch.from_numpy(draws.uniform(0.05, 0.95, (3, 1, 1))).float()


@dataclass(frozen=True)
class Probe:
    """Noisy latents at known levels: R = pictures x bins rows, picture by picture.

    Attributes:
        latents: x_0 of each row, (R, C, H, W).
        noise: eps, (R, C, H, W).
        timesteps: int64 (R,).
        noisy: x_t, (R, C, H, W).
        bins: Timesteps per picture.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    noisy: Tensor
    bins: int

    @classmethod
    def of(cls, process: Process, latents: Tensor, plan: Evaluation, bins: int) -> "Probe":
        """One row per latent (N, C, H, W) and bin of the evaluation's range.

        Each picture has a place of its own within the bins, so that together they fill them.
        """
        count, width = len(latents), (plan.high - plan.low) / bins
        places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        starts = torch.arange(bins, dtype=torch.float64)
        timesteps = (plan.low + (places[:, None] + starts) * width).long().flatten()
        rows = latents.repeat_interleave(bins, 0)
        noise = torch.cat(
            [
                step_noise(plan.seed, f"probe {n}", range(bins), tuple(latents.shape[1:]))
                for n in range(count)
            ]
        ).to(latents.device)
        timesteps = timesteps.to(latents.device)
        noisy = process.noised(rows, noise, timesteps)
        return cls(rows, noise, timesteps, noisy, bins)

    def first(self) -> "Probe":
        """The rows of the first picture."""
        rows = slice(0, self.bins)
        return Probe(
            self.latents[rows], self.noise[rows], self.timesteps[rows], self.noisy[rows], self.bins
        )

    def wiener_errors(self, process: Process) -> Tensor:
        """Error of the best multiple of x_t, (N, bins); what a network has to beat."""
        signal, level = process.signal[self.timesteps], process.noise[self.timesteps]
        power = self.latents.square().flatten(1).mean(1)
        factor = best_multiple(signal, level, power)
        wrong = factor[:, None, None, None] * self.noisy - self.noise
        return self._by_bin(wrong.square().flatten(1).mean(1))

    def zero_errors(self) -> Tensor:
        """Error of predicting nothing, (N, bins); 1 in the mean."""
        return self._by_bin(self.noise.square().flatten(1).mean(1))

    def _by_bin(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (-1, self.bins))


def readings(process: Process) -> dict[str, Reading]:
    """Ways to read a network's output as eps; the process's own comes first."""
    own = process.prediction
    others: tuple[Prediction, ...] = ("flow", "epsilon", "sample")
    if own != "flow":
        others = ("epsilon", "v_prediction", "sample")
    ways: dict[str, Reading] = {own: process.predicted_noise}
    for other in others:
        if other != own:
            ways[other] = Process(
                process.signal, process.noise, other, process.told
            ).predicted_noise
    ways[f"minus {own}"] = lambda output, noisy, times: process.predicted_noise(
        -output, noisy, times
    )
    return ways


@torch.no_grad()
def measure(
    denoiser: Denoiser,
    probe: Probe,
    conditions: Conditions,
    plan: Evaluation,
    told_as: Tensor | None = None,
) -> dict[str, Tensor]:
    """Errors under every prompt, for every reading of the output: (P, N, bins) each.

    Args:
        denoiser: The network.
        probe: The noisy latents.
        conditions: Of P prompts.
        plan: Its precision.
        told_as: Timesteps that the network is told in place of the true ones, (R,).
    """
    ways = readings(denoiser.process)
    told = probe.timesteps if told_as is None else told_as
    found: dict[str, list[Tensor]] = {name: [] for name in ways}
    for prompt in range(len(conditions)):
        errors: dict[str, list[Tensor]] = {name: [] for name in ways}
        for rows in torch.arange(len(probe.noisy), device=told.device).split(denoiser.rows):
            noisy, times = probe.noisy[rows], probe.timesteps[rows]
            with autocast(plan.precision, noisy.device):
                output = denoiser.predict(
                    noisy, told[rows], conditions[torch.full_like(rows, prompt)]
                ).float()
            for name, read in ways.items():
                wrong = read(output, noisy, times) - probe.noise[rows]
                errors[name].append(wrong.square().flatten(1).mean(1))
        for name in ways:
            found[name].append(torch.cat(errors[name]).unflatten(0, (-1, probe.bins)))
    return {name: torch.stack(errors).cpu() for name, errors in found.items()}


@torch.no_grad()
def noise_slopes(
    denoiser: Denoiser, probe: Probe, condition: Conditions, plan: Evaluation
) -> Tensor:
    """Least-squares slope of the true noise on the predicted one, per bin: float32 (bins,).

    1 for an ideal denoiser, whose error has nothing in common with its prediction. Below 1 the
    network takes a part of the picture for noise.
    """
    products = []
    for rows in torch.arange(len(probe.noisy), device=probe.noisy.device).split(denoiser.rows):
        noisy, times = probe.noisy[rows], probe.timesteps[rows]
        with autocast(plan.precision, noisy.device):
            output = denoiser.predict(noisy, times, condition[torch.zeros_like(rows)]).float()
        predicted = denoiser.process.predicted_noise(output, noisy, times)
        pairs = (predicted * probe.noise[rows], predicted.square())
        products.append(torch.stack([pair.flatten(1).sum(1) for pair in pairs], dim=1))
    sums = torch.cat(products).unflatten(0, (-1, probe.bins)).sum(0).cpu()
    return sums[:, 0] / sums[:, 1]


@contextlib.contextmanager
def told_in_other_units(process: Process, factor: float) -> Iterator[None]:
    """The times that the network is told, multiplied."""
    told = process.told
    process.told = told * factor
    try:
        yield
    finally:
        process.told = told


def pixel_gradient(
    denoiser: Denoiser, images: Tensor, conditions: Conditions, timestep: int, seed: int
) -> Tensor:
    """Gradient of one error of one picture with respect to its pixels, (1, 3, H, W)."""
    with torch.enable_grad():
        pixels = images[:1].detach().clone().requires_grad_()
        latents = denoiser.encode(pixels)
        times = torch.tensor([timestep], device=latents.device)
        noise = step_noise(seed, "gradient", [0], tuple(latents.shape[1:])).to(latents.device)
        noisy = denoiser.process.noised(latents, noise, times)
        error = denoiser.errors(noisy, times, noise, conditions[:1])
        if not error.requires_grad:
            return torch.zeros_like(images[:1])
        (gradient,) = torch.autograd.grad(error.sum(), pixels, allow_unused=True)
    return torch.zeros_like(images[:1]) if gradient is None else gradient
