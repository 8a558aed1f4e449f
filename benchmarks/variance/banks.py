"""Errors of a checkpoint under independent and antithetic noise.

A *bank* is the noise of one picture's grid of S steps. Steps 2i and 2i + 1 are a *pair*:
independent draws at neighbouring timesteps, eps and -eps at neighbouring timesteps, or eps and -eps
at one and the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emodc import EmoDC
from emodc.classifier import autocast
from emodc.denoiser import Conditions, Denoiser
from emodc.noise import step_noise
from emodc.noise_aware import covering_range, latent_noise, noised
from emodc.schedule import timestep_grid

Bank = Literal["independent", "antithetic, neighbours", "antithetic, same timestep"]
BANKS: tuple[Bank, ...] = get_args(Bank)
SEEDS = (0, 1)


@dataclass(frozen=True)
class Measured:
    """N pictures, K classes, S steps.

    Attributes:
        ids: Sample ids, N.
        errors: For (bank, seed): (N, K, S).
        timesteps: For each bank: (N, S).
        products: Of the independent bank of seed 0, (N, S, S, K): the mean product, over the
            elements of a latent, of the noise to be predicted at step i and the prediction for
            class k at step j, less the mean over classes.
    """

    ids: list[str]
    errors: dict[tuple[Bank, int], NDArray[np.float64]]
    timesteps: dict[Bank, NDArray[np.int64]]
    products: NDArray[np.float32]


@torch.no_grad()
def measure(model: EmoDC, pictures: Sequence[Tensor], ids: list[str]) -> Measured:
    """All banks of all pictures, float32 (3, H, W) in [0, 1].

    Raises:
        ValueError: If the model's classes have more than one prompt each, or its number of steps is
            odd.
    """
    if len(model.prompts.templates) > 1 or model.evaluation.steps % 2:
        raise ValueError("this comparison is for one template per class and pairs of steps")
    with autocast(model.evaluation.precision, model.denoiser.device):
        conditions = model.denoiser.encode_texts(model.prompts.texts())
        conditions = conditions[slice(model.prompts.null_index)]
        results = [
            _picture(model, image, name, conditions)
            for image, name in zip(pictures, ids, strict=True)
        ]
    errors, timesteps, products = zip(*results, strict=True)
    return Measured(
        ids,
        {key: np.stack([one[key] for one in errors]).astype(np.float64) for key in errors[0]},
        {bank: np.stack([one[bank] for one in timesteps]) for bank in BANKS},
        np.stack(products),
    )


def _picture(
    model: EmoDC, image: Tensor, name: str, conditions: Conditions
) -> tuple[dict[tuple[Bank, int], np.ndarray], dict[Bank, np.ndarray], np.ndarray]:
    """Errors (K, S) and timesteps (S,) of every bank, and the products (S, S, K)."""
    plan, denoiser = model.evaluation, model.denoiser
    with torch.autocast(image.device.type, enabled=False):
        latent = denoiser.encode(image[None])
        own_noise = latent_noise(denoiser, image) if plan.noise_aware else None
    low, high = covering_range(denoiser.process, own_noise, plan.low, plan.high)
    rows = max(1, denoiser.rows // (1 if denoiser.shared_trunk else len(conditions)))
    errors, timesteps = {}, {}
    for bank in BANKS:
        times = _timesteps(bank, plan.steps, low, high)
        timesteps[bank] = times.numpy()
        for seed in SEEDS:
            noise = _noise(bank, seed, name, plan.steps, tuple(latent.shape[1:]))
            noisy, target = noised(denoiser.process, latent, noise, times, own_noise)
            found = [
                denoiser.errors(*part, conditions)
                for part in zip(*(x.split(rows) for x in (noisy, times, target)), strict=True)
            ]
            errors[bank, seed] = torch.cat(found).T.float().numpy()
            if (bank, seed) == ("independent", 0):
                products = _products(denoiser, noisy, times, target, conditions)
    return errors, timesteps, products.numpy()


def _timesteps(bank: Bank, steps: int, low: int, high: int) -> Tensor:
    if bank == "antithetic, same timestep":
        return timestep_grid(steps // 2, low, high).repeat_interleave(2)
    return timestep_grid(steps, low, high)


def _noise(bank: Bank, seed: int, name: str, steps: int, shape: tuple[int, ...]) -> Tensor:
    """(S, *shape)."""
    if bank == "independent":
        return step_noise(seed, name, range(steps), shape)
    half = step_noise(seed, name, range(steps // 2), shape)
    return torch.stack([half, -half], dim=1).flatten(0, 1)


def _products(
    denoiser: Denoiser, noisy: Tensor, times: Tensor, target: Tensor, conditions: Conditions
) -> Tensor:
    """See `Measured.products`; in float32, where the small differences between classes survive."""
    count = len(conditions)
    effects = []
    with torch.autocast(noisy.device.type, enabled=False):
        for one, at in zip(noisy, times, strict=True):
            repeated, times_of_one = one.expand(count, -1, -1, -1), at.expand(count)
            output = denoiser.predict(repeated, times_of_one, conditions)
            predicted = denoiser.process.predicted_noise(output, repeated, times_of_one)
            effects.append((predicted - predicted.mean(dim=0)).flatten(1))
        effect = torch.cat(effects)  # (S * K, D)
        return (target.flatten(1) @ effect.T / effect.shape[1]).unflatten(1, (-1, count))
