"""The tables of one corruption or attack: accuracy by severity or budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import inf

import numpy as np
from numpy.typing import NDArray

from bench import stats as metrics
from bench.report.outcomes import (
    AccuracyEstimate,
    Difference,
    Flips,
    Number,
    above_zero,
    bootstrapped,
    bootstrapped_ratio,
    same_samples,
    share,
    shared,
)
from bench.report.ranking import RankedScores
from bench.report.results import Result, Results, ResultSet, pool
from bench.report.spec import (
    Swept,
    TableSpec,
    Value,
    a_row_each,
    behind,
    caption,
    captioned,
    counts_header,
    interval_name,
    reasons,
    seeds_text,
    seen_cells,
    sizes,
)
from bench.report.tables.attacks import evidence, warnings
from bench.report.tables.calibration import Factors, factors_of, forecasts_of, with_logits
from bench.stats import Interval, SampleScores
from bench.stats.bootstrap import two_level
from bench.util.errors import unknown


def corruption_table(group: ResultSet, perturbation: str) -> TableSpec:
    """Accuracy by severity of one corruption, and the mean over severities."""
    severities = group.severities(perturbation)
    header = ("classifier", *counts_header(group), "clean", *severities, "mean", "d_p (clean)")
    rows = [
        (*row, group.mean(classifier, perturbation), _clean_d_p(group, classifier, perturbation))
        for classifier, row in _sweep_rows(group, perturbation)
    ]
    about = (
        f"Accuracy in percent under {perturbation.replace('_', ' ')} by severity, and their mean"
    )
    ranked = {s: _scores(group, perturbation, s) for s in severities}
    ranked["clean"] = [RankedScores.of(group.clean(classifier)) for classifier in group.names]
    complete = (group.under(classifier, perturbation) for classifier in group.names)
    ranked["mean"] = [
        RankedScores.mean(entries) if len(entries) == len(severities) else None
        for entries in complete
    ]
    return _sweep_table(group, perturbation, about, header, rows, ranked)


def attack_table(group: ResultSet, perturbation: str) -> TableSpec:
    """Accuracy by budget of one attack, beside clean accuracy on the very same samples."""
    severities = group.severities(perturbation)
    budgets = (f"eps {s}" for s in severities)
    header = ("classifier", *counts_header(group), "clean", *budgets, "evidence", "d_p (clean)")
    found = {c: evidence(group, c, perturbation) for c in group.names}
    rows = [
        (
            *(*row, None if found[c] is None else str(found[c])),
            _clean_d_p(group, c, perturbation),
        )
        for c, row in _sweep_rows(group, perturbation)
    ]
    about = f"Accuracy in percent under attack {perturbation} by budget; clean: the same pictures"
    doubted = {c for c, own in found.items() if own is not None and not own.believed}
    ranked = {
        f"eps {s}": [
            None if c in doubted else one
            for c, one in zip(group.names, _scores(group, perturbation, s), strict=True)
        ]
        for s in severities
    }
    said = warnings(group, [perturbation])
    return _sweep_table(group, perturbation, about, header, rows, ranked, said)


def _sweep_rows(group: ResultSet, perturbation: str) -> list[tuple[str, tuple[Value, ...]]]:
    """Per classifier: name, n (and seeds), clean accuracy, accuracy by severity."""
    found: list[tuple[str, tuple[Value, ...]]] = []
    for classifier, name in group.names.items():
        reference = group.reference(classifier, perturbation)
        swept = group.under(classifier, perturbation)
        known = [m for m in (reference, *swept) if m is not None]
        counts: list[str | None] = [sizes([m.n for m in known]) if known else None]
        if group.several:
            counts.append(sizes([len(m.seeds) for m in known]) if known else None)
        by_severity = {r.cell.severity: r.accuracy for r in swept}
        row: tuple[Value, ...] = (
            name,
            *counts,
            None if reference is None else reference.accuracy,
            *(by_severity.get(severity) for severity in group.severities(perturbation)),
        )
        found.append((classifier, row))
    return found


def _clean_d_p(group: ResultSet, classifier: str, perturbation: str) -> Number | None:
    reference = group.reference(classifier, perturbation)
    return None if reference is None else reference.d_p


def _scores(group: ResultSet, perturbation: str, severity: str) -> list[RankedScores | None]:
    return [
        RankedScores.of(group.get(classifier, perturbation, severity)) for classifier in group.names
    ]


def _sweep_table(
    group: ResultSet,
    perturbation: str,
    about: str,
    header: tuple[str, ...],
    rows: Sequence[tuple[Value, ...]],
    ranked: Mapping[str, Sequence[RankedScores | None]],
    remarks: Sequence[str] = (),
) -> TableSpec:
    used = [r for classifier in group.names for r in group.under(classifier, perturbation)]
    kind = "Attack" if perturbation in group.perturbations("attack") else "Corruption"
    title = f"{kind} {perturbation.replace('_', ' ')}"
    under = dict.fromkeys([*group.severities(perturbation), "mean"], perturbation)
    own = under if kind == "Corruption" else {}
    return captioned(
        group,
        *(perturbation, title, about, used, header, rows, ranked, own),
        intervals=f"{interval_name(group)} intervals",
        remarks=remarks,
    )


# ------------------------------------------------------------------------------------------------
# The whole grid of corruptions: the mean accuracy under each, over all, and what they cost.


def grid_table(group: ResultSet, swept: Mapping[str, Swept]) -> TableSpec:
    """Mean accuracy over severities under each corruption, over all, and what they cost."""
    names = group.perturbations("corruption")
    shown = tuple(name.replace("_", " ") for name in names)
    header = ("classifier", *counts_header(group), "clean", "mean", "relative drop %", *shown)

    def row(own: Swept) -> list[Value]:
        classifier = own.first.cell.classifier
        each = (group.mean(classifier, corruption) for corruption in names)
        return [_share(own.clean), _share(own.mean), _drop(own), *each]

    rows = a_row_each(group, swept, len(header), row)
    about = "Accuracy in percent: clean, mean over severities of each corruption, mean of all"
    columns: dict[str, Callable[[Swept], metrics.SampleScores | None]] = {
        "clean": lambda own: own.clean,
        "mean": lambda own: own.mean,
    } | {column: partial(_shares, name) for name, column in zip(names, shown, strict=True)}
    entries = [swept.get(classifier) for classifier in group.names]
    ranked = {column: [_grid_scores(own, of) for own in entries] for column, of in columns.items()}
    used = behind(group)
    under = dict(zip(shown, names, strict=True))
    return captioned(
        group,
        *("corruptions", "Corruptions", about, used, header, rows, ranked, under),
        intervals=f"{interval_name(group)} intervals, of the drop bootstraps",
        remarks=[reasons(swept)],
    )


def _share(scores: metrics.SampleScores | None) -> AccuracyEstimate | None:
    return None if scores is None else share(scores)


def _shares(corruption: str, own: Swept) -> metrics.SampleScores | None:
    return own.shares.get(corruption)


def _grid_scores(
    own: Swept | None, of: Callable[[Swept], metrics.SampleScores | None]
) -> RankedScores | None:
    values = None if own is None else of(own)
    return None if own is None or values is None else RankedScores(own.seeds, own.ids, values)


def _drop(own: Swept) -> Number | None:
    """Share of the clean accuracy lost in the mean over corruptions; None if that was 0."""
    if own.clean is None or own.mean is None or not above_zero(own.clean):
        return None
    value = metrics.relative_drop(float(own.clean.mean()), float(own.mean.mean()))
    lost = 1 - metrics.ratio_scores(own.mean, own.clean)
    return None if value is None else bootstrapped(value, lost, (-inf, 1.0))


# ------------------------------------------------------------------------------------------------
# Accuracy-severity curves in three numbers: their area, where half is lost, decisions changed.


Levels = tuple[float, ...]


def curves_table(group: ResultSet, swept: Mapping[str, Swept]) -> TableSpec:
    """One row per classifier, each number over all corruptions alike."""
    names = group.perturbations("corruption")
    levels = {name: _levels(group, name) for name in names}
    columns = ("area under curve %", "half drop at severity", "changed decisions %")
    header = ("classifier", *counts_header(group), *columns)

    def row(own: Swept) -> tuple[Value, ...]:
        return _area(own, levels), _half_drop(own, list(levels.values())), _changed(own)

    rows = a_row_each(group, swept, len(header), row)
    remarks = [reasons(swept)]
    if len(set(levels.values())) > 1:
        remarks.append("Corruptions differ in severities: no mean curve to halve.")
    about = "Accuracy against severity, mean over corruptions: area, half drop, changed decisions"
    return captioned(
        group,
        *("curves", "Severity curves", about, behind(group), header, rows),
        intervals=f"{interval_name(group)} intervals, of the half drop two-level",
        remarks=remarks,
    )


def _levels(group: ResultSet, corruption: str) -> Levels:
    found = {c.level for c in group.planned if c.perturbation == corruption}
    return (0.0, *sorted(found))


def _area(own: Swept, levels: Mapping[str, Levels]) -> AccuracyEstimate | None:
    """The area is linear in accuracies, so it is a mean over pictures of areas of their own."""
    if own.clean is None or not own.complete:
        return None
    each = []
    for corruption, right in own.under.items():
        heights = np.concatenate([own.clean[None], right])
        each.append(metrics.area_under_curve(levels[corruption], heights))
    return share(np.clip(np.mean(each, axis=0), 0, 1))


def _half_drop(own: Swept, levels: Sequence[Levels]) -> Number | str | None:
    """Where the mean curve crosses half way to guessing; text where it does so beyond the last."""
    if own.clean is None or not own.complete or len(set(levels)) > 1:
        return None
    x, labels = levels[0], own.first.each[0].labels
    floor = float(np.bincount(labels).max() / len(labels))
    curve = np.concatenate([own.clean[None], np.mean(list(own.under.values()), axis=0)])
    means = [float(right.mean()) for right in curve]
    if means[0] <= floor:
        return None
    value = metrics.half_drop(x, means, floor)
    band = [two_level(right - (curve[0] + floor) / 2) for right in curve]
    low = _crossing(x, [interval.low for interval in band])
    high = _crossing(x, [interval.high for interval in band])
    found = _level(value, low, high, x[-1], digits=1)
    if isinstance(found, Number) and high is not None and low is not None and high - low < 1e-9:
        return replace(found, interval=None)  # all pictures agree, which says nothing of others
    return found


def _level(
    value: float | None, low: float | None, high: float | None, last: float, digits: int
) -> Number | str:
    """A level and its interval; None is one beyond the last, which only text can say."""
    if value is not None and low is not None and high is not None:
        return Number(value, digits, Interval(low, high))
    beyond = f"> {last:g}"
    if low is None:
        return beyond
    return f"{beyond if value is None else f'{value:.{digits}f}'} [{low:.{digits}f}, {beyond}]"


def _crossing(x: Levels, heights: Sequence[float]) -> float | None:
    """Where a curve, linear between levels, first comes down to 0; None if it never does."""
    if heights[0] <= 0:
        return x[0]
    for i in range(1, len(x)):
        if heights[i] <= 0:
            share_of = heights[i - 1] / (heights[i - 1] - heights[i])
            return x[i - 1] + (x[i] - x[i - 1]) * share_of
    return None


def _changed(own: Swept) -> AccuracyEstimate | None:
    if own.baseline is None or not own.complete:
        return None
    clean = np.stack([o.predictions for o in own.baseline.each])
    each: list[SampleScores] = []
    for entries in own.entries.values():
        found = np.stack([[o.predictions for o in entry.each] for entry in entries])
        each.append((found != clean).mean(axis=0))
    return share(np.mean(each, axis=0))


# ------------------------------------------------------------------------------------------------
# The severity that breaks a picture, and whether confidence falls with accuracy.


def failure_table(group: ResultSet, swept: Mapping[str, Swept]) -> TableSpec | None:
    """How many pictures are broken by each severity, and how far confidence is from accuracy.

    A picture's failure point is the smallest severity of a corruption at which it is no longer
    recognised. Two rows per classifier; None unless all corruptions share two severities or more.
    """
    each = [dict.fromkeys(group.severities(name)) for name in group.perturbations("corruption")]
    severities = [s for s in each[0] if all(s in own for own in each)] if each else []
    if len(severities) < 2:
        return None
    header = ("classifier", "measure", *counts_header(group), "clean", *severities, "failure point")
    rows: list[tuple[Value, ...]] = []
    lacking = []
    for classifier, own in swept.items():
        if own.baseline is None or not own.complete:
            continue
        conditions = [[own.baseline]] + [_at(own, severity) for severity in severities]
        factors = factors_of(group, classifier, own.seeds)
        lacking += [] if factors else [own.name]
        seeds = (str(len(own.seeds)),) if group.several else ()
        broken, n = _broken(own, conditions[1:])
        points = _median(broken, [entries[0].cell.level for entries in conditions[1:]])
        rows.append((own.name, "broken %", str(n), *seeds, None, *broken, points))
        gaps, n = _divergence(conditions, factors)
        rows.append((own.name, "confidence - accuracy", str(n), *seeds, *gaps, None))
    if not rows:
        return None
    fitted = f"Calibrated are not the confidences of {', '.join(lacking)}." if lacking else ""
    about = (
        "Pictures recognised clean that are broken at a severity or below it, mean over "
        "corruptions; failure point: where half are; calibrated confidence less accuracy in points"
    )
    return captioned(
        group,
        *("failure", "Failure points", about, behind(group), header, rows),
        intervals="95% intervals",
        remarks=[fitted, reasons(swept)],
    )


def _at(own: Swept, severity: str) -> list[Result]:
    """A classifier's results at a severity, one per corruption."""
    return [r for entries in own.entries.values() for r in entries if r.cell.severity == severity]


