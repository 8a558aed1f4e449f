"""Error consistency: whether two classifiers fail on the same pictures."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from bench import metrics
from bench.metrics import Scores
from bench.report.groups import Group, Pooled
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.captions import bootstrap_name, captioned, counts_header
from bench.report.tables.numbers import ALIKE, bootstrapped
from bench.report.tables.swept import Swept, counts, pair

_ABOUT = (
    "Error consistency (Cohen's kappa; Geirhos et al., 2020) of pairs of classifiers {where}: 0 "
    "where they err on the same pictures as often as chance would have it at their accuracies, 1 "
    "where always. Intervals are {bootstrap}. There is no number for classifiers "
    "of other pictures or training seeds, and for two that are always right or always wrong. "
    f"{ALIKE}"
)


def consistency_tables(group: Group, swept: Mapping[str, Swept]) -> list[TableSpec]:
    """On clean pictures, and at the strongest severity; where there are two classifiers or more."""
    clean = {c: [own.baseline] for c, own in swept.items() if own.baseline is not None}
    complete = {c: own.entries.values() for c, own in swept.items() if own.complete}
    strongest = {c: [entries[-1] for entries in each] for c, each in complete.items()}
    found = []
    if len(clean) > 1:
        title, where = "Error consistency, clean", "on clean pictures"
        found.append(_table(group, swept, clean, "consistency", title, where))
    if len(strongest) > 1:
        title = "Error consistency, strongest severity"
        where = "at the strongest severity, mean over corruptions"
        found.append(_table(group, swept, strongest, "consistency-strongest", title, where))
    return found


def _table(
    group: Group,
    swept: Mapping[str, Swept],
    entries: Mapping[str, Sequence[Pooled]],
    name: str,
    title: str,
    where: str,
) -> TableSpec:
    """The lower triangle: a row per classifier but the first, a column per one but the last."""
    known = list(entries)
    header = ("classifier", *counts_header(group), *(group.names[c] for c in known[:-1]))
    rows: list[tuple[Value, ...]] = []
    for i, classifier in enumerate(known[1:], start=1):
        found = [kappa(entries[classifier], entries[other]) for other in known[:i]]
        empty = ("",) * (len(known) - 1 - i)
        own = swept[classifier]
        rows.append((group.names[classifier], *counts(group, own), *found, *empty))
    used = [entry for own in entries.values() for entry in own]
    about = _ABOUT.format(where=where, bootstrap=bootstrap_name(group))
    return captioned(group, name, title, about, used, header, rows)


def kappa(first: Sequence[Pooled], second: Sequence[Pooled]) -> Number | None:
    """Error consistency, mean over conditions and training seeds, with its two-level interval.

    Args:
        first: A classifier's results under each condition, at least one.
        second: The other's under the same conditions.

    Returns:
        None if they do not share pictures and seeds, or one of the kappas has no value.
    """
    values: list[float] = []
    scores: list[Scores] = []
    for one, other in zip(first, second, strict=True):
        if not pair(one, other):
            return None
        for a, b in zip(one.right, other.right, strict=True):
            value = metrics.error_consistency(a, b)
            if value is None:
                return None
            values.append(value)
        scores.append(metrics.kappa_scores(one.right, other.right))
    return bootstrapped(fmean(values), np.mean(scores, axis=0), (-1, 1), digits=2, factor=1)
