"""Test-time augmentation (TTA): views of a picture that a classifier without steps averages over.

Test-time augmentation is as old as Krizhevsky et al. 2012 (NeurIPS, section 4.1: crops and mirror
images, probabilities averaged). The ranges are small enough for a face to stay in its frame; they
were set before any result was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from typing_extensions import override

from bench.perturb.base import Address, Clean, Measurable
from bench.util import rng

if TYPE_CHECKING:
    from torch import Tensor

#: Raise when the same address gives another view.
VERSION = 1

SHIFT = 0.04  # of the side, at most
SCALE = 0.05  # larger or smaller, at most
ROTATION = 8.0  # degrees, at most


@dataclass(frozen=True)
class Views:
    """The first `count` views of every picture of a data set; fewer are a part of more.

    Attributes:
        count: V, at least 1. View 0 is the picture itself and view 1 its mirror image; the others
            are shifted, scaled and turned, and every second one is mirrored.
        seed: Of the run.
        dataset: Name of the data set.
    """

    count: int
    seed: int
    dataset: str

    @staticmethod
    def parameters() -> dict[str, Any]:
        """What determines a view besides its address."""
        return {"version": VERSION, "shift": SHIFT, "scale": SCALE, "rotation": ROTATION}

    def of(self, image: "Tensor", sample_id: str) -> "Tensor":
        """The views of a float32 image (3, H, W) in [0, 1]: (V, 3, H, W) of the same size."""
        import torch

        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
        found = np.stack([self._view(pixels, sample_id, number) for number in range(self.count)])
        return torch.from_numpy(found).permute(0, 3, 1, 2).contiguous().to(image.device)

    def _view(self, pixels: np.ndarray, sample_id: str, number: int) -> np.ndarray:
        if number > 1:
            address = (self.seed, self.dataset, sample_id, "view", number)
            pixels = _moved(pixels, rng.generator(*address).uniform(-1.0, 1.0, 4))
        return pixels[:, ::-1] if number % 2 else pixels


@dataclass(frozen=True)
class Augmentation(Clean):
    """Test-time augmentation: clean test pictures, each measured in several views.

    Attributes:
        count: How many views.
    """

    count: int = 1
    family = "views"
    evaluation_fields = frozenset()

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """The number of views."""
        return (str(self.count),)

    def parameters(self) -> dict[str, Any]:
        """What determines the views."""
        return {"name": self.name, "views": Views.parameters()}

    def looks(self, level: str) -> int:
        """Every view is measured."""
        return int(level)

    @override
    def measure(
        self,
        classifier: Measurable,
        pictures: Sequence[np.ndarray],
        ids: Sequence[str],
        level: str,
        address: Address,
        rule: Any,
    ) -> Any:
        views = Views(int(level), address.seed, address.dataset)
        return classifier.measure_views(pictures, ids, views)


def _moved(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Shifted, scaled and turned about the centre by shares, in [-1, 1], of what is allowed."""
    height, width = pixels.shape[:2]
    centre = (width - 1) / 2, (height - 1) / 2
    transform = cv2.getRotationMatrix2D(
        centre, ROTATION * float(draws[0]), 1.0 + SCALE * float(draws[1])
    )
    transform[:, 2] += SHIFT * draws[2:] * (width, height)
    moved: np.ndarray = cv2.warpAffine(
        pixels, transform, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return moved