def _broken(
    own: Swept, conditions: Sequence[Sequence[Result]]
) -> tuple[list[AccuracyEstimate | None], int]:
    """Share of pictures broken by each severity; of those that every training recognises clean."""
    assert own.clean is not None
    kept = own.clean.all(axis=0)
    n = int(kept.sum())
    if not n:
        return [None] * len(conditions), 0
    wrong = np.stack([[1 - r.right[:, kept] for r in entries] for entries in conditions])
    return [share(by_then.mean(axis=0)) for by_then in np.maximum.accumulate(wrong, axis=0)], n


def _median(
    broken: Sequence[AccuracyEstimate | None], levels: Sequence[float]
) -> Number | str | None:
    """The first level by which half are broken; its interval is where the band's ends are."""
    known = [one for one in broken if one is not None]
    if not known:
        return None

    def first(shares: Sequence[float]) -> float | None:
        return next((x for x, own in zip(levels, shares, strict=True) if own >= 0.5), None)

    low, high = (first([getattr(e.interval, end) for e in known]) for end in ("high", "low"))
    return _level(first([e.value for e in known]), low, high, levels[-1], digits=0)


def _divergence(
    conditions: Sequence[Sequence[Result]], factors: Factors | None
) -> tuple[list[Difference | None], int]:
    """Mean confidence less accuracy by condition, over corruptions, and the number of pictures.

    Below 0 where a classifier is better than it says, above 0 where it is worse.
    """
    kept, _ = with_logits([r for entries in conditions for r in entries])
    n = len(kept[0][0])
    if not n:
        return [None] * len(conditions), 0
    rest, found = iter(kept), list[Difference | None]()
    for entries in conditions:
        gaps = [
            [one.confidence - one.right for one in forecasts_of(seeds, factors)]
            for seeds in islice(rest, len(entries))
        ]
        scores = np.mean(gaps, axis=0)
        found.append(Difference(float(scores.mean()), two_level(scores, bounds=(-1, 1))))
    return found, n


