"""Errors of a checkpoint under independent and antithetic noise.

A *bank* is the noise of one picture's grid of S steps: independent draws, or eps at one step and
-eps at the next (Hammersley & Morton 1956, doi 10.1017/S0305004100031455).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emodc import EmoDC
from emodc.diffusion.denoiser import Conditions, Denoiser
from emodc.diffusion.measuring import autocast, in_units, prepare
from emodc.diffusion.noise import step_noise
from emodc.diffusion.noise_aware import Noised, noised

Bank = Literal["independent", "antithetic"]
BANKS: tuple[Bank, ...] = get_args(Bank)
SEEDS = (0, 1)


@dataclass(frozen=True)
class Measured:
    """N pictures, K classes, S steps.

    Attributes:
        ids: Sample ids, N.
        errors: For (bank, seed): (N, K, S).
        timesteps: (N, S).
        products: Of the independent bank of seed 0, (N, S, S, K): the mean product, over the
            elements of a latent, of the noise to be predicted at step i and the prediction for
            class k at step j, less the mean over classes.
    """

    ids: list[str]
    errors: dict[tuple[Bank, int], NDArray[np.float64]]
    timesteps: NDArray[np.int64]
    products: NDArray[np.float32]

    def of(self, rows: Sequence[int]) -> "Measured":
        """Some of the pictures."""
        errors = {key: values[rows] for key, values in self.errors.items()}
        ids = [self.ids[row] for row in rows]
        return Measured(ids, errors, self.timesteps[rows], self.products[rows])


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
        np.stack(timesteps),
        np.stack(products),
    )


def _picture(
    model: EmoDC, image: Tensor, name: str, conditions: Conditions
) -> tuple[dict[tuple[Bank, int], np.ndarray], np.ndarray, np.ndarray]:
    """Errors (K, S) of every bank, timesteps (S,), and the products (S, S, K)."""
    denoiser = model.denoiser
    picture = prepare(denoiser, model.evaluation, image, name)
    times, shape = picture.timesteps, tuple(picture.latent.shape[1:])
    rows = max(1, denoiser.rows // (1 if denoiser.shared_trunk else len(conditions)))
    errors = {}
    for bank, seed in product(BANKS, SEEDS):
        noise = _noise(bank, seed, name, len(times), shape)
        whole = noised(denoiser.process, picture.latent, noise, times, picture.own_noise)
        found = []
        for part in zip(*(x.split(rows) for x in whole), strict=True):
            own = Noised(*part)
            raw = denoiser.errors(own.noisy, own.timesteps, own.target, conditions)
            found.append(in_units(denoiser, model.evaluation, raw, own))
        errors[bank, seed] = torch.cat(found).T.float().numpy()
        if (bank, seed) == ("independent", SEEDS[0]):
            products = _products(denoiser, whole.noisy, times, whole.target, conditions)
    return errors, times.numpy(), products.numpy()


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
