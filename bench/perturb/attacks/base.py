"""What an attack is: a picture, its class and a budget in; an adversarial picture out.

    attack = PGD(steps=50, restarts=3)
    picture = attack(picture, label, target, eps=4, seed=0, dataset="faces", sample_id="a")

An attack of the bench has three parts, as in foolbox: a loss, an optimiser and a way to get the
gradient. It asks the classifier through a `Victim`, which keeps what a reader needs in order to
judge the attack. It is a function of one picture, so the result does not depend on its neighbours.
`FreshNoise` attacks classifiers that draw noise anew.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import override

from bench.perturb.base import Address, Batch, Measurable, Perturbation
from bench.util import rng

if TYPE_CHECKING:
    from torch import Tensor, nn


Norm = Literal["linf", "l2"]
LossName = Literal["ce", "dlr", "margin", "gap"]

_LARGEST = 255 * 1000  # of an L2 budget; larger than any picture


def budget(asked: Any, largest: float = 255) -> float:
    """A budget in 1/255, as configs have it: 4, 0.25 or "4/255".

    Args:
        asked: What a config has.
        largest: The largest that is accepted.

    Raises:
        ValueError: If it is no such number, or not from 0 to `largest`.
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
    if value <= 0:
        raise ValueError(f"an eps is more than 0, in 1/255, not {asked}")
    if value > largest:
        raise ValueError(f"an eps is at most {largest}, in 1/255, not {asked}")
    return int(value) if value == int(value) else value


def any_budget(asked: Any) -> float:
    """A budget in either norm; see `budget`. The attack's own norm limits it further."""
    return budget(asked, _LARGEST)


@dataclass
class AttackFacts:
    """What was seen while one picture was attacked; `bench.report.tables.attacks` judges it.

    Attributes:
        forwards: Times that the classifier was asked.
        gradients: Of them, with a gradient.
        zero: Gradients that were zero everywhere, or missing.
        broken: Answers or gradients that were NaN or infinite.
        first_hit: At which of the forwards it was first wrong; None if never.
        rise: How much the margin (best wrong logit less the right one) of the picture that the
            attack returned exceeds that of the first it asked about; None where not finite.
        believed: Whether the classifier was wrong about the returned picture when it was asked at
            the end of the attack.
    """

    forwards: int = 0
    gradients: int = 0
    zero: int = 0
    broken: int = 0
    first_hit: int | None = None
    rise: float | None = None
    believed: bool = False


# What is kept of some attacked pictures, to be shown: the change and not the picture. It takes some
# kB, and with the data set gives the picture back.

_SIDE = 128  # of the largest picture that is shown whole


_Attacked = tuple[np.ndarray, AttackFacts]


