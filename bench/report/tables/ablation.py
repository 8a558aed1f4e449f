"""Variants: what each was trained with, how they compare, and their tables.

Of EmoDC, where the matched control counts as one: it is what EmoDC's trunk and budget make without
a denoiser. Of networks of clips, the parts of HDF.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.classifiers.kinds import kind_of
from bench.classifiers.kinds.clip_network import DamSettings, DsmSettings
from bench.report.outcomes import (
    AccuracyEstimate,
    Difference,
    Number,
    Outcomes,
    difference,
    p_text,
    recognised,
    shared_samples,
)
from bench.report.results import Result, Results, ResultSet
from bench.report.spec import TableSpec, Value, caption, interval_name, setting
from bench.stats import detectable_difference, holm, mcnemar
from bench.stats.bootstrap import two_level_ratio
from bench.store.checkpoints import nearest_base

# ------------------------------------------------------------------------------------------------
# What each was trained with, and how it compares with another
# ------------------------------------------------------------------------------------------------

_KINDS = {
    "base": "plain denoising",
    "hard_negative": "clipped hard negatives",
    "margin": "fixed margin",
    "amdit": "adaptive margin",
    "cross_entropy": "denoising and cross-entropy of errors",
}
_PROMPTS = {"positive": "right", "null": "null", "non_class": "non-class"}
#: Said only where they differ from these, the config's defaults.
_USUAL_PARTS = DamSettings().model_dump() | DsmSettings().model_dump()
_USUAL = {"negatives": "all", "reduce": "mean", "limit": None, "detach_margin": True}


@dataclass(frozen=True, eq=False)
class Variant:
    """An EmoDC of a group on clean pictures, or a network on clean clips.

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
        return sum(stage["steps"] for stage in self.training.get("stages", [self.training]))

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


def _largest_adjusted(pairs: Mapping[str, VariantPair]) -> tuple[dict[str, float], int]:
    """Of each pair the largest p over its seeds, by Holm over all tests; how many those are."""
    tests = [(name, p) for name, pair in pairs.items() for p in pair.p_values]
    largest: dict[str, float] = {}
    for (name, _), p in zip(tests, holm([p for _, p in tests]), strict=True):
        largest[name] = max(largest.get(name, 0.0), p)
    return largest, len(tests)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


# ------------------------------------------------------------------------------------------------
# Tables
# ------------------------------------------------------------------------------------------------


def ablation_tables(results: Results) -> list[TableSpec]:
    """Per group with more than one EmoDC variant: `ablation`, and `margins` if it has both kinds.

    Choosing the best of several and quoting its score flatters it; so `margins` chooses on the
    validation split, and compares on the test split what was chosen.
    """
    specs = []
    for group in results.groups:
        found = variants(group)
        if found:
            specs.append(ablation_table(group, found))
            fixed, adaptive = families(found)
            if fixed and adaptive:
                specs.append(margins_table(group, found))
        for number, arms in enumerate(clip_variants(group)):
            specs.append(clips_table(group, arms, number))
    return specs


def ablation_table(group: ResultSet, found: Sequence[Variant]) -> TableSpec:
    """One row per variant: what it was trained with, what it reached, how it compares with Base."""
    header = (
        "variant",
        "objective",
        "seeds",
        "n",
        "accuracy %",
        "UAR %",
        "validation %",
        "d_p",
        "d_p / Base",
        "denoiser check",
        "steps",
        "seconds",
        "difference to Base",
        "McNemar p",
    )
    pairs = pairs_with_base(found)
    bases = {pair.second.classifier for pair in pairs.values()}
    largest, tests = _largest_adjusted(pairs)
    rows: list[tuple[Value, ...]] = []
    for variant in found:
        m, pair = variant.clean, pairs.get(variant.classifier)
        rows.append(
            (
                variant.name,
                variant.words,
                str(len(m.seeds)),
                str(m.n),
                m.accuracy,
                m.uar,
                _validation(variant),
                m.d_p,
                "1" if variant.classifier in bases else _relative(pair),
                _gate(variant),
                str(variant.steps),
                f"{variant.seconds:.0f}",
                None if pair is None else _tested(pair, largest[variant.classifier]),
                None if pair is None else p_text(largest[variant.classifier]),
            )
        )
    about = "EmoDC's variants on clean pictures, against the Base of equal budget"
    tested = f"McNemar's test of each seed, Holm over the {tests} tests of this table"
    text = _caption(group, about, found, tested)
    name, title = group.file_name("ablation"), f"Ablation, {group.slug}"
    return TableSpec(
        name, title, text, header, tuple(rows), chapter="ablation", remarks=_remarks(group)
    )