# ------------------------------------------------------------------------------------------------
# Accuracy at continuous levels of noise and blur, mild to strong.


_Level = tuple[str, str]
"""Perturbation and severity."""


def levels_table(group: ResultSet) -> TableSpec:
    """A row per classifier, a column per level, beside clean accuracy.

    Args:
        group: The group, with a complete cell of a continuous level.
    """
    columns = _columns(group)
    header = ("classifier", *counts_header(group), "clean", *columns)
    swept = {c: [_pooled(group, c, level) for level in columns.values()] for c in group.names}
    rows: list[tuple[Value, ...]] = []
    for classifier, name in group.names.items():
        each = [group.clean(classifier), *swept[classifier]]
        known = [pooled for pooled in each if pooled is not None]
        counts: list[str | None] = [sizes([m.n for m in known]) if known else None]
        if group.several:
            counts.append(sizes([len(m.seeds) for m in known]) if known else None)
        accuracies = [None if pooled is None else pooled.accuracy for pooled in each]
        rows.append((name, *counts, *accuracies))
    about = "Accuracy in percent at continuous levels, mild to strong"
    ranked = {"clean": [RankedScores.of(group.clean(classifier)) for classifier in group.names]}
    for place, column in enumerate(columns):
        ranked[column] = [RankedScores.of(swept[classifier][place]) for classifier in group.names]
    used = [pooled for own in swept.values() for pooled in own if pooled is not None]
    under = {column: perturbation for column, (perturbation, _) in columns.items()}
    title = "Continuous levels"
    return captioned(
        group,
        *("levels", title, about, used, header, rows, ranked, under),
        intervals=f"{interval_name(group)} intervals",
    )


