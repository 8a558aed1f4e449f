"""The ablation's tables: EmoDC's variants with each other, and fixed against adaptive margins."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from bench.report.results import Results, ResultSet
from bench.report.spec import Difference, Number, TableSpec, Value, p_text
from bench.report.tables import caption, interval_name, setting
from bench.report.variants import Variant, VariantPair, base_of, variants
from bench.stats import detectable_difference, holm


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
    tests = [(name, p) for name, pair in pairs.items() for p in pair.p_values]
    adjusted = holm([p for _, p in tests])
    largest: dict[str, float] = {}
    for (name, _), p in zip(tests, adjusted, strict=True):
        largest[name] = max(largest.get(name, 0.0), p)
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
    tested = f"McNemar's test of each seed, Holm over the {len(tests)} tests of this table"
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
