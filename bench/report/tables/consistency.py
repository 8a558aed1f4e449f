"""Error consistency: whether two classifiers fail on the same pictures."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench import metrics
from bench.bootstrap import two_level
from bench.report.groups import Group, Pooled
from bench.report.ratios import Scores
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.captions import captioned, counts_header
from bench.report.tables.swept import Swept, counts, pair

_ABOUT = (
    "Error consistency (Cohen's kappa; Geirhos et al., 2020) of pairs of classifiers {where}: 0 "
    "where they err on the same pictures as often as chance would have it at their accuracies, 1 "
    "where always. Intervals are 95% bootstraps over pictures. There is no number for classifiers "
    "of other pictures or training seeds, and for two that are always right or always wrong."
)


def clean_consistency_table(group: Group, swept: Mapping[str, Swept]) -> TableSpec:
    """Pairs of classifiers on clean pictures."""
    entries = {c: [own.baseline] for c, own in swept.items() if own.baseline is not None}
    about = _ABOUT.format(where="on clean pictures")
    return _table(group, swept, entries, "consistency", "Error consistency, clean", about)


def shifted_consistency_table(group: Group, swept: Mapping[str, Swept]) -> TableSpec:
    """Pairs of classifiers at the strongest severity, mean over corruptions."""
    complete = {c: own for c, own in swept.items() if own.complete}
    entries = {c: [own[-1] for own in s.entries.values()] for c, s in complete.items()}
    about = _ABOUT.format(where="at the strongest severity, mean over all corruptions")
    name, title = "consistency-corrupted", "Error consistency, strongest severity"
    return _table(group, swept, entries, name, title, about)


def _table(
    group: Group,
    swept: Mapping[str, Swept],
    entries: Mapping[str, Sequence[Pooled]],
    name: str,
    title: str,
    about: str,
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
    mean = np.mean(scores, axis=0)
    interval = two_level(mean, bounds=(-1, 1)) if mean.shape[1] > 1 else None
    return Number(float(np.mean(values)), 2, interval)
