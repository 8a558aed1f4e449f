"""The table of clean pictures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from bench.report.outcomes import AccuracyEstimate, Number, joined, share
from bench.report.ranking import FEWEST, RankedScores
from bench.report.results import (
    CLASS,
    Attribute,
    Result,
    Results,
    ResultSet,
    attributes,
    classes,
    pool,
)
from bench.report.spec import (
    Swept,
    TableSpec,
    Value,
    behind,
    caption,
    captioned,
    counts,
    counts_header,
    interval_name,
    reasons,
    seeds_text,
    sizes,
)
from bench.report.tables.ablation import variants
from bench.stats import Interval, SampleScores, range_of_proportions
from bench.store.store import Store


def clean_table(group: ResultSet) -> TableSpec:
    """Everything measured on clean pictures, one row per classifier."""
    shares = ("accuracy %", "UAR %", "macro-F1 %")
    header = (
        "classifier",
        *counts_header(group),
        *shares,
        "d_p",
        "evaluations/image",
        "seconds/image",
    )
    rows: list[tuple[Value, ...]] = []
    used: list[Result] = []
    for classifier, name in group.names.items():
        result = group.clean(classifier)
        if result is None:
            rows.append((name, *[None] * (len(header) - 1)))
            continue
        used.append(result)
        m = result
        means = (m.uar, m.macro_f1, m.d_p)
        costs = (_number(m.evaluations, 1), _number(m.seconds, 4))
        counts = (str(m.n), str(len(m.seeds))) if group.several else (str(m.n),)
        rows.append((name, *counts, m.accuracy, *means, *costs))
    about = "Clean pictures: accuracy (WAR), UAR and macro-F1, d_p, cost"
    clean = [group.clean(classifier) for classifier in group.names]
    ranked = {
        "accuracy %": [RankedScores.of(result) for result in clean],
        "UAR %": [RankedScores.balanced(result) for result in clean],
    }
    return captioned(
        group,
        *("clean", "Clean pictures", about, used, header, rows, ranked),
        intervals=f"{interval_name(group)} intervals",
    )


def _number(value: float | None, digits: int) -> Number | None:
    return None if value is None else Number(value, digits)


# ------------------------------------------------------------------------------------------------
# Groups of pictures: accuracy of each, and the gap between the best and the worst.


def group_tables(group: ResultSet, swept: Mapping[str, Swept], store: Store) -> list[TableSpec]:
    """A table of each attribute; before them, if there are several, their gaps at a glance."""
    if not swept:
        return []
    label = classes(group)
    found = [*([label] if len(label.values) > 1 else []), *attributes(group, store)]
    gaps = [gaps_table(group, swept, found)] if len(found) > 1 else []
    return [*gaps, *(group_table(group, swept, own) for own in found)]


def gaps_table(
    group: ResultSet, swept: Mapping[str, Swept], found: Sequence[Attribute]
) -> TableSpec:
    """The worst-best gap of every attribute, on clean pictures and under corruption."""
    header = ("classifier", "pictures", *counts_header(group), *(own.name for own in found))
    rows: list[tuple[Value, ...]] = []
    for own in swept.values():
        masks = [attribute.masks(own.ids) for attribute in found]
        for pictures, scores in _conditions(own):
            gaps = (_gap([scores[:, mask] for mask in each]) for each in masks)
            rows.append((own.name, pictures, *counts(group, own), *gaps))
    about = "Accuracy of the best group of pictures less that of the worst, in points, by attribute"
    return captioned(
        group,
        *("gaps", "Gaps between groups", about, behind(group), header, rows),
        intervals="95% simultaneous intervals",
        remarks=[reasons(swept)],
    )


def group_table(group: ResultSet, swept: Mapping[str, Swept], attribute: Attribute) -> TableSpec:
    """Accuracy of each value's pictures, for classes their recall."""
    masks = {classifier: attribute.masks(own.ids) for classifier, own in swept.items()}
    each_n = [[int(mask.sum()) for mask in same] for same in zip(*masks.values(), strict=True)]
    columns = [f"{v} (n {sizes(c)})" for v, c in zip(attribute.values, each_n, strict=True)]
    header = ("classifier", "pictures", *counts_header(group), *columns, "gap")
    rows: list[tuple[Value, ...]] = []
    for classifier, own in swept.items():
        for pictures, scores in _conditions(own):
            parts = [scores[:, mask] for mask in masks[classifier]]
            each = [share(part) if part.size else None for part in parts]
            rows.append((own.name, pictures, *counts(group, own), *each, _gap(parts)))
    what = "Recall of each class" if attribute.name == CLASS else "Accuracy by group of pictures"
    about = f"{what} in percent; gap: the best less the worst, in points"
    remarks = [reasons(swept)]
    small = [v for v, c in zip(attribute.values, each_n, strict=True) if min(c) < FEWEST]
    if small:
        remarks.append(f"Not in the gap, with under {FEWEST} pictures: {', '.join(small)}.")
    lacking = max(
        len(own.ids) - int(np.any(masks[classifier], axis=0).sum())
        for classifier, own in swept.items()
    )
    if lacking:
        remarks.append(f"{lacking} pictures have no {attribute.name} and are in no group.")
    title = f"Groups by {attribute.name}"
    name = f"groups-{attribute.name}"
    return captioned(
        group,
        *(name, title, about, behind(group), header, rows),
        intervals=f"{interval_name(group)} intervals, of gaps simultaneous",
        remarks=remarks,
    )


