"""Perturbation sequences: flip probabilities, and flip rates in units of a reference classifier's.

D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations" (ICLR 2019), sec. 4.3; the estimators are in `bench.stats.robustness`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import stats as metrics
from bench.report.groups import ResultSet
from bench.report.measures import above_zero, bootstrapped_ratio, share
from bench.report.outcomes import Flips, same_samples, shared
from bench.report.spec import AccuracyEstimate, Number, TableSpec, Value
from bench.report.tables.common import caption, counts_header, seeds_text, seen_cells, sizes
from bench.stats import SampleScores
from bench.stats.bootstrap import two_level


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
