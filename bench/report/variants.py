"""EmoDC's variants in a group: what each was trained with, and how it compares with another.

The matched control counts as one: it is what EmoDC's trunk and budget make without a denoiser.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.classifiers.kinds import kind_of
from bench.report.outcomes import Outcomes, difference, recognised, shared_samples
from bench.report.results import Result, ResultSet
from bench.report.spec import AccuracyEstimate, Difference
from bench.stats import mcnemar
from bench.stats.bootstrap import two_level_ratio
from bench.store.checkpoints import nearest_base

_KINDS = {
    "base": "plain denoising",
    "hard_negative": "clipped hard negatives",
    "margin": "fixed margin",
    "amdit": "adaptive margin",
    "cross_entropy": "denoising and cross-entropy of errors",
}
_PROMPTS = {"positive": "right", "null": "null", "non_class": "non-class"}
#: Said only where they differ from these, the config's defaults.
_USUAL = {"negatives": "all", "reduce": "mean", "limit": None, "detach_margin": True}


@dataclass(frozen=True, eq=False)
class Variant:
    """An EmoDC of a group on clean pictures.

    Attributes:
        classifier: Its name in the config.
        clean: Its complete results on clean pictures, one per training seed.
    """

    classifier: str
    clean: Result

    @property
    def name(self) -> str:
        """As tables show it."""
        return self.clean.name

    @property
    def training(self) -> dict[str, Any]:
        """What it was trained with: the same for all seeds, but for `seed` and `seconds`."""
        return self.clean.manifest.training

    @property
    def objective(self) -> dict[str, Any]:
        """The last stage's objective, with its `kind`."""
        found: dict[str, Any] = self.training["stages"][-1]["objective"]
        return found

    @property
    def steps(self) -> int:
        """Training steps of all stages, as planned: an early stop makes fewer."""
        return sum(stage["steps"] for stage in self.training["stages"])

    @property
    def seconds(self) -> float:
        """Training time of all stages, mean over seeds."""
        return fmean(r.manifest.training["seconds"] for r in self.clean.results)

    @property
    def validation(self) -> list[float]:
        """Validation accuracy of each seed."""
        return [r.manifest.validation["accuracy"] for r in self.clean.results]

    @property
    def passed(self) -> int:
        """How many seeds passed the denoiser check."""
        gates = (result.manifest.gate for result in self.clean.results)
        return sum(gate is not None and gate.passed for gate in gates)

    @property
    def control(self) -> bool:
        """Whether it is the matched control, which has a head of its own and predicts no noise."""
        return not kind_of(self.training).reads_prompts

    @property
    def words(self) -> str:
        """The last stage's objective in words, with its parameters."""
        if self.control:
            return "control: cross-entropy head on the same trunk"
        parts = [_KINDS.get(self.objective["kind"], self.objective["kind"])]
        for key, value in self.objective.items():
            if key == "kind" or (key in _USUAL and _USUAL[key] == value):
                continue
            if key == "c_nn":
                parts.append(f"d_nn of the {_PROMPTS.get(value, value)} prompt")
            elif key == "margin":
                parts[0] += f" {value:g}"
            else:
                parts.append(f"{key.replace('_', ' ')} {_plain(value)}")
        return ", ".join(parts)

    @property
    def evaluation(self) -> Any:
        """How its errors are measured."""
        return self.clean.manifest.inputs.get("evaluation")


@dataclass(frozen=True, eq=False)
class VariantPair:
    """Two variants on the training seeds and samples that both have.

    Attributes:
        first: One variant.
        second: The one it is compared with.
    """

    first: Variant
    second: Variant

    @cached_property
    def seeds(self) -> list[int]:
        """The training seeds of both, ascending."""
        return sorted(set(self.first.clean.seeds) & set(self.second.clean.seeds))

    @cached_property
    def difference(self) -> Difference:
        """Accuracy of the first less that of the second, with the paired two-level interval."""
        return difference(*self._scores(recognised))

    @cached_property
    def relative_d_p(self) -> AccuracyEstimate | None:
        """The first's d_p in units of the second's, mean over seeds; None without both."""
        one, other = self._scores(_d_p)
        if np.isnan(one).any() or np.isnan(other).any() or not (other > 0).all():
            return None
        ratio = float((one.mean(axis=1) / other.mean(axis=1)).mean())
        return AccuracyEstimate(ratio, two_level_ratio(one, other))

    @cached_property
    def p_values(self) -> list[float]:
        """McNemar's exact p of each seed: seeds share pictures, so their rows are not pooled."""
        one, other = self._scores(recognised)
        return [mcnemar(a, b) for a, b in zip(one, other, strict=True)]

    @cached_property
    def discordant(self) -> float:
        """Share of samples that exactly one of the two recognises, mean over seeds."""
        one, other = self._scores(recognised)
        return float((one != other).mean())

    @cached_property
    def n(self) -> int:
        """Number of samples."""
        return len(self._outcomes[0][0])

    @cached_property
    def _outcomes(self) -> tuple[list[Outcomes], list[Outcomes]]:
        """The outcomes of both per seed, on the same samples."""
        arms = [
            [r.outcomes for r in variant.clean.results if r.cell.seed in self.seeds]
            for variant in (self.first, self.second)
        ]
        shared = shared_samples([*arms[0], *arms[1]])
        return shared[: len(self.seeds)], shared[len(self.seeds) :]

    def _scores(
        self, score: Callable[[Sequence[Outcomes]], NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The scores of both, (seeds, samples)."""
        return score(self._outcomes[0]), score(self._outcomes[1])


def variants(group: ResultSet) -> list[Variant]:
    """The group's EmoDCs that have a complete clean cell and say how they were trained.

    Returns:
        In plan order, with the matched control; none unless there is more than one EmoDC.
    """
    found = []
    for classifier in group.names:
        clean = group.clean(classifier)
        if clean is None:
            continue
        made_by = [r.manifest.training for r in clean.results]
        if all(kind_of(m).staged and m.get("stages") for m in made_by):
            found.append(Variant(classifier, clean))
    return found if sum(not variant.control for variant in found) > 1 else []


def base_of(variant: Variant, found: Sequence[Variant]) -> Variant | None:
    """The `nearest_base` with a shared seed, evaluated alike.

    Returns:
        None if there is no such, or it is the variant itself.
    """
    alike = [
        other
        for other in found
        if not other.control
        and other.evaluation == variant.evaluation
        and set(other.clean.seeds) & set(variant.clean.seeds)
    ]
    at = nearest_base(variant.training, [other.training for other in alike])
    return None if at is None or alike[at] is variant else alike[at]


def _d_p(several: Sequence[Outcomes]) -> NDArray[np.float64]:
    return np.stack([own.d_p for own in several]).astype(np.float64)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
