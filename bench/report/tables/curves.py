"""Accuracy-severity curves in three numbers: their area, where half is lost, decisions changed."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench import metrics
from bench.bootstrap import two_level
from bench.metrics import Scores
from bench.report.groups import Group
from bench.report.measures import share
from bench.report.spec import Estimate, Number, TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name
from bench.report.tables.swept import Swept, a_row_each, behind, reasons
from bench.stats import Interval

Levels = tuple[float, ...]


def curves_table(group: Group, swept: Mapping[str, Swept]) -> TableSpec:
    """One row per classifier, each number over all corruptions alike."""
    names = group.perturbations("corruption")
    levels = {name: _levels(group, name) for name in names}
    columns = ("area under curve %", "half drop at severity", "changed decisions %")
    header = ("classifier", *counts_header(group), *columns)

    def row(own: Swept) -> tuple[Value, ...]:
        return _area(own, levels), _half_drop(own, list(levels.values())), _changed(own)

    rows = a_row_each(group, swept, len(header), row)
    about = (
        "Curves of accuracy against severity, from clean pictures (severity 0) on, means over all "
        f"{len(names)} corruptions. Area: the mean height of the curve, trapezoidal. Half drop: "
        "the severity at which the mean curve, linear between severities, has lost half of what "
        "lies between the clean accuracy and that of always naming the largest class; its interval "
        "is where the curve's pointwise two-level band crosses. Changed decisions: those that "
        "differ from the decision on the clean picture, right or wrong. "
        f"Intervals of shares are {interval_name(group)} ones that "
        f"count each picture once.{reasons(swept)}"
    )
    if len(set(levels.values())) > 1:
        about += " Corruptions differ in their severities, so there is no mean curve to halve."
    return captioned(group, "curves", "Severity curves", about, behind(group), header, rows)


def _levels(group: Group, corruption: str) -> Levels:
    found = {c.level for c in group.planned if c.perturbation == corruption}
    return (0.0, *sorted(found))


def _area(own: Swept, levels: Mapping[str, Levels]) -> Estimate | None:
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
    x, labels = levels[0], own.first.outcomes[0].labels
    floor = float(np.bincount(labels).max() / len(labels))
    curve = np.concatenate([own.clean[None], np.mean(list(own.under.values()), axis=0)])
    means = [float(right.mean()) for right in curve]
    if means[0] <= floor:
        return None
    value = metrics.half_drop(x, means, floor)
    band = [two_level(right - (curve[0] + floor) / 2) for right in curve]
    low = _crossing(x, [interval.low for interval in band])
    high = _crossing(x, [interval.high for interval in band])
    if value is not None and low is not None and high is not None:
        # Without width where all pictures agree, and then it says nothing of others.
        return Number(value, 1, Interval(low, high) if high - low > 1e-9 else None)
    last = f"> {x[-1]:g}"
    if low is None:
        return last
    return f"{last if value is None else f'{value:.1f}'} [{low:.1f}, {last}]"


def _crossing(x: Levels, heights: Sequence[float]) -> float | None:
    """Where a curve, linear between levels, first comes down to 0; None if it never does."""
    if heights[0] <= 0:
        return x[0]
    for i in range(1, len(x)):
        if heights[i] <= 0:
            share_of = heights[i - 1] / (heights[i - 1] - heights[i])
            return x[i - 1] + (x[i] - x[i - 1]) * share_of
    return None


def _changed(own: Swept) -> Estimate | None:
    if own.baseline is None or not own.complete:
        return None
    clean = np.stack([o.predictions for o in own.baseline.outcomes])
    each: list[Scores] = []
    for entries in own.entries.values():
        found = np.stack([[o.predictions for o in entry.outcomes] for entry in entries])
        each.append((found != clean).mean(axis=0))
    return share(np.mean(each, axis=0))
