"""White-box attacks in [0, 1] pixel space, L-infinity, through torchattacks.

The attacker knows everything: the weights and, for EmoDC, the noise bank that the verdict will
use. Each picture is attacked alone, so the result does not depend on its neighbours.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
import torchattacks
from torch import nn

from bench.util import rng


class Attack(ABC):
    """An attack with an L-infinity budget.

    Attributes:
        name: As in configs and tables.
    """

    name: ClassVar[str]

    def __call__(
        self,
        picture: np.ndarray,
        label: int,
        target: nn.Module,
        eps: int,
        *,
        seed: int,
        dataset: str,
        sample_id: str,
    ) -> np.ndarray:
        """The adversarial picture, rounded to 8 bits (eps is a whole number of grey levels).

        Args:
            picture: uint8 RGB (H, W, 3).
            label: The right class, as the target numbers it.
            target: float32 images (1, 3, H, W) in [0, 1] -> logits; differentiable.
            eps: Budget in 1/255.
            seed: Run seed.
            dataset: Name of the data set.
            sample_id: Id of the sample.

        Returns:
            uint8 (H, W, 3), within eps grey levels of `picture`.
        """
        device = next(target.parameters()).device
        image = torch.from_numpy(picture.transpose(2, 0, 1)[None] / np.float32(255.0)).to(device)
        truth = torch.tensor([label], device=device)
        with rng.fenced(seed, dataset, sample_id, self.name, eps):
            adversarial = self.build(target, eps / 255.0)(image, truth)
        pixels = adversarial[0].permute(1, 2, 0).mul(255.0).round().clamp(0, 255)
        return np.asarray(pixels.detach().cpu(), dtype=np.uint8)

    @abstractmethod
    def build(self, target: nn.Module, eps: float) -> Any:
        """The torchattacks attack."""

    def parameters(self) -> dict[str, Any]:
        """What determines the pixels besides eps and the target."""
        return {"name": self.name, "torchattacks": torchattacks.__version__}


class FGSM(Attack):
    """Fast gradient sign method (Goodfellow et al. 2015, arXiv 1412.6572)."""

    name = "fgsm"

    def build(self, target: nn.Module, eps: float) -> Any:
        """One step of size eps."""
        return torchattacks.FGSM(target, eps=eps)


class PGD(Attack):
    """Projected gradient descent from a random start (Madry et al. 2018, arXiv 1706.06083)."""

    name = "pgd"
    steps = 10

    def build(self, target: nn.Module, eps: float) -> Any:
        """Ten steps of eps / 4."""
        return torchattacks.PGD(target, eps=eps, alpha=eps / 4, steps=self.steps)

    def parameters(self) -> dict[str, Any]:
        """See `Attack.parameters`."""
        return {**super().parameters(), "steps": self.steps, "step_size": "eps/4"}


ATTACK_CLASSES: dict[str, type[Attack]] = {attack.name: attack for attack in (FGSM, PGD)}
