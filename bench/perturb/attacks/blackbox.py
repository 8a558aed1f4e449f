"""Attacks without the classifier's gradient: Square, RayS, random noise, and those of another."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench.perturb.attacks.base import BuiltIn
from bench.perturb.attacks.gradient import APGD, FGSM, PGD, APGDOnRatio, Momentum, StrongPGD

if TYPE_CHECKING:
    from torch import Tensor

    from bench.perturb.attacks.victim import Victim

_FORWARDS = 3  # that take as long as a gradient


@dataclass(frozen=True)
class RandomNoise(BuiltIn):
    """Noise of the attack's size that knows nothing: what an attack must be stronger than.

    Random signs, or in L2 a random direction.
    """

    name: str = "random_noise"
    kind: ClassVar[str] = "random_noise"

    @property
    def queries(self) -> int:
        """None."""
        return 0

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """One draw."""
        import torch

        from bench.perturb.attacks.victim import projected, steepest

        draw = steepest(torch.randn(images.shape), self.norm).to(images.device)
        with torch.no_grad():
            target(images)  # what the end is compared with
        return projected(images + eps * draw, images, eps, self.norm)


# ------------------------------------------------------------------------------------------------
# Square.


@dataclass(frozen=True)
class Questions(BuiltIn):
    """An attack that only asks the classifier, with all steps of one that has steps.

    Attributes:
        budget: Questions to the classifier.
    """

    budget: Annotated[int, Field(ge=1)] = 1000

    @property
    def queries(self) -> int:
        """What its questions cost, in gradients."""
        return max(2, self.budget // _FORWARDS)

    @property
    def every_step(self) -> bool:
        """Always, for answers are compared with each other."""
        return True


@dataclass(frozen=True)
class Square(Questions):
    """Square attack: random squares that raise the margin (Andriushchenko et al. 2020).

    arXiv 1912.00049, algorithms 2 (linf) and 3 (l2). The first picture that the verdict gets wrong
    ends the attack.

    Attributes:
        share: Of the picture that the first squares cover.
    """

    name: str = "square"
    budget: Annotated[int, Field(ge=1)] = 5000
    share: Annotated[float, Field(gt=0, le=1)] = 0.8
    kind: ClassVar[str] = "square"

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """Of one image (1, 3, H, W)."""
        import torch

        from bench.perturb.attacks.victim import margin, projected

        with torch.no_grad():
            if target.wrong(images):
                return images
            propose = _linf_square if self.norm == "linf" else _l2_square
            best, highest = images, -math.inf
            change = torch.zeros(images.shape)
            for number in range(self.budget):
                side = self._side(number, tuple(images.shape))
                trial = propose(change, eps, None if number == 0 else side)
                moved = projected(images + trial.to(images.device), images, eps, self.norm)
                height = float(margin(target(moved, whole=True), labels))
                if height > highest or height != height:
                    best, highest, change = moved, height, (moved - images).cpu()
                    if not height < 0 and target.wrong(best):
                        break
        return best

    def _side(self, number: int, shape: tuple[int, ...]) -> int:
        """Side of a question's square, in pixels; the paper's schedule for 10,000 questions."""
        done = number / self.budget * 10_000
        halved = sum(done > end for end in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
        side = round(math.sqrt(self.share / 2**halved * shape[2] * shape[3]))
        return min(max(side, 1 if self.norm == "linf" else 3), *shape[2:])


def _linf_square(change: "Tensor", eps: float, side: int | None) -> "Tensor":
    """The change with a square of random signs; vertical stripes first."""
    import torch

    _, channels, height, width = change.shape
    if side is None:
        return eps * _signs(1, channels, 1, width).expand_as(change)
    top, left = _place(height - side), _place(width - side)
    trial = change.clone()
    trial[:, :, top : top + side, left : left + side] = eps * _signs(1, channels, 1, 1)
    return torch.as_tensor(trial)


def _l2_square(change: "Tensor", eps: float, side: int | None) -> "Tensor":
    """The change, whose length outside two windows is moved into a bump in the first of them."""
    import torch

    _, channels, height, width = change.shape
    if side is None:
        tile = max(height // 5, 3)
        trial = torch.zeros_like(change)
        for top in range(0, height - tile + 1, tile):
            for left in range(0, width - tile + 1, tile):
                bump = _bump(tile) * _signs(channels, 1, 1)
                trial[0, :, top : top + tile, left : left + tile] = bump
        return trial / trial.norm() * eps
    side = min(side + (side % 2 == 0), height - (height % 2 == 0), width - (width % 2 == 0))
    spots = [(_place(height - side), _place(width - side)) for _ in range(2)]
    windows = [(slice(t, t + side), slice(left, left + side)) for t, left in spots]
    either = torch.zeros(height, width)
    for rows, columns in windows:
        either[rows, columns] = 1
    own = change[0]
    free = (eps**2 - float(own.square().sum())) / channels
    union = (own * either).square().sum(dim=(1, 2), keepdim=True)
    first = own[:, *windows[0]]
    bump = _bump(side) * _signs(channels, 1, 1)
    bump = bump + first / (first.norm(dim=(1, 2), keepdim=True) + 1e-12)
    bump = bump / (bump.norm(dim=(1, 2), keepdim=True) + 1e-12)
    trial = own.clone()
    trial[:, *windows[1]] = 0
    trial[:, *windows[0]] = bump * (max(free, 0.0) + union).sqrt()
    return (trial / (trial.norm() + 1e-12) * eps)[None]


def _bump(side: int) -> "Tensor":
    """A positive and a negative pyramid side by side, (side, side), of length 1."""
    import torch

    half = torch.cat([_pyramid(side // 2, side), -_pyramid(side - side // 2, side)])
    half = half / half.norm()
    return half.T if bool(torch.rand(1) > 0.5) else half


def _pyramid(rows: int, columns: int) -> "Tensor":
    """Nested rectangles of falling height, (rows, columns), of length 1."""
    import torch

    found = torch.zeros(rows, columns)
    top, left = rows // 2, columns // 2
    for ring in range(max(rows // 2, columns // 2) + 1):
        end_row, end_column = top + 2 * ring + 1, left + 2 * ring + 1
        found[max(top, 0) : min(end_row, rows), max(left, 0) : min(end_column, columns)] += (
            1.0 / (ring + 1) ** 2
        )
        top, left = top - 1, left - 1
    return found / found.norm()


def _signs(*shape: int) -> "Tensor":
    import torch

    return torch.randint(0, 2, shape).float() * 2 - 1


def _place(last: int) -> int:
    import torch

    return int(torch.randint(0, last + 1, (1,)))


# ------------------------------------------------------------------------------------------------
# RayS: decisions alone.


@dataclass(frozen=True)
class RayS(Questions):
    """Ray search for the direction in which the decision changes soonest (Chen and Gu 2020).

    arXiv 2006.12792. Hard-label: it sees decisions, not logits, so that no gradient masking and no
    rounding of logits stops it. It ends at the first picture within the budget that the verdict
    gets wrong.
    """

    name: str = "rays"
    kind: ClassVar[str] = "rays"

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """Of one image (1, 3, H, W)."""
        import torch

        from bench.perturb.attacks.victim import length, projected

        if target.wrong(images):
            return images
        left = self.budget

        def at(direction: "Tensor", radius: float) -> "Tensor":
            return (images + radius * direction.view_as(images)).clamp(0, 1)

        def crossed(direction: "Tensor", radius: float) -> bool:
            nonlocal left
            left -= 1
            with torch.no_grad():
                return int(target(at(direction, radius), whole=True).argmax(1)) != int(labels)

        count = images[0].numel()
        unit = 1.0 if self.norm == "linf" else 1 / math.sqrt(count)
        best = torch.full((count,), unit, device=images.device)
        # No change of a picture is longer than this.
        shortest = 1.0 if self.norm == "linf" else float(length(torch.ones_like(images)))
        known, level, block = False, 0, 0
        while left > 0:
            trial = best.clone()
            size = -(-count // 2**level)
            trial[block * size : (block + 1) * size] *= -1
            if crossed(trial, shortest):
                best, known, low, high = trial, True, 0.0, shortest
                while left > 0 and high - low > max(1e-3 * high, 1e-5):
                    middle = (low + high) / 2
                    low, high = (low, middle) if crossed(trial, middle) else (middle, high)
                shortest = high
                for radius in (eps, shortest) if shortest <= eps else ():
                    if target.wrong(at(best, radius)):
                        return at(best, radius)
            block += 1
            if block * size >= count:
                level, block = (level + 1, 0) if size > 1 else (0, 0)
        radius = min(shortest, eps) if known else eps
        return projected(at(best, radius), images, eps, self.norm)


# ------------------------------------------------------------------------------------------------
# Transfer.


@dataclass(frozen=True)
class Transfer(BuiltIn):
    """Pictures with which another classifier of the run was attacked.

        attacks: {from_resnet: {kind: transfer, source: resnet18, attack: pgd, eps: [4]}}

    Attributes:
        source: The classifier that is attacked, by its name in the config.
        attack: With which white-box attack; its fields are as usual.
    """

    name: str = "transfer"
    source: str = ""
    attack: Literal["fgsm", "pgd", "momentum", "strong_pgd", "apgd_ce", "apgd_dlr"] = "pgd"
    kind: ClassVar[str] = "transfer"

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("a transfer needs `source`, the classifier that is attacked")

    @property
    def queries(self) -> int:
        """Those of the attack."""
        return self._made.queries

    @property
    def every_step(self) -> bool:
        """Whether the attack that is transferred asks for every step."""
        return self._made.every_step

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """On the source."""
        return self._made.attacked(images, labels, target, eps)

    @property
    def _made(self) -> BuiltIn:
        made = {one.kind: one for one in (FGSM, PGD, Momentum, StrongPGD, APGD, APGDOnRatio)}
        return made[self.attack](norm=self.norm, rounding=self.rounding, eot=self.eot)

    @override
    def parameters(self) -> dict[str, Any]:
        """With those of the attack."""
        return self.all_parameters() | {"attack": self._made.parameters()}