def margins_table(group: ResultSet, found: Sequence[Variant]) -> TableSpec:
    """The fixed and the adaptive margin that validation chooses, compared on the test split."""
    header = (
        "family",
        "candidates",
        "chosen",
        "seeds",
        "n",
        "validation %",
        "accuracy %",
        "d_p / Base",
        "steps",
        "difference to fixed",
        "McNemar p by seed",
        "p (Holm)",
    )
    pairs = pairs_with_base(found)
    chosen = [chosen_on_validation(family) for family in families(found)]
    rows: list[tuple[Value, ...]] = []
    for title, family, best in zip(
        ("fixed margin", "adaptive margin"), families(found), chosen, strict=True
    ):
        passing = sum(_all_passed(variant) for variant in family)
        row: list[Value] = [title, f"{passing} of {len(family)}"]
        if best is None:
            row += [None] * (len(header) - len(row))
        else:
            m = best.clean
            row += [f"{best.name}: {best.words}", str(len(m.seeds)), str(m.n), _validation(best)]
            row += [m.accuracy, _relative(pairs.get(best.classifier)), str(best.steps)]
            row += [None] * 3
        rows.append(tuple(row))
    about = "Fixed and adaptive margins, chosen on the validation split alone"
    remarks = list(_remarks(group))
    fixed, adaptive = chosen
    if fixed is not None and adaptive is not None:
        pair = VariantPair(adaptive, fixed)
        if pair.seeds:
            adjusted = holm(pair.p_values)
            texts = (", ".join(map(p_text, ps)) for ps in (pair.p_values, adjusted))
            rows[1] = (*rows[1][:-3], _tested(pair, max(adjusted)), *texts)
            remarks.append(_power(pair))
    used = [variant for variant in chosen if variant is not None]
    name, title = group.file_name("margins"), f"Fixed and adaptive margins, {group.slug}"
    text = _caption(group, about, used, "McNemar's test of each seed, Holm over seeds")
    return TableSpec(
        name, title, text, header, tuple(rows), chapter="ablation", remarks=tuple(remarks)
    )


def clip_variants(group: ResultSet) -> list[list[Variant]]:
    """Networks of clips that differ in parts of HDF alone, the plain one first."""
    alike: dict[str, list[Variant]] = {}
    for classifier in group.names:
        clean = group.clean(classifier)
        if clean is None or not all(kind_of(r.manifest.training).parts for r in clean.results):
            continue
        variant = Variant(classifier, clean)
        left_out = {*kind_of(variant.training).parts, "seed", "seconds"}
        rest = {k: v for k, v in variant.training.items() if k not in left_out}
        alike.setdefault(repr(sorted(rest.items())), []).append(variant)
    found = [sorted(arms, key=lambda own: bool(_parts(own))) for arms in alike.values()]
    return [arms for arms in found if len(arms) > 1 and not _parts(arms[0])]


def _parts(variant: Variant) -> list[str]:
    """Parts of HDF in words; of other than its usual settings with these."""
    said = []
    for key, name in kind_of(variant.training).parts.items():
        own = variant.training.get(key)
        if not own:
            continue
        unusual = []
        if isinstance(own, dict):
            unusual = [f"{k} {_plain(v)}" for k, v in own.items() if v != _USUAL_PARTS.get(k)]
        said.append(" ".join([name, *([f"({', '.join(unusual)})"] if unusual else [])]))
    return said


