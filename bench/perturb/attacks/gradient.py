"""White-box attacks: FGSM, PGD with its variants, APGD, and one on low frequencies."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BeforeValidator, Field
from typing_extensions import override

from bench.perturb.attacks.base import BuiltIn, LossName, budget

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.perturb.attacks.victim import Loss, Victim

#: The version of torchattacks whose FGSM and PGD are reproduced to the bit; ids of cells have it.
_REPRODUCED = "3.5.1"


@runtime_checkable
class MeasuresSteps(Protocol):
    """The target of a classifier that measures in steps, such as EmoDC's."""

    def choose(self, low: int, high: int) -> None:
        """Measure the steps alone whose timesteps are in [low, high), but for the verdict.

        Raises:
            UserError: If there is none.
        """

    def early(self, rule: Any, label: int, first: int, apart: bool) -> "nn.Module":
        """What an early decision is attacked by.

        Images -> logits (1, K): how far each class is ahead of class `label` at the `first` steps
        that the rule visits first. Its `whole` are logits whose highest is the rule's decision. If
        early and full decision are to be brought `apart`, being ahead at the other steps counts
        against a class, and the highest is the right class where both are wrong.
        """


_EVERY = 3  # queries from one look at what the verdict on an iterate would be to the next


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


def _absolute(step_size: str, eps: float) -> float:
    if step_size.startswith("eps/"):
        return eps / float(step_size.removeprefix("eps/"))
    return budget(step_size) / 255.0


@dataclass(frozen=True)
class FGSM(BuiltIn):
    """Fast gradient sign method (Goodfellow et al. 2015, arXiv 1412.6572).

    Attributes:
        loss: What the step raises.
    """

    name: str = "fgsm"
    loss: LossName = "ce"
    kind: ClassVar[str] = "fgsm"

    @property
    def queries(self) -> int:
        """One, or as many as are averaged."""
        return self.eot

    @property
    def every_step(self) -> bool:
        """A single gradient has no later query that would see the other steps."""
        return True

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """One step of size eps."""
        from bench.perturb.attacks.victim import LOSSES, steepest

        _, _, gradient = target.gradient(images, labels, LOSSES[self.loss], eot=self.eot)
        return (images + eps * steepest(gradient, self.norm)).clamp(0, 1)

    @override
    def parameters(self) -> dict[str, Any]:
        """Name and version; and what is not as usual."""
        return {"name": self.name, "torchattacks": _REPRODUCED} | self.unusual("name")


