"""What a decision costs: rules replayed on traces, for every classifier; early ones attacked."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isclose

import numpy as np

from bench.report.outcomes import AccuracyEstimate, Number, share
from bench.report.replay import (
    Compared,
    CostCurve,
    Single,
    TraceReader,
    aligned,
    compare,
    cost_curves,
    in_flops,
    mean_over_budgets,
    replay,
    singles,
)
from bench.report.results import Result, ResultSet
from bench.report.spec import TableSpec, Value, captioned, counts_header, interval_name
from bench.report.tables.attacks import about
from bench.rules import FULL, REPLAYED
from bench.store.store import Store
from bench.util.errors import UserError

AREA = "mean over costs %"
#: Orders of visiting that an attacker did not know, over which an agreement is a mean.
_SECRET = 10
_ATTACKS = ("slow_down", "mislead")


def cost_table(group: ResultSet, store: Store) -> TableSpec | None:
    """A row per classifier and rule.

    Returns:
        None if the group has no complete trace of clean pictures.
    """
    curves = cost_curves(group, store)
    if not curves:
        return None
    others = singles(group, curves, store)
    flops = in_flops(curves, others)
    areas = _areas(group, curves, others, flops)
    costs = ("evaluations/image", "steps/image", "GFLOPs/image", "seconds/image")
    header = (
        *("classifier", "rule", *counts_header(group), *costs),
        *("accuracy %", "agreement %", AREA),
    )
    rows: list[tuple[Value, ...]] = []
    used: list[Result] = []
    for classifier, name in group.names.items():
        clean = group.clean(classifier)
        if clean is None:
            continue
        if classifier in curves:
            used.append(clean)
            for rule in curves[classifier].rules:
                counts = (str(rule.n), str(rule.seeds)) if group.several else (str(rule.n),)
                seconds = _seconds(clean, rule, curves[classifier])
                area = areas.get(classifier) if rule.decision == FULL else None
                rows.append((name, rule.label, *counts, *_row(rule, seconds), area))
        elif classifier in others:
            used.append(clean)
            m, one = clean, others[classifier]
            counts = (str(m.n), str(len(m.seeds))) if group.several else (str(m.n),)
            cost = (Number(one.evaluations, 1), None, _number(one.flops, 3), _number(m.seconds, 4))
            rows.append((name, "as it is", *counts, *cost, one.accuracy, None, None))
    unit = "FLOPs" if flops else "evaluations"
    about = (
        "Clean pictures: accuracy in percent against the cost of a decision, by replayed rules; "
        f"mean over costs: over {unit} between the cheapest and the dearest"
    )
    return captioned(
        group,
        *("steps", "Accuracy against cost", about, used, header, rows),
        intervals=f"{interval_name(group)} intervals",
        remarks=list(_remarks(group, curves)),
    )


def attacked_decisions_table(group: ResultSet, store: Store) -> TableSpec | None:
    """What the sequential test spends and decides on attacked pictures, and on these when clean.

    Replayed where traces are complete. Cells that were decided live have what was spent, and
    nothing is known of all steps.

    Returns:
        None if decisions were not attacked, by `slow_down` or `mislead`.
    """
    if not any(about(r).get("kind") in _ATTACKS for r in group.results):
        return None
    reader, rows, used = TraceReader(store), list[tuple[Value, ...]](), list[Result]()
    for classifier, name in group.names.items():
        attacks = group.perturbations("attack")
        under = [(attack, own) for attack in attacks for own in group.under(classifier, attack)]
        if not under or not under[0][1].manifest.timesteps:
            continue
        clean = group.baseline(classifier, under[0][0])
        for attack, own in [("clean", clean), *under]:
            if own is None:
                continue
            used.append(own)
            shown = attack if attack == "clean" else f"{attack} {own.cell.severity}"
            counts = (str(own.n), str(len(own.seeds))) if group.several else (str(own.n),)
            rows.append((name, shown, *counts, *_early(own, group, reader)))
    if not rows:
        return None
    header = (
        *("classifier", "pictures", *counts_header(group)),
        *("evaluations/image", "% of all", "agreement %", "accuracy %", "all steps %"),
        "secret order %",
    )
    said = (
        f"Early decisions under attack, by the run's rule or replayed (delta {REPLAYED.delta:g}): "
        "evaluations, agreement with all steps, and the accuracy of both, in percent; agreement, "
        f"too, over {_SECRET} orders of visiting that the attacker did not know"
    )
    return captioned(
        group,
        *("attacked-decisions", "Early decisions under attack", said, used, header, rows),
        intervals=f"{interval_name(group)} intervals",
        remarks=["Delta bounds disagreement over orders that an attacker does not know."],
    )


def _early(own: Result, group: ResultSet, reader: TraceReader) -> tuple[Value, ...]:
    """Evaluations, their share, agreement, accuracy early and by all steps; secret orders."""
    clean = group.clean(own.cell.classifier)
    try:
        if own.cell.about.clean and clean is not None:
            stored = {result.cell.id: result for result in clean.results}
            whole = [stored[result.cell.id] for result in own.results]
            sources = [
                reader.read(result.manifest, result.outcomes).among(np.sort(part.outcomes.ids))
                for result, part in zip(whole, own.results, strict=True)
            ]
        else:
            sources = [reader.read(result.manifest, result.outcomes) for result in own.results]
        sources = aligned(sources)
        full, early = compare(sources, [FULL, REPLAYED])
    except UserError:  # decided while it was measured, or damaged
        manifest = own.manifest
        every = len(manifest.timesteps) * len(manifest.classes)
        spent = own.evaluations
        percent = None if spent is None else Number(100 * spent / every, 1)
        return _number(spent, 1), percent, None, own.accuracy, None, None
    all_steps, others = replay(sources, FULL), range(1, _SECRET + 1)
    anew = [[replace(one, seed=one.seed + k) for one in sources] for k in others]
    secret = np.mean([replay(one, REPLAYED).agrees(all_steps) for one in anew], axis=0)
    both = early.accuracy, full.accuracy
    return early.evaluations, early.share, early.agreement, *both, share(secret)


def _row(rule: Compared, seconds: Number | None) -> tuple[Value, ...]:
    costs = (rule.evaluations, rule.passes, rule.flops, seconds)
    return (*costs, rule.accuracy, rule.agreement)


def _seconds(clean: Result, rule: Compared, curve: CostCurve) -> Number | None:
    """Measured for whole decisions only: those of a trace, or of the picture itself."""
    stored = clean.evaluations
    if stored is None or rule not in curve.full or not isclose(rule.evaluations.value, stored):
        return None
    return _number(clean.seconds, 4)


def _areas(
    group: ResultSet, curves: Mapping[str, CostCurve], others: Mapping[str, Single], flops: bool
) -> dict[str, AccuracyEstimate]:
    """Accuracy over cost, from the cheapest to the dearest full decision; by classifier."""
    costs = {c: [_cost(rule, flops) for rule in curve.full] for c, curve in curves.items()}
    alone = [one.flops if flops else one.evaluations for one in others.values()]
    known = [cost for own in costs.values() for cost in own] + [cost for cost in alone if cost]
    if min(known) == max(known):
        return {}
    span, chance = (min(known), max(known)), 1 / len(group.classes)
    return {
        c: mean_over_budgets(costs[c], [rule.right for rule in curve.full], span, chance)
        for c, curve in curves.items()
    }


def _cost(rule: Compared, flops: bool) -> float:
    return rule.flops.value if flops and rule.flops is not None else rule.evaluations.value


def _remarks(group: ResultSet, curves: Mapping[str, CostCurve]) -> Iterator[str]:
    without = [c for c, curve in curves.items() if curve.errors and not curve.profile]
    if without:
        names = ", ".join(group.names[c] for c in without)
        yield f"Sequential tests without a gap profile of validation pictures: {names}."


def _number(value: float | None, digits: int) -> Number | None:
    return None if value is None else Number(value, digits)