def _conditions(own: Swept) -> list[tuple[str, SampleScores]]:
    found = [("clean", own.clean), ("all severities", own.mean)]
    return [(pictures, scores) for pictures, scores in found if scores is not None]


def _gap(parts: Sequence[SampleScores]) -> Number | None:
    """In points; None for fewer than two groups that are large enough."""
    large = [part for part in parts if part.shape[1] >= FEWEST]
    if len(large) < 2:
        return None
    means, n = [float(part.mean()) for part in large], [part.shape[1] for part in large]
    successes = [min(mean * size, size) for mean, size in zip(means, n, strict=True)]
    found = range_of_proportions(successes, n)
    interval = Interval(100 * found.low, 100 * found.high)
    return Number(100 * (max(means) - min(means)), 1, interval)


# ------------------------------------------------------------------------------------------------
# Classifiers, and EmoDC's variants, across data sets.


Rows = Mapping[str, tuple[str, ...]]  # by classifier, what its row begins with


def across_tables(results: Results) -> list[TableSpec]:
    """Clean accuracy and UAR by classifier and data set; none unless one was on two of them."""
    groups = [group for group in results.groups if group.perturbations("clean")]
    names: dict[str, tuple[str, ...]] = {}
    objectives: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for classifier, name in group.names.items():
            # A denoiser check that failed anywhere is said.
            names[classifier] = (max(name, *names.get(classifier, ("",)), key=len),)
        for variant in variants(group):
            objectives[variant.classifier] = (*names[variant.classifier], variant.words)
    found = []
    if _several(groups, names):
        title = "Classifiers across data sets"
        found.append(_table("across", title, groups, ("classifier",), names))
    if _several(groups, objectives):
        title = "EmoDC's variants across data sets"
        found.append(_table("across-variants", title, groups, ("variant", "objective"), objectives))
    return found


def folds_tables(results: Results) -> list[TableSpec]:
    """Per data set that was measured in several folds: each fold, their mean, and all pooled.

    The folds of a data set have names that differ in the number behind "_fold".
    """
    experiments: dict[tuple[str, int], dict[int, ResultSet]] = {}
    for group in results.groups:
        named = _FOLD.search(group.dataset)
        if named is not None and group.perturbations("clean"):
            name = _FOLD.sub("_folds", group.dataset)
            experiments.setdefault((name, group.seed), {})[int(named[1])] = group
    several = len({name for name, _ in experiments}) < len(experiments)
    return [
        _folds_table(f"{name}-seed{seed}" if several else name, dict(sorted(folds.items())))
        for (name, seed), folds in experiments.items()
        if len(folds) > 1
    ]