@dataclass(frozen=True)
class PGD(BuiltIn):
    """Projected gradient descent from a random start (Madry et al. 2018, arXiv 1706.06083).

    Attributes:
        name: As in configs and tables.
        steps: From each start.
        step_size: "eps/4" for a share of the budget, or "2/255".
        restarts: Random starts; of their results one that the verdict gets wrong counts, else the
            one with the highest loss there.
        loss: What is raised.
        momentum: How much of the direction before is added to each gradient, whose unit is then its
            mean absolute value (Dong et al. 2018, arXiv 1710.06081); 0: the gradient as it is.
        schedule: How step sizes decay towards 0.
        random_start: Whether it begins at a random place; else at the picture.
        last_whole: So many of the last gradients measure all steps of a classifier with steps;
            the others measure `attack_steps` of them, in turn.
        keep: The last iterate, or the first that the verdict gets wrong: there the attack ends. A
            picture that is wrong when clean then stays as it is.
        timesteps: Of a classifier with steps, gradients measure those from the first of these
            timesteps up to the second; None: all. The last `last_whole` do not heed it, nor does
            the verdict.
    """

    name: str = "pgd"
    steps: Annotated[int, Field(ge=1)] = 10
    step_size: Annotated[str, BeforeValidator(_step_size)] = "eps/4"
    restarts: Annotated[int, Field(ge=1)] = 1
    loss: LossName = "ce"
    momentum: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    random_start: bool = True
    last_whole: Annotated[int, Field(ge=0)] = 0
    keep: Literal["last", "hit"] = "last"
    timesteps: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]] | None = None
    kind: ClassVar[str] = "pgd"

    def __post_init__(self) -> None:
        if self.timesteps is not None and self.timesteps[0] >= self.timesteps[1]:
            raise ValueError("`timesteps` is a range [low, high], low below high")

    @property
    def queries(self) -> int:
        """All steps from all starts."""
        return self.steps * self.restarts * self.eot

    @property
    def every_step(self) -> bool:
        """Only of one step."""
        return self.queries == 1 or self.last_whole >= self.steps

    @override
    def aimed(self, target: "nn.Module", label: int, rule: Any) -> "nn.Module":
        if self.timesteps is not None and isinstance(target, MeasuresSteps):
            target.choose(*self.timesteps)
        return target

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """The strongest of `restarts` results for each image."""
        import torch

        if self.keep == "hit" and target.wrong(images):
            return images
        best = self._once(images, labels, target, eps)
        if self.restarts == 1:
            return best
        hit, highest = self._judged(target, best, labels)
        for _ in range(self.restarts - 1):
            if self.keep == "hit" and bool(hit.all()):
                break
            other = self._once(images, labels, target, eps)
            own, height = self._judged(target, other, labels)
            better = (own & ~hit) | ((own == hit) & (height > highest))
            best = torch.where(better[:, None, None, None], other, best)
            hit, highest = hit | own, torch.where(better, height, highest)
        return best

    def _once(self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float) -> "Tensor":
        """The result from one start."""
        import torch

        from bench.perturb.attacks.victim import LOSSES, projected, random_start, steepest

        loss, alpha, looked = LOSSES[self.loss], _absolute(self.step_size, eps), -_EVERY
        moved = random_start(images, eps, self.norm) if self.random_start else images
        direction = torch.zeros_like(images)
        for number in range(self.steps):
            whole = number >= self.steps - self.last_whole
            _, logits, gradient = target.gradient(moved, labels, loss, whole, self.eot)
            due = self.keep == "hit" and (whole or number - looked >= _EVERY)
            if due and not bool((logits.argmax(1) == labels).any()):
                if target.wrong(moved):
                    return moved
                looked = number
            if self.momentum:
                unit = gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-30)
                direction = gradient / unit + self.momentum * direction
            else:
                direction = gradient
            size = alpha * self._decay(number / self.steps)
            moved = projected(moved + size * steepest(direction, self.norm), images, eps, self.norm)
        return moved

    def _judged(
        self, target: "Victim", images: "Tensor", labels: "Tensor"
    ) -> tuple["Tensor", "Tensor"]:
        """Whether images are wrong as they will be stored, and their loss, (N,) each."""
        import torch

        from bench.perturb.attacks.victim import LOSSES

        with torch.no_grad():
            logits = target(target.stored(images), whole=True)
            return logits.argmax(1) != labels, LOSSES[self.loss](logits, labels)

    def _decay(self, done: float) -> float:
        decay = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
        return decay[self.schedule]

    @override
    def parameters(self) -> dict[str, Any]:
        """Steps and their size; and what is not as usual."""
        found: dict[str, Any] = {"name": self.name, "torchattacks": _REPRODUCED}
        found |= {"steps": self.steps, "step_size": self.step_size}
        # Of several starts the result was chosen otherwise once: their cells have other ids now.
        chosen = {"chosen": "by verdict"} if self.restarts > 1 else {}
        return found | self.unusual("name", "steps", "step_size") | chosen


@dataclass(frozen=True)
class Momentum(PGD):
    """MI-FGSM: PGD with momentum 1 from the picture itself (Dong et al. 2018, arXiv 1710.06081)."""

    name: str = "momentum"
    step_size: Annotated[str, BeforeValidator(_step_size)] = "eps/10"
    momentum: Annotated[float, Field(ge=0)] = 1.0
    random_start: bool = False
    kind: ClassVar[str] = "momentum"

    @override
    def parameters(self) -> dict[str, Any]:
        return self.all_parameters()


@dataclass(frozen=True)
class StrongPGD(Momentum):
    """PGD as an attacker would tune it for a classifier that measures in steps.

    Momentum, decaying steps of the margin's gradient, all of the classifier's steps at the end, and
    every iterate counts.
    """

    name: str = "strong_pgd"
    steps: Annotated[int, Field(ge=1)] = 40
    step_size: Annotated[str, BeforeValidator(_step_size)] = "eps/4"
    restarts: Annotated[int, Field(ge=1)] = 2
    loss: LossName = "margin"
    momentum: Annotated[float, Field(ge=0)] = 0.75
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    random_start: bool = True
    last_whole: Annotated[int, Field(ge=0)] = 10
    keep: Literal["last", "hit"] = "hit"
    kind: ClassVar[str] = "strong_pgd"