def _columns(group: ResultSet) -> dict[str, _Level]:
    """The planned levels by their name in the header."""
    planned = [cell for cell in group.planned if cell.about.place == "levels"]
    names = list(dict.fromkeys(cell.perturbation for cell in planned))
    ordered = sorted(planned, key=lambda cell: (names.index(cell.perturbation), cell.level))
    return {
        f"{_shown(cell.perturbation)} {cell.severity}": (cell.perturbation, cell.severity)
        for cell in ordered
    }


def _shown(perturbation: str) -> str:
    """Such as "noise sigma", or "noise SNR"."""
    return perturbation.removeprefix("gaussian_").replace("_", " ").replace("snr", "SNR")


def _pooled(group: ResultSet, classifier: str, level: _Level) -> Result | None:
    """None unless the level has a complete cell, and its trainings a sample in common."""
    own = [
        result
        for result in group.levels
        if (result.cell.classifier, result.cell.perturbation, result.cell.severity)
        == (classifier, *level)
    ]
    pooled = pool(sorted(own, key=lambda result: result.cell.seed)) if own else None
    return pooled if pooled is not None and len(pooled.each[0]) else None


@dataclass(frozen=True, eq=False)
class _Row:
    """A classifier under its complete sequences: the pictures of all, (N,), and their shares."""

    classifier: str
    name: str
    seeds: tuple[int, ...]
    ids: NDArray[np.object_]
    shares: Mapping[str, SampleScores]  # by sequence, (k, N)


