"""White-box attacks in [0, 1] pixel space, L-infinity, through torchattacks.

The attacker knows everything: the weights and, for EmoDC, the noise bank that the verdict will
use. Each picture is attacked alone, so the result does not depend on its neighbours.
"""

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field
from typing_extensions import override

from bench.perturb.base import Address, Batch, Measurable, Perturbation
from bench.util import rng

if TYPE_CHECKING:
    from torch import Tensor, nn


def budget(asked: Any) -> float:
    """A budget in 1/255, as configs have it: 4, 0.25 or "4/255".

    Raises:
        ValueError: If it is no such number, or not from 0 to 255.
    """
    wrong = f'an eps is a number of 1/255, such as 4, 0.25 or "4/255", not {asked!r}'
    if isinstance(asked, bool) or not isinstance(asked, int | float | str):
        raise ValueError(wrong)
    try:
        numerator, slash, denominator = str(asked).replace(" ", "").partition("/")
        share = Fraction(255) / Fraction(denominator) if slash else 1
        value = float(Fraction(numerator) * share)
    except (ValueError, ZeroDivisionError):
        raise ValueError(wrong) from None
    if not 0 < value <= 255:
        raise ValueError(f"an eps is more than 0 and at most 255, in 1/255, not {asked}")
    return int(value) if value == int(value) else value


def _step_size(asked: Any) -> str:
    """Such as "eps/4", a share of the budget, or "2/255"."""
    if isinstance(asked, str) and asked.startswith("eps/"):
        try:
            if float(asked.removeprefix("eps/")) > 0:
                return asked
        except ValueError:
            pass
        raise ValueError(f'a step size is a share of eps such as "eps/4", or "2/255", not {asked}')
    return f"{budget(asked):g}/255"


class Attack(Perturbation):
    """An attack with an L-infinity budget, in 1/255."""

    family = "attack"
    limit = "attack_limit"
    evaluation_fields = frozenset({"attack_steps"})

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """Those of the default run."""
        return ("1/255", "2/255", "4/255", "8/255")

    def level(self, asked: Any) -> str:
        """A budget as cells and tables have it, such as "4/255"; see `budget`."""
        return f"{budget(asked):g}/255"

    @override
    def of_clips(self) -> Perturbation:
        from bench.perturb.clips import AttackedFrames

        return AttackedFrames(self)

    @override
    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """Float32 for a budget that is no whole number."""
        assert classifier is not None
        return [
            self(
                picture,
                classifier.classes.index(label),
                classifier.attack_target(name, every_step=self.queries == 1),
                budget(level),
                seed=address.seed,
                dataset=address.dataset,
                sample_id=name,
            )
            for picture, name, label in zip(batch.pictures, batch.ids, batch.labels, strict=True)
        ]

    def __call__(
        self,
        picture: np.ndarray,
        label: int,
        target: "nn.Module",
        eps: float,
        *,
        seed: int,
        dataset: str,
        sample_id: str,
    ) -> np.ndarray:
        """The adversarial picture, within eps grey levels of `picture`.

        Args:
            picture: uint8 RGB (H, W, 3).
            label: The right class, as the target numbers it.
            target: float32 images (1, 3, H, W) in [0, 1] -> logits; differentiable.
            eps: Budget in 1/255.
            seed: Run seed.
            dataset: Name of the data set.
            sample_id: Id of the sample.

        Returns:
            (H, W, 3): uint8, rounded, if eps is a whole number of grey levels; else float32 grey
            levels from 0 to 255, for 8 bits could not hold so small a change.
        """
        import torch

        device = next(target.parameters()).device
        image = torch.from_numpy(picture.transpose(2, 0, 1)[None] / np.float32(255.0)).to(device)
        truth = torch.tensor([label], device=device)
        address = eps if isinstance(eps, int) else f"{eps:g}/255"
        with rng.fenced(seed, dataset, sample_id, self.name, address):
            adversarial = self.attacked(image, truth, target, eps / 255.0)
        pixels = adversarial[0].permute(1, 2, 0).mul(255.0)
        if not isinstance(eps, int):
            return np.asarray(pixels.clamp(0, 255).detach().cpu(), dtype=np.float32)
        return np.asarray(pixels.round().clamp(0, 255).detach().cpu(), dtype=np.uint8)

    @abstractmethod
    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "nn.Module", eps: float
    ) -> "Tensor":
        """Adversarial images, float32 (N, 3, H, W) in [0, 1], within eps of `images`."""

    def parameters(self) -> dict[str, Any]:
        """What determines the pixels besides eps and the target."""
        import torchattacks

        return {"name": self.name, "torchattacks": torchattacks.__version__}


@dataclass(frozen=True)
class FGSM(Attack):
    """Fast gradient sign method (Goodfellow et al. 2015, arXiv 1412.6572)."""

    name: str = "fgsm"
    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def queries(self) -> int:
        """One."""
        return 1

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "nn.Module", eps: float
    ) -> "Tensor":
        """One step of size eps."""
        import torchattacks

        adversarial: Tensor = torchattacks.FGSM(target, eps=eps)(images, labels)
        return adversarial


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient descent from a random start (Madry et al. 2018, arXiv 1706.06083).

    Attributes:
        name: As in configs and tables.
        steps: From each start.
        step_size: "eps/4" for a share of the budget, or "2/255".
        restarts: Random starts; of their results the one with the highest loss counts.
    """

    name: str = "pgd"
    steps: Annotated[int, Field(ge=1)] = 10
    step_size: Annotated[str, BeforeValidator(_step_size)] = "eps/4"
    restarts: Annotated[int, Field(ge=1)] = 1
    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def queries(self) -> int:
        """All steps from all starts."""
        return self.steps * self.restarts

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "nn.Module", eps: float
    ) -> "Tensor":
        """The strongest of `restarts` results for each image."""
        import torch
        import torchattacks
        from torch.nn.functional import cross_entropy

        attack = torchattacks.PGD(target, eps=eps, alpha=self._alpha(eps), steps=self.steps)
        best: Tensor = attack(images, labels)
        for _ in range(self.restarts - 1):
            other = attack(images, labels)
            with torch.no_grad():
                losses = [cross_entropy(target(x), labels, reduction="none") for x in (best, other)]
            best = torch.where((losses[1] > losses[0])[:, None, None, None], other, best)
        return best

    def _alpha(self, eps: float) -> float:
        if self.step_size.startswith("eps/"):
            return eps / float(self.step_size.removeprefix("eps/"))
        return budget(self.step_size) / 255.0

    @override
    def parameters(self) -> dict[str, Any]:
        """More than one start is said, too."""
        found = {**super().parameters(), "steps": self.steps, "step_size": self.step_size}
        return found if self.restarts == 1 else found | {"restarts": self.restarts}


#: By their name in configs.
ATTACKS: dict[str, type[FGSM] | type[PGD]] = {"fgsm": FGSM, "pgd": PGD}
