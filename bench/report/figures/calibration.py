"""Reliability diagrams: accuracy against confidence, and how many pictures stand behind it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.metrics.calibration import Reliability, ece, reliability
from bench.report.figures.conditions import Condition, conditions, mean_note
from bench.report.figures.parts import Drawing, evenly, footnote, numbered, part_of
from bench.report.figures.style import GREY, line_style, new_figure, shown
from bench.report.groups import Group, Pooled
from bench.report.logits import Factors, factors_of, forecasts_of, pooled, with_logits
from bench.report.ranking import FEWEST
from bench.stats import wilson

_PANELS = 6
_BINS = 15


@dataclass(frozen=True, eq=False)
class Curve:
    """One classifier under one condition.

    Attributes:
        condition: Its number among the conditions; as many as there are for clean pictures whose
            logits were calibrated.
        bins: Its samples in bins of confidence, those of all corruptions and seeds together.
        error: ECE, mean over corruptions and seeds: what the table of calibration has.
        repeats: How often each picture is among the samples.
        excluded: Pictures without finite logits.
    """

    condition: int
    bins: Reliability
    error: float
    repeats: int
    excluded: int


def calibration_drawings(group: Group) -> Iterator[Drawing]:
    """Of all classifiers whose logits are numbers."""
    kinds = conditions(group)
    found = {name: curves for c, name in group.names.items() if (curves := reliabilities(group, c))}
    parts = evenly(list(found), _PANELS)
    for number, names in enumerate(parts):
        own = {name: found[name] for name in names}
        yield Drawing(
            group.file_name(numbered("calibration", number, len(parts))),
            part_of(f"Reliability diagrams, {group.slug}", number, len(parts)),
            _alt(kinds, own),
            "confidence",
            calibration(group, own),
        )


def reliabilities(group: Group, classifier: str) -> list[Curve]:
    """A curve per condition that has a complete result; bins pool corruptions and seeds.

    And one of calibrated logits on clean pictures, if there are factors for them.
    """
    kinds = conditions(group)
    found = [_curve(number, kind.of(group, classifier)) for number, kind in enumerate(kinds)]
    clean = group.clean(classifier)
    factors = None if clean is None else factors_of(group, classifier, clean.seeds)
    if clean is not None and factors is not None:
        found.append(_curve(len(kinds), [clean], factors))
    return [curve for curve in found if curve is not None]


def _curve(number: int, entries: Sequence[Pooled], factors: Factors | None = None) -> Curve | None:
    """None without a complete result, or a picture whose logits are finite."""
    if not entries:
        return None
    kept, excluded = with_logits(entries)
    each = [given for seeds in kept for given in forecasts_of(seeds, factors)]
    if not len(each[0].labels):
        return None
    error = fmean(ece(given, _BINS) for given in each)
    return Curve(number, reliability(pooled(each), _BINS), error, len(each), excluded)


def calibration(group: Group, found: dict[str, list[Curve]]) -> Figure:
    """A panel per classifier, with the share of samples in each bin below it."""
    kinds = conditions(group)
    columns = len(found) if len(found) <= 3 else ceil(len(found) / 2)
    rows = ceil(len(found) / columns)
    figure = new_figure(max(2.3 * columns + 0.5, 5.0), 3.1 * rows + 1.0)
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[4, 1] * rows)
    first: Axes | None = None
    for number, (name, curves) in enumerate(found.items()):
        row, column = divmod(number, columns)
        above = figure.add_subplot(grid[2 * row, column], sharex=first, sharey=first)
        below = figure.add_subplot(grid[2 * row + 1, column], sharex=above)
        first = first or above
        _panel(above, below, curves)
        errors = " / ".join(f"{100 * curve.error:.1f}" for curve in curves)
        above.set_title(f"{shown(name)}\nECE {errors}%", fontsize=9)
        if number + columns >= len(found):
            below.set_xlabel("confidence (%)")
        above.tick_params(labelbottom=False, labelleft=not column)
        if not column:
            above.set_ylabel("accuracy (%)")
            below.set_ylabel("% of n")
    names = _names(kinds, found)
    handles = [line_style(i).handle(shown(name)) for i, name in enumerate(names)]
    perfect = Line2D([], [], color=GREY, linewidth=1, linestyle=":", label="perfectly calibrated")
    figure.legend(
        handles=[*handles, perfect], loc="outside upper left", frameon=False, handlelength=3.2,
        ncols=int(figure.get_figwidth() / 1.7),
    )  # fmt: skip
    used = [
        p for c in group.names if group.names[c] in found for k in kinds for p in k.of(group, c)
    ]
    footnote(figure, group, used, _about(kinds, found))
    return figure


def _panel(above: Axes, below: Axes, curves: Sequence[Curve]) -> None:
    edges = np.linspace(0, 100, _BINS + 1)
    above.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=":")
    for curve in curves:
        style, bins = line_style(curve.condition), curve.bins
        held = bins.n > 0
        x, y, n = 100 * bins.confidence[held], 100 * bins.accuracy[held], bins.n[held]
        # Each picture is one trial, however many corruptions it went through.
        trials = np.maximum(n // curve.repeats, 1)
        many = trials >= FEWEST
        pairs = zip(y[many], trials[many], strict=True)
        ends = [wilson(share / 100 * m, int(m)) for share, m in pairs]
        above.vlines(
            x[many], [100 * e.low for e in ends], [100 * e.high for e in ends], color=style.color,
            linewidth=1,
        )  # fmt: skip
        if many.any():
            above.plot(
                x[many], y[many], color=style.color, linestyle=style.linestyle, linewidth=1.2,
                marker=style.marker, markersize=4.2, zorder=3, clip_on=False,
            )  # fmt: skip
        if not many.all():  # the layout takes offence at a line of no points
            above.plot(
                x[~many], y[~many], linestyle="none", color=style.color, markerfacecolor="white",
                marker=style.marker, markersize=3, alpha=0.7, markeredgewidth=0.7, clip_on=False,
            )  # fmt: skip
        below.stairs(
            100 * bins.n / bins.n.sum(), edges, color=style.color, linestyle=style.linestyle,
            linewidth=1.1,
        )  # fmt: skip
    above.set(xlim=(0, 100), ylim=(0, 100))
    below.set_ylim(0, None)
    for ax in (above, below):
        ax.set_xticks([0, 25, 50, 75, 100])
        sns.despine(ax=ax)


def _names(kinds: Sequence[Condition], found: dict[str, list[Curve]]) -> list[str]:
    """Of the legend."""
    calibrated = any(curve.condition == len(kinds) for curves in found.values() for curve in curves)
    return [*(kind.name for kind in kinds), *(["clean, calibrated"] if calibrated else [])]


def _about(kinds: Sequence[Condition], found: dict[str, list[Curve]]) -> str:
    pooled_note = mean_note(kinds) and (
        " Corruptions: all at their strongest, pooled; intervals count each picture once."
    )
    dropped = sum(curve.excluded for curves in found.values() for curve in curves)
    lost = f" {dropped} pictures without finite logits are left out." if dropped else ""
    scaled = (
        " Calibrated: logits times a factor that was fitted on clean pictures of the validation "
        "split."
        if len(_names(kinds, found)) > len(kinds)
        else ""
    )
    many = any(curve.repeats > 1 for curves in found.values() for curve in curves)
    means = ", the mean of those of each corruption and seed" if many else ""
    return (
        f"Softmax confidence in {_BINS} bins of equal width; bars: 95% Wilson intervals; hollow: "
        f"fewer than {FEWEST} pictures, without bars. ECE: mean distance from the diagonal, "
        f"weighed by n{means}, in the order of the legend. Below: "
        f"share of samples in each bin.{pooled_note}{scaled}{lost}"
    )


def _alt(kinds: Sequence[Condition], found: dict[str, list[Curve]]) -> str:
    names = _names(kinds, found)
    said = [
        f"{name}, {names[curve.condition]}: ECE {100 * curve.error:.1f}%"
        for name, curves in found.items()
        for curve in curves
    ]
    return f"Reliability diagrams, accuracy against confidence. {'; '.join(said)}."