def visible(picture: np.ndarray) -> np.ndarray:
    """What examples show of a picture, (h, w, 3): of a clip its middle frame, thinned if large."""
    frame = picture[len(picture) // 2] if picture.ndim == 4 else picture
    every = -(-max(frame.shape[:2]) // _SIDE)
    return frame[::every, ::every]


def packed_change(clean: np.ndarray, attacked: np.ndarray) -> tuple[np.ndarray, float]:
    """What an attack changed where it is visible.

    Args:
        clean: uint8 (H, W, 3), or a clip (T, H, W, 3).
        attacked: Likewise, or float32 grey levels.

    Returns:
        int8 (h x w x 3,), where 127 is the largest change; and that in grey levels.
    """
    change = visible(attacked).astype(np.float32) - visible(clean)
    largest = float(np.abs(change).max())
    return np.rint(change * (127 / (largest or 1))).astype(np.int8).ravel(), largest


def unpacked_change(levels: np.ndarray, largest: float, clean: np.ndarray) -> np.ndarray:
    """The change in grey levels, float32 (h, w, 3), of `visible(clean)`.

    Within `largest` / 254; of a picture in 8 bits it rounds to what was changed.

    Raises:
        ValueError: If it is one of pictures of another size.
    """
    change = levels.reshape(visible(clean).shape).astype(np.float32)
    return change * np.float32(largest / 127)


class Attack(Perturbation):
    """An attack with a budget in 1/255.

    Attributes:
        norm: What the budget limits: the largest change of a value, or the L2 length of all.
        rounding: Whether results are rounded to 8 bits; None: where a budget in the largest change
            is a whole number of grey levels.
        shares_passes: Whether attacks on several pictures may take turns (`victim.side_by_side`):
            not where one sets what holds for the whole process, such as the working folder.
    """

    family = "attack"
    shares_passes = True
    limit = "attack_limit"
    evaluation_fields = frozenset({"attack_steps"})
    norm: Norm = "linf"
    rounding: bool | None = None

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """Those of the default run."""
        return ("1/255", "2/255", "4/255", "8/255")

    def level(self, asked: Any) -> str:
        """A budget as cells and tables have it, such as "4/255"; see `budget`."""
        return f"{budget(asked, 255 if self.norm == 'linf' else _LARGEST):g}/255"

    @override
    def of_clips(self) -> Perturbation:
        from bench.perturb.clips import AttackedFrames

        return AttackedFrames(self)

    @override
    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """Float32 for a budget that is no whole number."""
        return self.applied(batch, level, address, classifier)

    def applied(
        self,
        batch: Batch,
        level: str,
        address: Address,
        classifier: Measurable | None,
        fresh: bool = False,
    ) -> list[np.ndarray]:
        """As `apply`; with `fresh` each query of a classifier with noise draws it anew."""
        assert classifier is not None
        from bench.perturb.attacks.victim import side_by_side

        def attack(
            number: int, shared: "nn.Module | None" = None
        ) -> tuple[np.ndarray, AttackFacts]:
            name, label = batch.ids[number], batch.labels[number]
            if shared is None:
                shared = classifier.attack_target(name, every_step=self.every_step, fresh=fresh)
            right, eps = classifier.classes.index(label), any_budget(level)
            return self.run(
                batch.pictures[number],
                right,
                self.aimed(shared, right, batch.rule),
                eps,
                seed=address.seed,
                dataset=address.dataset,
                sample_id=name,
                fresh=fresh,
            )

        attacks = [partial(attack, number) for number in range(len(batch.ids))]
        if (
            classifier.shares_batches and self.shares_passes
        ):  # then its target is the same of all pictures
            found = side_by_side(classifier.attack_target(""), attacks)
        else:
            found = [one() for one in attacks]
        batch.notes.update({name: seen for name, (_, seen) in zip(batch.ids, found, strict=True)})
        return [picture for picture, _ in found]

    def aimed(self, target: "nn.Module", label: int, rule: Any) -> "nn.Module":
        """What is attacked of a classifier's target, where this is not the verdict of all steps.

        Args:
            target: Of the classifier.
            label: The right class, as the target numbers it.
            rule: What decides early; None if nothing does, or the attack does not ask for it.
        """
        del label, rule
        return target

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
        """The adversarial picture, within eps of `picture`; see `run`."""
        return self.run(
            picture, label, target, eps, seed=seed, dataset=dataset, sample_id=sample_id
        )[0]

    def run(
        self,
        picture: np.ndarray,
        label: int,
        target: "nn.Module",
        eps: float,
        *,
        seed: int,
        dataset: str,
        sample_id: str,
        fresh: bool = False,
    ) -> tuple[np.ndarray, AttackFacts]:
        """Attack one picture.

        Args:
            picture: uint8 RGB (H, W, 3).
            label: The right class, as the target numbers it.
            target: float32 images (1, 3, H, W) in [0, 1] -> logits; differentiable.
            eps: Budget in 1/255; 0 gives the picture itself.
            seed: Run seed.
            dataset: Name of the data set.
            sample_id: Id of the sample.
            fresh: Whether equal queries of the target differ, because each draws noise anew.

        Returns:
            The adversarial picture (H, W, 3): uint8 if it is rounded (see `rounding`), else float32
            grey levels from 0 to 255, for 8 bits could not hold so small a change. And what was
            seen on the way.
        """
        import torch

        from bench.perturb.attacks.victim import Victim

        if eps == 0:
            return picture.copy(), AttackFacts()
        device = next(target.parameters()).device
        image = torch.from_numpy(picture.transpose(2, 0, 1)[None] / np.float32(255.0)).to(device)
        truth = torch.tensor([label], device=device)
        victim = Victim(target, label, lambda images: self._stored(images, image, eps), fresh)
        address = eps if isinstance(eps, int) else f"{eps:g}/255"
        with rng.fenced(seed, dataset, sample_id, self.name, address):
            adversarial = self.attacked(image, truth, victim, eps / 255.0).detach()
            broken = ~adversarial.isfinite()
            stored = self._stored(torch.where(broken, image, adversarial), image, eps)
            victim.end(stored)
        pixels = stored[0].permute(1, 2, 0).mul(255.0)
        if not self._rounds(eps):
            return np.asarray(pixels.clamp(0, 255).cpu(), dtype=np.float32), victim.seen
        return np.asarray(pixels.round().clamp(0, 255).cpu(), dtype=np.uint8), victim.seen

    @abstractmethod
    def attacked(self, images: "Tensor", labels: "Tensor", target: Any, eps: float) -> "Tensor":
        """Adversarial images, float32 (N, 3, H, W) in [0, 1], within eps of `images`.

        Args:
            images: float32 (N, 3, H, W) in [0, 1].
            labels: int64 (N,).
            target: What is attacked, a `Victim`.
            eps: Budget on the range [0, 1].
        """

    def _rounds(self, eps: float) -> bool:
        usual = self.norm == "linf" and isinstance(eps, int)
        return usual if self.rounding is None else self.rounding

    def _stored(self, images: "Tensor", clean: "Tensor", eps: float) -> "Tensor":
        """Images as they will be stored, on [0, 1]: rounded, if they are, within eps of `clean`."""
        if not self._rounds(eps):
            return images
        levels = images.mul(255.0).round()
        if self.norm == "linf" and isinstance(eps, int):
            return levels.clamp(0, 255) / 255.0
        origin = clean.mul(255.0).round()
        if self.norm == "linf":
            whole = float(int(eps))
            return (origin + (levels - origin).clamp(-whole, whole)).clamp(0, 255) / 255.0
        # Rounding may lengthen a change; the longest that fits is taken.
        change = images.mul(255.0) - origin
        for percent in range(100, -1, -2):
            short = (change * (percent / 100)).round()
            if float(short.square().sum().sqrt()) <= eps:
                break
        return (origin + short).clamp(0, 255) / 255.0


@dataclass(frozen=True)
class BuiltIn(Attack):
    """What all attacks of the bench have in common.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        norm: As of `Attack`.
        rounding: As of `Attack`.
        eot: Gradients that are averaged at each query ("expectation over transformation", Athalye
            et al. 2018, arXiv 1802.00420): for classifiers that draw noise anew.
    """

    name: str = ""
    norm: Norm = "linf"
    rounding: bool | None = None
    eot: Annotated[int, Field(ge=1)] = 1
    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1

    def parameters(self) -> dict[str, Any]:
        """All that determines the pixels besides eps and the target."""
        return self.all_parameters()

    def all_parameters(self) -> dict[str, Any]:
        """Name, kind, version and every field."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        said = {name: value for name, value in own.items() if value is not None}
        return {"name": self.name, "kind": self.kind, "version": self.version} | said

    def unusual(self, *but: str) -> dict[str, Any]:
        """The fields that are not as usual, less those named."""
        own = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}
        return {k: value for k, (value, usual) in own.items() if k not in but and value != usual}


# ------------------------------------------------------------------------------------------------
# Attacks on classifiers that draw noise anew, judged on several draws (noise policy B).
#
# EmoDC's noise is a public bank by default: the attacker knows it, and the verdict is a function of
# the picture (policy A). Under this policy each query of the attack draws its own noise, and so
# does each of the verdicts, of which there are ten.


DRAWS = 10


@dataclass(frozen=True)
class FreshNoise(Perturbation):
    """Rows are verdicts: `draws` of each picture, each on noise of its own.

    Attributes:
        attack: What is done to the pictures; None leaves them clean, which says what the same
            number of draws costs without an attack.
        draws: Verdicts on each picture.
    """

    attack: Attack | None = None
    draws: int = DRAWS
    family = "draws"
    limit = "attack_limit"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The attack's."""
        return "clean" if self.attack is None else self.attack.name

    @property
    def source(self) -> str:  # type: ignore[override]
        """The attack's."""
        return "" if self.attack is None else self.attack.source

    @property
    def evaluation_fields(self) -> frozenset[str]:  # type: ignore[override]
        """The attack's."""
        return frozenset() if self.attack is None else self.attack.evaluation_fields

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """The attack's."""
        return ("0",) if self.attack is None else self.attack.usual_levels

    @property
    def queries(self) -> int:
        """A row's share of the attack's."""
        return 0 if self.attack is None else -(-self.attack.queries // self.draws)

    @property
    def every_step(self) -> bool:
        """Whether the attack asks for every step."""
        return self.attack is not None and self.attack.every_step

    @property
    def at_rule(self) -> bool:  # type: ignore[override]
        """The attack's."""
        return self.attack is not None and self.attack.at_rule

    @override
    def level(self, asked: Any) -> str:
        return super().level(asked) if self.attack is None else self.attack.level(asked)

    @override
    def parameters(self) -> dict[str, Any]:
        own = {"name": self.name} if self.attack is None else self.attack.parameters()
        return own | {"noise": "fresh", "draws": self.draws}

    @override
    def rows(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{name}#{draw}" for name in sample_ids for draw in range(self.draws))

    @override
    def sample_of(self, row: str) -> str:
        return row.rpartition("#")[0]

    @override
    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """A picture is attacked once for all of its rows in a batch."""
        if self.attack is None:
            return list(batch.pictures)
        places: dict[str, int] = {}
        for place, row in enumerate(batch.ids):
            places.setdefault(self.sample_of(row), place)
        once = Batch(
            [batch.pictures[place] for place in places.values()],
            list(places),
            [batch.labels[place] for place in places.values()],
            rule=batch.rule,
        )
        changed = self.attack.applied(once, level, address, classifier, fresh=True)
        found = dict(zip(places, changed, strict=True))
        return [found[self.sample_of(row)] for row in batch.ids]