def sequences_table(group: ResultSet, wanted: str | None) -> TableSpec | None:
    """Flip probabilities of each sequence and their mean, and the mean flip rate.

    Args:
        group: The group.
        wanted: The classifier whose flip probabilities are the unit, if it has any; else it is the
            first discriminative one that has.

    Returns:
        None if no cell of a sequence is complete.
    """
    names = list(dict.fromkeys(one.cell.perturbation for one in group.flips))
    rows = {c: row for c in group.names if (row := _row(group, c)) is not None}
    if not rows:
        return None
    unit = rows[_reference(group, rows, wanted)]
    rate = f"mFR % ({unit.name})"
    shown = tuple(f"FP % {name.removeprefix('sequences.').replace('_', ' ')}" for name in names)
    header = ("classifier", *counts_header(group), "mean FP %", rate, *shown)
    body: list[tuple[Value, ...]] = []
    for classifier, name in group.names.items():
        own = rows.get(classifier)
        if own is None:
            body.append((name, *[None] * (len(header) - 1)))
            continue
        counts = (str(len(own.ids)), str(len(own.seeds)))[: len(counts_header(group))]
        each = [own.shares.get(sequence) for sequence in names]
        complete = [one for one in each if one is not None]
        mean = _probability(np.mean(complete, axis=0)) if len(complete) == len(names) else None
        probabilities = [None if one is None else _probability(one) for one in each]
        body.append((name, *counts, mean, _rate(own, unit, names), *probabilities))
    about = caption(
        f"Flip probability (FP) by sequence; mean flip rate (mFR) in units of {unit.name}; lower "
        "is better",
        f"Data set {group.data}, n = {sizes([len(row.ids) for row in rows.values()])}, "
        f"{len(group.classes)} classes, {seeds_text(group)}",
        "95% bootstrap intervals",
    )
    title = f"Perturbation sequences, {group.slug}"
    first = len(header) - len(names)
    seen = seen_cells(group, dict(enumerate(names, first)), body)
    return TableSpec(group.file_name("sequences"), title, about, header, tuple(body), seen=seen)


