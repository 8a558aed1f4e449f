"""Perturbations at continuous levels: noise by sigma or by signal-to-noise ratio, blur by sigma.

A level is a physical quantity and no rank of a table, so any number of them can be asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from bench.perturb.base import Address, ModelFree
from bench.perturb.corruptions import blur, noise
from bench.perturb.corruptions.loops import checked
from bench.util import rng


@dataclass(frozen=True)
class Continuous(ModelFree):
    """A perturbation whose strength is a number of a user's choice.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        kernel: (pictures uint8 (N, H, W, 3), level[, draws]) -> uint8 (N, H, W, 3).
        levels: Those of a run that names none, mild to strong.
        bounds: The least and the greatest level that is accepted.
        meaning: What a level is, in a few words.
        unit: Of a level, in severities; "dB" says that lower is harder
            (`bench.store.cells.Cell.level`).
        random: Whether the kernel draws.
        version: Raise when the same picture becomes another one.
    """

    name: str
    kernel: Callable[..., np.ndarray]
    levels: tuple[float, ...]
    bounds: tuple[float, float]
    meaning: str
    unit: str = ""
    random: bool = False
    version: int = 1
    family = "level"

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """Mild to strong."""
        return tuple(map(self.level, self.levels))

    def level(self, asked: float) -> str:
        """A level as cells and tables have it, such as "0.05" or "30 dB"; six digits count.

        Raises:
            ValueError: The level is out of bounds.
        """
        low, high = self.bounds
        if not low <= asked <= high:
            raise ValueError(
                f"A level of {self.name} ({self.meaning}) is from {low:g} to {high:g}, not "
                f"{asked:g}."
            )
        return f"{asked + 0.0:g} {self.unit}".strip()

    def batch(
        self,
        pictures: np.ndarray,
        severity: str,
        *,
        seed: int,
        dataset: str,
        sample_ids: Sequence[str],
    ) -> np.ndarray:
        """Perturbed pictures; each depends on its own pixels, its address and the severity.

        Args:
            pictures: uint8 RGB (N, H, W, 3).
            severity: From `level`.
            seed: Run seed.
            dataset: Name of the data set.
            sample_ids: Of the pictures, (N,).

        Returns:
            uint8 (N, H, W, 3).

        Raises:
            ValueError: The pictures are no such batch, or ids and pictures differ in number.
        """
        pictures = checked(pictures)
        if len(sample_ids) != len(pictures):
            raise ValueError(
                f"There are {len(pictures)} pictures but {len(sample_ids)} sample ids: one each "
                "is needed."
            )
        level = float(severity.removesuffix(self.unit))
        if not self.random:
            return self.kernel(pictures, level)
        draws = [rng.generator(seed, dataset, name, self.name, severity) for name in sample_ids]
        return self.kernel(pictures, level, draws)

    @override
    def changed(
        self, pictures: np.ndarray, level: str, address: Address, ids: Sequence[str]
    ) -> np.ndarray:
        return self.batch(
            pictures, level, seed=address.seed, dataset=address.dataset, sample_ids=ids
        )

    def parameters(self) -> dict[str, Any]:
        """What determines the pixels besides the severity, for cell ids."""
        return {"name": self.name, "version": self.version}


def noise_by_snr(
    pictures: np.ndarray, decibels: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Add white noise of a variance that is a share of the picture's own mean power.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        decibels: Mean of the picture's squared values on [0, 1], over the variance of the noise
            before it is clipped and rounded. A black picture has no power and stays as it is.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    # Integers, so that the sum is exact in any order.
    squares = np.square(pictures, dtype=np.int64).sum(axis=(1, 2, 3), keepdims=True)
    power = squares / (255.0**2 * pictures[0].size)
    return noise.white_noise(pictures, np.sqrt(power / 10 ** (decibels / 10)), draws)


#: By name.
CONTINUOUS: dict[str, Continuous] = {
    one.name: one
    for one in (
        Continuous(
            "gaussian_noise_sigma",
            noise.white_noise,
            (0.02, 0.05, 0.1, 0.2, 0.3),
            (0.001, 1),
            "standard deviation of the noise on the range [0, 1]",
            random=True,
        ),
        Continuous(
            "gaussian_blur_sigma",
            blur.gaussian_blur,
            (0.5, 1, 2, 4),
            (0.1, 100),
            "standard deviation in pixels of the picture",
        ),
        Continuous(
            "gaussian_noise_snr",
            noise_by_snr,
            (30, 20, 10, 0),
            (-20, 60),
            "mean power of the picture over the variance of the noise, in dB",
            unit="dB",
            random=True,
        ),
    )
}
