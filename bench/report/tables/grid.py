"""The whole grid of corruptions: the mean accuracy under each, over all, and what they cost."""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf

from bench import metrics
from bench.report.groups import Group
from bench.report.measures import share
from bench.report.ranking import Scores
from bench.report.spec import Estimate, Number, TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name
from bench.report.tables.constants import presets_note
from bench.report.tables.numbers import ALIKE, above_zero, bootstrapped
from bench.report.tables.swept import Swept, a_row_each, behind, reasons


def grid_table(group: Group, swept: Mapping[str, Swept]) -> TableSpec:
    """Mean accuracy over severities under each corruption, over all, and what they cost."""
    names = group.perturbations("corruption")
    shown = tuple(name.replace("_", " ") for name in names)
    header = ("classifier", *counts_header(group), "clean", "mean", "relative drop %", *shown)

    def row(own: Swept) -> list[Value]:
        classifier = own.first.results[0].cell.classifier
        each = (group.mean(classifier, corruption) for corruption in names)
        return [_share(own.clean), _share(own.mean), _drop(own), *each]

    rows = a_row_each(group, swept, len(header), row)
    about = (
        f"Accuracy in percent with {interval_name(group)} intervals: clean, and under each "
        "corruption the mean over its severities. Mean: over all corruptions, each alike. Relative "
        "drop: the share of the clean accuracy that is lost in that mean; its interval is a "
        "bootstrap over pictures, clean and corrupted together. Intervals count each picture once "
        f"in all cells{'' if group.several else ', and those of means are conservative'}."
        f" {ALIKE}{reasons(swept)}{presets_note(group, names)}"
    )
    columns: dict[str, Callable[[Swept], metrics.Scores | None]] = {
        "clean": lambda own: own.clean,
        "mean": lambda own: own.mean,
    } | {column: partial(_shares, name) for name, column in zip(names, shown, strict=True)}
    entries = [swept.get(classifier) for classifier in group.names]
    ranked = {column: [_scores(own, of) for own in entries] for column, of in columns.items()}
    used = behind(group)
    return captioned(group, "corruptions", "Corruptions", about, used, header, rows, ranked)


def _share(scores: metrics.Scores | None) -> Estimate | None:
    return None if scores is None else share(scores)


def _shares(corruption: str, own: Swept) -> metrics.Scores | None:
    return own.shares.get(corruption)


def _scores(own: Swept | None, of: Callable[[Swept], metrics.Scores | None]) -> Scores | None:
    values = None if own is None else of(own)
    return None if own is None or values is None else Scores(own.seeds, own.ids, values)


def _drop(own: Swept) -> Number | None:
    """Of the clean accuracy, the share lost in the mean over corruptions; None if that was 0."""
    if own.clean is None or own.mean is None or not above_zero(own.clean):
        return None
    value = metrics.relative_drop(float(own.clean.mean()), float(own.mean.mean()))
    lost = 1 - metrics.ratio_scores(own.mean, own.clean)
    return None if value is None else bootstrapped(value, lost, (-inf, 1.0))
