"""What a corruption is: a kernel, its constants at each severity, and where its draws come from."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.perturb.corruptions.pictures import checked
from bench.util import rng

SEVERITIES = (1, 2, 3, 4, 5)

Kernel = Callable[..., np.ndarray]
"""(pictures uint8 (N, H, W, 3), **constants[, draws]) -> uint8 (N, H, W, 3)."""


@dataclass(frozen=True)
class Corruption:
    """A model-free change of pictures at their native size, with severities from 1 on.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        kernel: See `bench.perturb.corruptions`.
        levels: The kernel's constants at severities 1, 2, ...
        random: Whether the kernel draws.
        version: Raise when the same picture becomes another one.
    """

    name: str
    kernel: Kernel
    levels: tuple[Mapping[str, Any], ...]
    random: bool = False
    version: int = 1

    def __call__(
        self, picture: np.ndarray, severity: int, *, seed: int, dataset: str, sample_id: str
    ) -> np.ndarray:
        """One corrupted picture, uint8 (H, W, 3); see `batch`."""
        ids = [sample_id]
        batch = self.batch(picture[None], severity, seed=seed, dataset=dataset, sample_ids=ids)
        one: np.ndarray = batch[0]
        return one

    def batch(
        self,
        pictures: np.ndarray,
        severity: int,
        *,
        seed: int,
        dataset: str,
        sample_ids: Sequence[str],
        threads: int = 1,
    ) -> np.ndarray:
        """Corrupted pictures; the pixels of each depend on itself, its id, address and severity.

        Args:
            pictures: uint8 RGB (N, H, W, 3).
            severity: From 1 on; 0 returns the pictures unchanged.
            seed: Run seed.
            dataset: Name of the data set.
            sample_ids: Of the pictures, (N,).
            threads: How many share the pictures; kernels release the interpreter's lock.

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
        if severity == 0:
            return pictures

        def corrupt(part: slice) -> np.ndarray:
            constants = dict(self.levels[severity - 1])
            if self.random:
                constants["draws"] = [
                    rng.generator(seed, dataset, sample_id, self.name, severity)
                    for sample_id in sample_ids[part]
                ]
            return self.kernel(pictures[part], **constants)

        size = max(1, -(-len(pictures) // threads))
        parts = [slice(first, first + size) for first in range(0, len(pictures), size)]
        if len(parts) <= 1:
            return corrupt(slice(None))
        with ThreadPoolExecutor(len(parts)) as pool:
            return np.concatenate(list(pool.map(corrupt, parts)))

    @property
    def severities(self) -> tuple[int, ...]:
        """1, 2, ..."""
        return tuple(range(1, len(self.levels) + 1))

    def parameters(self) -> dict[str, Any]:
        """What determines the pixels, for cell ids and table footers."""
        single = all(len(level) == 1 for level in self.levels)
        levels = [next(iter(lv.values())) if single else dict(lv) for lv in self.levels]
        return {"name": self.name, "levels": levels, "version": self.version}