@dataclass(frozen=True)
class SlowDown(PGD):
    """PGD that makes decisions late: it brings the two best classes together.

    For classifiers that decide early: with nothing between two classes a sequential test measures
    all steps. It does not ask which class is right.
    """

    name: str = "slow_down"
    steps: Annotated[int, Field(ge=1)] = 40
    loss: LossName = "gap"
    momentum: Annotated[float, Field(ge=0)] = 0.75
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    last_whole: Annotated[int, Field(ge=0)] = 10
    kind: ClassVar[str] = "slow_down"

    @override
    def parameters(self) -> dict[str, Any]:
        return self.all_parameters()


@dataclass(frozen=True)
class Mislead(StrongPGD):
    """PGD that makes early decisions wrong: on the steps that the rule visits first.

    The attacker knows the rule and the order of its steps. A rule such as the sequential test sends
    the right class away when a rival is better at nearly every step it has seen, so what is raised
    is a soft minimum, over the first steps, of how far a rival is ahead; what later steps would say
    does not count. The first picture that the rule decides wrongly ends the attack. Where nothing
    decides early it is `strong_pgd` without `last_whole`.

    Attributes:
        first: So many of the steps that are visited first are attacked.
        apart: Whether the full decision is to stay right, so that the early one is another: what
            a sequential test's delta is about.
    """

    name: str = "mislead"
    last_whole: Annotated[int, Field(ge=0, le=0)] = 0  # gradients never go through the rule
    first: Annotated[int, Field(ge=1)] = 10
    apart: bool = False
    kind: ClassVar[str] = "mislead"
    at_rule: ClassVar[bool] = True

    @override
    def aimed(self, target: "nn.Module", label: int, rule: Any) -> "nn.Module":
        if rule is None or not isinstance(target, MeasuresSteps):
            return super().aimed(target, label, rule)
        return target.early(rule, label, self.first, self.apart)


# ------------------------------------------------------------------------------------------------
# APGD.


@dataclass(frozen=True)
class APGD(BuiltIn):
    """Auto-PGD: the step size halves where the loss stalls (Croce and Hein 2020, arXiv 2003.01690).

    Each gradient measures all steps of a classifier with steps, for losses are compared. The first
    iterate that the verdict gets wrong ends the attack; else the one with the highest loss counts.

    Attributes:
        steps: From each start.
        restarts: Random starts.
        loss: What is raised.
        rho: Share of a window's steps that must raise the loss.
    """

    name: str = "apgd_ce"
    steps: Annotated[int, Field(ge=1)] = 100
    restarts: Annotated[int, Field(ge=1)] = 1
    loss: LossName = "ce"
    rho: Annotated[float, Field(gt=0, le=1)] = 0.75
    kind: ClassVar[str] = "apgd_ce"

    @property
    def queries(self) -> int:
        """At most: all steps from all starts."""
        return self.steps * self.restarts * self.eot

    @property
    def every_step(self) -> bool:
        """Always."""
        return True

    def losses(self, clean: "Tensor", label: int) -> Iterator["Loss"]:
        """What is raised from each start in turn.

        Args:
            clean: Logits of the clean picture, (1, K).
            label: The right class.
        """
        from bench.perturb.attacks.victim import LOSSES

        yield LOSSES[self.loss]

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """Of one image (1, 3, H, W)."""
        import torch

        from bench.perturb.attacks.victim import margin, random_start

        with torch.no_grad():
            clean = target(images, whole=True)
        if target.wrong(images):
            return images
        best, highest = images, -math.inf
        for loss in self.losses(clean, int(labels)):
            for _ in range(self.restarts):
                start = random_start(images, eps, self.norm)
                found, hit = self._climb(start, images, labels, target, eps, loss)
                if hit:
                    return found
                with torch.no_grad():  # losses towards several classes cannot be compared
                    height = float(margin(target(found, whole=True), labels))
                if height > highest:
                    best, highest = found, height
        return best

    def _climb(
        self,
        start: "Tensor",
        image: "Tensor",
        label: "Tensor",
        target: "Victim",
        eps: float,
        loss: "Loss",
    ) -> tuple["Tensor", bool]:
        """Algorithm 1 of the paper: the highest iterate, or the first wrong one, and which."""
        from bench.perturb.attacks.victim import projected, steepest

        def asked(at: "Tensor") -> tuple[float, bool, "Tensor"]:
            value, logits, gradient = target.gradient(at, label, loss, True, self.eot)
            hit = int(logits.argmax(1)) != int(label) and target.wrong(at)
            return float(value), hit, gradient

        window = max(int(0.22 * self.steps), 1)
        shrinking, least = max(int(0.03 * self.steps), 1), max(int(0.06 * self.steps), 1)
        moved, before, size = start, start, 2 * eps
        value, hit, gradient = asked(moved)
        if hit:
            return moved, True
        best, highest, steepest_at_best = moved, value, gradient
        at_check, halved, counted, risen = highest, True, 0, 0
        for number in range(self.steps):
            step = projected(moved + size * steepest(gradient, self.norm), image, eps, self.norm)
            share = 0.75 if number else 1.0
            ahead = moved + share * (step - moved) + (1 - share) * (moved - before)
            before, moved = moved, projected(ahead, image, eps, self.norm)
            previous = value
            value, hit, gradient = asked(moved)
            if hit:
                return moved, True
            if value >= highest:  # a saturated loss does not change
                best, highest, steepest_at_best = moved, value, gradient
            counted, risen = counted + 1, risen + (value > previous)
            if counted == window:
                stalled = not halved and highest <= at_check
                halved = risen <= self.rho * window or stalled
                if halved:
                    size /= 2
                    moved, gradient, value = best, steepest_at_best, highest
                at_check, counted, risen = highest, 0, 0
                window = max(window - shrinking, least)
        return best, False