def _row(group: ResultSet, classifier: str) -> _Row | None:
    """On the pictures and training seeds that all the classifier's complete sequences have."""
    own: dict[str, dict[int, Flips]] = {}
    for one in group.flips:
        if one.cell.classifier == classifier:
            own.setdefault(one.cell.perturbation, {})[one.cell.seed] = one
    if not own:
        return None
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in own.values())))
    if not seeds:
        return None
    ids, shares = shared([by_seed[seed] for by_seed in own.values() for seed in seeds])
    if not len(ids):
        return None
    each = shares.reshape(len(own), len(seeds), -1)
    name = group.names[classifier]
    return _Row(classifier, name, tuple(seeds), ids, dict(zip(own, each, strict=True)))


def _reference(group: ResultSet, rows: Mapping[str, _Row], wanted: str | None) -> str:
    if wanted is not None and wanted in rows:
        return wanted
    manifests = {one.cell.classifier: one.manifest for one in group.flips}
    plain = [c for c in rows if manifests[c].gate is None and not manifests[c].timesteps]
    return next(iter([*plain, *rows]))


def _probability(scores: SampleScores) -> AccuracyEstimate:
    if scores.shape[1] == 1 or np.ptp(scores) < 1e-12:
        return share(scores)
    return AccuracyEstimate(float(scores.mean()), two_level(scores, bounds=(0, 1)))


def _rate(own: _Row, unit: _Row, names: list[str]) -> Number | None:
    """None unless both have every sequence on the same pictures, and the unit flips in each."""
    if own is unit:
        return Number(100.0, 1)
    if not all(name in row.shares for name in names for row in (own, unit)):
        return None
    if not same_samples(own.ids, unit.ids):
        return None
    rates, scores = [], []
    for name in names:
        base = unit.shares[name]
        base = base if own.seeds == unit.seeds else base.mean(axis=0, keepdims=True)
        if not above_zero(base):
            return None
        rates.append(metrics.flip_rate(float(own.shares[name].mean()), float(base.mean())))
        scores.append(metrics.ratio_scores(own.shares[name], base))
    value = metrics.mean_corruption_error(rates)
    return None if value is None else bootstrapped_ratio(value, np.mean(scores, axis=0))


# ------------------------------------------------------------------------------------------------
# Corruption errors: CE and mCE
# ------------------------------------------------------------------------------------------------

#: A metric's value, and the scores (k, N) that its interval rests on.
Ratio = tuple[float, SampleScores]


def errors_table(group: ResultSet, swept: Mapping[str, Swept], reference: str) -> TableSpec:
    """CE, mCE and relative mCE, in units of the errors of `reference`, a classifier of `swept`."""
    names = group.perturbations("corruption")
    shown, unit = group.names[reference], _Unit(swept[reference])
    means = (f"mCE % ({shown})", f"relative mCE % ({shown})")
    each = tuple(f"CE % {name.replace('_', ' ')}" for name in names)
    header = ("classifier", *counts_header(group), *means, *each)

    def row(own: Swept) -> list[Value]:
        ces = [unit.ce(own, corruption) for corruption in names]
        rces = [unit.relative_ce(own, corruption) for corruption in names]
        return [_percent_of(r, own is unit.swept) for r in (_mean(ces), _mean(rces), *ces)]

    rows = a_row_each(group, swept, len(header), row)
    about = f"Errors under corruption in percent of those of {shown}; lower is better"
    remarks = [*unit.caveats(names), reasons(swept)]
    strangers = [own.name for own in swept.values() if not same_samples(own.ids, unit.swept.ids)]
    if strangers:
        remarks.append(f"Classifiers of other pictures have no numbers: {', '.join(strangers)}.")
    title = "Corruption errors"
    under, used = dict(zip(each, names, strict=True)), behind(group)
    return captioned(
        group,
        *("corruption-errors", title, about, used, header, rows),
        under=under,
        intervals="95% bootstrap intervals",
        remarks=remarks,
    )