def clips_table(group: ResultSet, arms: Sequence[Variant], number: int) -> TableSpec:
    """A row per network: its parts, what it reached, how it compares with the plain one."""
    plain, *others = arms
    pairs = {own.classifier: VariantPair(own, plain) for own in others}
    pairs = {name: pair for name, pair in pairs.items() if pair.seeds}
    largest, tests = _largest_adjusted(pairs)
    rows: list[tuple[Value, ...]] = []
    for variant in arms:
        m, pair = variant.clean, pairs.get(variant.classifier)
        rows.append(
            (
                variant.name,
                " + ".join(_parts(variant)) or "none",
                str(len(m.seeds)),
                str(m.n),
                m.accuracy,
                m.uar,
                _validation(variant),
                str(variant.steps),
                f"{variant.seconds:.0f}",
                None if pair is None else _tested(pair, largest[variant.classifier]),
                None if pair is None else p_text(largest[variant.classifier]),
            )
        )
    header = (
        *("network", "parts", "seeds", "n", "accuracy %", "UAR %", "validation %", "steps"),
        *("seconds", f"difference to {plain.name}", "McNemar p"),
    )
    about = f"What parts of HDF add to {plain.name}, at equal steps; SAM takes two passes a step"
    tested = f"McNemar's test of each seed, Holm over the {tests} tests of this table"
    name = group.file_name("clips-ablation" if number == 0 else f"clips-ablation-{number + 1}")
    title = f"Ablation of {plain.name}, {group.slug}"
    text, remarks = _caption(group, about, arms, tested), _remarks(group)
    return TableSpec(name, title, text, header, tuple(rows), chapter="ablation", remarks=remarks)


def pairs_with_base(found: Sequence[Variant]) -> dict[str, VariantPair]:
    """Each variant beside its Base, by classifier; those without one are left out."""
    bases = ((variant, base_of(variant, found)) for variant in found)
    return {v.classifier: VariantPair(v, base) for v, base in bases if base is not None}


def families(found: Sequence[Variant]) -> tuple[list[Variant], list[Variant]]:
    """The fixed margins, and the adaptive ones whose margin follows the right prompt's error."""
    hinged = [v for v in found if not v.control]
    fixed = [v for v in hinged if v.objective["kind"] == "margin"]
    adaptive = [v for v in hinged if v.objective["kind"] == "amdit"]
    return fixed, [v for v in adaptive if v.objective.get("c_nn") == "positive"]


def chosen_on_validation(family: Sequence[Variant]) -> Variant | None:
    """The variant with the best mean validation accuracy among those that passed every check."""
    passing = [variant for variant in family if _all_passed(variant)]
    return max(passing, key=lambda variant: fmean(variant.validation), default=None)


def _tested(pair: VariantPair, p: float) -> Difference:
    return replace(pair.difference, p=p)


def _all_passed(variant: Variant) -> bool:
    return variant.passed == len(variant.clean.results)


def _validation(variant: Variant) -> str:
    """Mean over seeds, and their range."""
    figures = [100 * accuracy for accuracy in variant.validation]
    text = f"{fmean(figures):.1f}"
    return text if len(figures) == 1 else f"{text} ({min(figures):.1f} to {max(figures):.1f})"


def _relative(pair: VariantPair | None) -> Number | None:
    if pair is None or pair.relative_d_p is None:
        return None
    value, interval = pair.relative_d_p.value, pair.relative_d_p.interval
    return Number(value, 3, interval)


def _gate(variant: Variant) -> str | None:
    if variant.control:
        return None
    return f"{variant.passed} of {len(variant.clean.results)}"


def _power(pair: VariantPair) -> str:
    """What the comparison could have shown at all."""
    share = f"{100 * pair.discordant:.1f}% of the {pair.n} pictures"
    found = detectable_difference(pair.n, pair.discordant)
    if found is None:
        return f"The two differ on {share} per seed: too few to show any difference."
    return (
        f"The two differ on {share} per seed: one seed's test at level 0.05 finds a difference of "
        f"{100 * found:.1f} points with a probability of 80%, a smaller one more rarely."
    )


def _caption(group: ResultSet, about: str, used: Sequence[Variant], tested: str) -> str:
    where = setting(group, [variant.clean for variant in used]) if used else ""
    return caption(about, where, f"{interval_name(group)} intervals", tested)


def _remarks(group: ResultSet) -> tuple[str, ...]:
    one = "With one seed, intervals and tests say nothing about another training."
    return () if group.several else (one,)
