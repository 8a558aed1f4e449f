"""What a corruption is."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from bench import rng

SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(ABC):
    """A model-free change of a picture at its native size, with severities 1-5.

    Attributes:
        name: As in configs and tables.
        levels: The parameter at severities 1-5; its meaning is the subclass's.
    """

    name: ClassVar[str]
    levels: ClassVar[tuple[float, ...]]

    def __call__(
        self, picture: np.ndarray, severity: int, *, seed: int, dataset: str, sample_id: str
    ) -> np.ndarray:
        """The corrupted picture; its pixels depend on nothing but the arguments.

        Args:
            picture: uint8 RGB (H, W, 3).
            severity: 1-5; 0 returns the picture unchanged.
            seed: Run seed.
            dataset: Name of the data set.
            sample_id: Id of the sample.

        Returns:
            uint8 (H, W, 3).
        """
        if severity == 0:
            return picture
        draws = rng.generator(seed, dataset, sample_id, self.name, severity)
        pixels = self.corrupt(picture.astype(np.float64) / 255.0, self.levels[severity - 1], draws)
        return np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)

    @abstractmethod
    def corrupt(self, pixels: np.ndarray, level: float, draws: np.random.Generator) -> np.ndarray:
        """Corrupt float64 RGB (H, W, 3) in [0, 1]; the result may leave the range."""

    def parameters(self) -> dict[str, Any]:
        """What determines the pixels, for cell ids and table footers."""
        return {"name": self.name, "levels": list(self.levels), "version": 1}