def reference_of(group: ResultSet, swept: Mapping[str, Swept], wanted: str | None) -> str | None:
    """The classifier whose errors are the unit: the wanted one, else the first discriminative one.

    A group without the wanted one takes its own; the table's header names it.

    Returns:
        The first of all if none is discriminative; None if nothing was measured.
    """
    if wanted in swept:
        return wanted
    manifests = {result.cell.classifier: result.manifest for result in group.results}
    plain = [c for c in swept if manifests[c].gate is None and not manifests[c].timesteps]
    return next(iter([*plain, *swept]), None)


def check_reference(results: Results, wanted: str | None) -> None:
    """Refuse a reference that is no classifier of the store.

    Raises:
        UserError: With the nearest names.
    """
    known = {name for group in results.groups for name in group.names}
    if wanted is not None and wanted not in known:
        raise unknown("classifier in this store", wanted, known)


class _Unit:
    """The reference's errors, as far as they can be told from 0 and make a unit."""

    def __init__(self, swept: Swept) -> None:
        self.swept = swept
        errors = {name: 1 - shares for name, shares in swept.shares.items()}
        self.errors = {name: own for name, own in errors.items() if above_zero(own)}
        added = _added(swept)
        self.added = {name: own for name, own in added.items() if above_zero(own)}

    def ce(self, own: Swept, corruption: str) -> Ratio | None:
        """The classifier's error under a corruption, and what its interval rests on."""
        if corruption not in self.errors or corruption not in own.entries or not self._pairs(own):
            return None
        value = metrics.corruption_error(*(_errors(s, corruption) for s in (own, self.swept)))
        scores = metrics.ratio_scores(
            1 - own.shares[corruption], self._like(own, self.errors[corruption])
        )
        return None if value is None else (value, scores)

    def relative_ce(self, own: Swept, corruption: str) -> Ratio | None:
        """The same of what the corruption adds to the clean error."""
        added = _added(own)
        if corruption not in self.added or corruption not in added or not self._pairs(own):
            return None
        one, other = (
            (_errors(s, corruption), 1 - float(s.clean.mean()))
            for s in (own, self.swept)
            if s.clean is not None
        )
        value = metrics.relative_corruption_error(*one, *other)
        scores = metrics.ratio_scores(added[corruption], self._like(own, self.added[corruption]))
        return None if value is None else (value, scores)

    def caveats(self, names: Sequence[str]) -> list[str]:
        """What is to be said of this unit."""
        said = []
        if len(self.swept.seeds) > 1:
            said.append("Other training seeds are measured in its mean over seeds.")
        known = [name for name in names if name in self.swept.entries]
        for what, units in (("error", self.errors), ("added error", self.added)):
            lost = [name.replace("_", " ") for name in known if name not in units]
            if lost:
                said.append(
                    f"{self.swept.name}'s {what} cannot be told from 0 under {', '.join(lost)}, "
                    "and is no unit."
                )
        return said

    def _pairs(self, own: Swept) -> bool:
        return same_samples(own.ids, self.swept.ids)

    def _like(self, own: Swept, scores: SampleScores) -> SampleScores:
        """Seed by seed where both have the same, else the mean over the reference's."""
        return scores if own.seeds == self.swept.seeds else scores.mean(axis=0, keepdims=True)


def _added(swept: Swept) -> dict[str, SampleScores]:
    if swept.clean is None:
        return {}
    return {name: swept.clean - shares for name, shares in swept.shares.items()}


def _errors(swept: Swept, corruption: str) -> list[float]:
    """By severity, mean over seeds."""
    return [float(error) for error in 1 - swept.under[corruption].mean(axis=(1, 2))]


def _mean(ratios: Sequence[Ratio | None]) -> Ratio | None:
    known = [ratio for ratio in ratios if ratio is not None]
    value = metrics.mean_corruption_error([None if r is None else r[0] for r in ratios])
    return None if value is None else (value, np.mean([scores for _, scores in known], axis=0))


def _percent_of(ratio: Ratio | None, itself: bool) -> Number | None:
    if ratio is None or itself:
        return None if ratio is None else Number(100.0, 1)
    return bootstrapped_ratio(*ratio)