_FOLD = re.compile(r"_fold(\d+)")
#: What tables over several data sets show, and where results have it.
_MEASURES = (("accuracy (WAR) %", "accuracy"), ("UAR %", "uar"))


def _folds_table(name: str, folds: Mapping[int, ResultSet]) -> TableSpec:
    header = (
        *("classifier", "n", "measure"),
        *(f"fold {number}" for number in folds),
        *("mean of folds", "pooled"),
    )
    rows: list[tuple[Value, ...]] = []
    shown = {c: n for group in folds.values() for c, n in group.names.items()}
    for classifier, title in shown.items():
        each = [group.clean(classifier) for group in folds.values()]
        there = [one for one in each if one is not None]
        seeds = {one.seeds for one in there}
        pooled = None
        if len(there) == len(folds) and len(seeds) == 1:
            by_seed = zip(*(one.each for one in there), strict=True)
            pooled = pool(
                [
                    replace(one, outcomes=joined(own))
                    for one, own in zip(there[0].results, by_seed, strict=True)
                ]
            )
        n = sum(one.n for one in there)
        for measure, field in _MEASURES:
            own = [None if one is None else getattr(one, field) for one in each]
            values = [one.value for one in own if one is not None]
            mean = _mean_of_folds(values) if len(values) == len(folds) else None
            whole = None if pooled is None else getattr(pooled, field)
            rows.append((title, str(n), measure, *own, mean, whole))
    about = (
        "Clean samples by fold; the mean of folds has Student's interval over folds, all pooled "
        "one over samples. Trainings of folds share data, so both are optimistic"
    )
    text = caption(about, intervals="95% intervals")
    return TableSpec(f"folds-{name}", f"Folds of {name}", text, header, tuple(rows))


def _mean_of_folds(values: Sequence[float]) -> AccuracyEstimate:
    mean, k = float(np.mean(values)), len(values)
    reach = float(stdtrit(k - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(k))
    return AccuracyEstimate(mean, Interval(max(0.0, mean - reach), min(1.0, mean + reach)))


def _several(groups: Sequence[ResultSet], rows: Rows) -> bool:
    """Whether a classifier was measured on more than one data set."""
    return any(len({g.dataset for g in groups if g.clean(name)}) > 1 for name in rows)


def _table(
    name: str, title: str, groups: Sequence[ResultSet], first: tuple[str, ...], rows: Rows
) -> TableSpec:
    columns, kept = [], []
    for group in groups:
        clean = [r for r in (group.clean(classifier) for classifier in rows) if r is not None]
        if clean:
            n = sizes([r.n for r in clean])
            columns.append(f"{group.slug} ({len(group.classes)} classes, n {n})")
            kept.append(group)
    found: list[tuple[Value, ...]] = []
    for classifier, beginning in rows.items():
        each = [group.clean(classifier) for group in kept]
        for measure, field in _MEASURES:
            own = (None if r is None else getattr(r, field) for r in each)
            found.append((*beginning, measure, *own))
    intervals = " or ".join(dict.fromkeys(map(interval_name, kept)))
    seeds = "; ".join(f"{group.slug}: {seeds_text(group)}" for group in kept)
    about = (
        "Accuracy and UAR on clean pictures in percent by data set, n in the header; classes "
        "differ, so columns are not comparable"
    )
    text = caption(about, intervals=f"{intervals} intervals")
    header = (*first, "measure", *columns)
    return TableSpec(name, title, text, header, tuple(found), remarks=(f"Seeds: {seeds}.",))