@dataclass(frozen=True)
class APGDOnRatio(APGD):
    """APGD on the difference of logits ratio, or the margin where there are two classes."""

    name: str = "apgd_dlr"
    loss: LossName = "dlr"
    kind: ClassVar[str] = "apgd_dlr"


@dataclass(frozen=True)
class TargetedAPGD(APGD):
    """APGD towards each of the wrong classes in turn, the likeliest first.

    Attributes:
        targets: At most so many classes.
    """

    name: str = "apgd_targeted"
    loss: LossName = "dlr"
    targets: Annotated[int, Field(ge=1)] = 9
    kind: ClassVar[str] = "apgd_targeted"

    @property
    def queries(self) -> int:
        """At most, with seven classes."""
        return super().queries * min(self.targets, 6)

    @override
    def losses(self, clean: "Tensor", label: int) -> Iterator["Loss"]:
        from bench.perturb.attacks.victim import dlr_towards

        ranked = [k for k in clean[0].argsort(descending=True).tolist() if k != label]
        yield from (dlr_towards(k) for k in ranked[: self.targets])


# ------------------------------------------------------------------------------------------------
# Low frequencies.


@dataclass(frozen=True)
class LowFrequency(BuiltIn):
    """PGD on a coarse grid that is stretched over the picture: changes that blur does not remove.

    After the low-frequency attacks of Guo et al. 2019 (arXiv 1809.08758), with bilinear
    interpolation in the place of a cosine transform.

    Attributes:
        steps: Of PGD.
        step_size: Of PGD, on the grid.
        loss: What is raised.
        scale: Pixels to a knot of the grid.
    """

    name: str = "low_frequency"
    steps: Annotated[int, Field(ge=1)] = 20
    step_size: Annotated[str, BeforeValidator(_step_size)] = "eps/5"
    loss: LossName = "ce"
    scale: Annotated[int, Field(ge=1)] = 8
    kind: ClassVar[str] = "low_frequency"

    @property
    def queries(self) -> int:
        """One a step."""
        return self.steps * self.eot

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """The last iterate."""
        import torch
        from torch.nn.functional import interpolate

        from bench.perturb.attacks.victim import LOSSES, projected, steepest

        loss, alpha = LOSSES[self.loss], _absolute(self.step_size, eps)
        sides = tuple(images.shape[2:])
        knots = [max(2, -(-side // self.scale)) for side in sides]
        grid = torch.zeros(*images.shape[:2], *knots, device=images.device)

        def stretched(grid: "Tensor") -> "Tensor":
            change = interpolate(grid, sides, mode="bilinear", align_corners=True)
            return projected(images + change, images, eps, self.norm)

        for _ in range(self.steps):
            _, _, gradient = target.gradient(stretched(grid), labels, loss, eot=self.eot)
            grid = grid.detach().requires_grad_()
            with torch.enable_grad():
                change = interpolate(grid, sides, mode="bilinear", align_corners=True)
                (pulled,) = torch.autograd.grad((change * gradient).sum(), grid)
            grid = grid.detach() + alpha * steepest(pulled, self.norm)
            if self.norm == "linf":
                grid = grid.clamp(-eps, eps)
        return stretched(grid)
