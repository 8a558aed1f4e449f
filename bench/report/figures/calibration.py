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
from numpy.typing import NDArray

from bench.report.figures.drawing import (
    GREY,
    Drawing,
    LineStyle,
    caption_of,
    chance_line,
    evenly,
    legend_columns,
    line_styles,
    named,
    new_figure,
    numbered,
    other_style,
    part_of,
    shown,
)
from bench.report.figures.forest import Condition, conditions, mean_note
from bench.report.ranking import FEWEST
from bench.report.results import Result, ResultSet
from bench.report.tables.calibration import Factors, factors_of, forecasts_of, pooled, with_logits
from bench.stats import forecasts, selective_accuracy, wilson
from bench.stats.calibration import Reliability, ece, reliability

_PANELS = 6
_BINS = 15


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
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


def calibration_drawings(group: ResultSet) -> Iterator[Drawing]:
    """Calibration curves of all classifiers whose logits are numbers."""
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


def reliabilities(group: ResultSet, classifier: str) -> list[ReliabilityCurve]:
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


def _curve(
    number: int, entries: Sequence[Result], factors: Factors | None = None
) -> ReliabilityCurve | None:
    """None without a complete result, or a picture whose logits are finite."""
    if not entries:
        return None
    kept, excluded = with_logits(entries)
    each = [given for seeds in kept for given in forecasts_of(seeds, factors)]
    if not len(each[0].labels):
        return None
    error = fmean(ece(given, _BINS) for given in each)
    return ReliabilityCurve(number, reliability(pooled(each), _BINS), error, len(each), excluded)


def calibration(group: ResultSet, found: dict[str, list[ReliabilityCurve]]) -> Figure:
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
        above.set_title(f"{named(name)}\nECE {errors}%", fontsize="medium")
        if number + columns >= len(found):
            below.set_xlabel("confidence (%)")
        above.tick_params(labelbottom=False, labelleft=not column)
        if not column:
            above.set_ylabel("accuracy (%)")
            below.set_ylabel("% of n")
    names = _names(kinds, found)
    handles = [other_style(i).handle(shown(name)) for i, name in enumerate(names)]
    perfect = Line2D([], [], color=GREY, linewidth=1, linestyle=":", label="perfectly calibrated")
    figure.legend(
        handles=[*handles, perfect], loc="outside upper left", frameon=False, handlelength=3.2,
        ncols=legend_columns(figure, 1.7),
    )  # fmt: skip
    used = [
        p for c in group.names if group.names[c] in found for k in kinds for p in k.of(group, c)
    ]
    caption_of(figure, group, used, _about(kinds, found))
    return figure


def _panel(above: Axes, below: Axes, curves: Sequence[ReliabilityCurve]) -> None:
    edges = np.linspace(0, 100, _BINS + 1)
    above.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=":")
    for curve in curves:
        style, bins = other_style(curve.condition), curve.bins
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


def _names(kinds: Sequence[Condition], found: dict[str, list[ReliabilityCurve]]) -> list[str]:
    """The entries of the legend."""
    calibrated = any(curve.condition == len(kinds) for curves in found.values() for curve in curves)
    return [*(kind.name for kind in kinds), *(["clean, calibrated"] if calibrated else [])]


def _about(kinds: Sequence[Condition], found: dict[str, list[ReliabilityCurve]]) -> str:
    pooled_note = mean_note(kinds) and (" Corruptions: all at their strongest, pooled.")
    dropped = sum(curve.excluded for curves in found.values() for curve in curves)
    lost = f" {dropped} pictures without finite logits are left out." if dropped else ""
    scaled = (
        " Calibrated: logits times a factor fitted on validation pictures."
        if len(_names(kinds, found)) > len(kinds)
        else ""
    )
    return (
        f"{_BINS} bins; bars: 95% Wilson intervals; hollow: fewer than {FEWEST} pictures; ECE in "
        f"the order of the legend. Below: share of pictures.{pooled_note}{scaled}{lost}"
    )


def _alt(kinds: Sequence[Condition], found: dict[str, list[ReliabilityCurve]]) -> str:
    names = _names(kinds, found)
    said = [
        f"{name}, {names[curve.condition]}: ECE {100 * curve.error:.1f}%"
        for name, curves in found.items()
        for curve in curves
    ]
    return f"Reliability diagrams, accuracy against confidence. {'; '.join(said)}."


# ------------------------------------------------------------------------------------------------
# Selective accuracy: how much is right of what a classifier is sure of.


_LINES = 8
_COVERAGES = np.linspace(0.1, 1.0, 19)  # fewer pictures answered say little


@dataclass(frozen=True, eq=False)
class Line:
    """One classifier under one condition.

    Attributes:
        accuracy: At each of `_COVERAGES`, mean over corruptions and seeds.
        answered: Number of pictures answered there.
    """

    accuracy: NDArray[np.float64]
    answered: NDArray[np.int64]


Lines = dict[tuple[str, int], Line]  # by classifier and number of condition


def selective_drawings(group: ResultSet) -> Iterator[Drawing]:
    """A panel per condition, a line per classifier whose logits are numbers."""
    found = lines_of(group)
    parts = evenly([c for c in group.names if any(key[0] == c for key in found)], _LINES)
    for number, own in enumerate(parts):
        yield Drawing(
            group.file_name(numbered("selective", number, len(parts))),
            part_of(f"Accuracy against coverage, {group.slug}", number, len(parts)),
            _selective_alt(group, found, own),
            "confidence",
            selective(group, found, own),
        )


def lines_of(group: ResultSet) -> Lines:
    """The lines of all classifiers."""
    found: Lines = {}
    for classifier in group.names:
        for number, kind in enumerate(conditions(group)):
            entries = kind.of(group, classifier)
            each = [o for seeds in with_logits(entries)[0] for o in seeds] if entries else []
            if not each or not len(each[0]):
                continue
            curves = [selective_accuracy(forecasts(o.logits, o.labels)) for o in each]
            answered = np.ceil(_COVERAGES * len(each[0]) - 1e-9).astype(int)
            accuracy = np.mean(curves, axis=0)[answered - 1]
            found[classifier, number] = Line(accuracy, answered)
    return found


def selective(group: ResultSet, found: Lines, classifiers: Sequence[str]) -> Figure:
    """Accuracy of the most confident pictures against their share, before the others in grey."""
    kinds = conditions(group)
    figure = new_figure(2.9 * len(kinds) + 1.9, 3.2)
    axes = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    styles = line_styles(group.names)
    for number, (ax, kind) in enumerate(zip(axes, kinds, strict=True)):
        for classifier in group.names:
            line = found.get((classifier, number))
            if line is not None:
                _draw(ax, line, styles[classifier] if classifier in classifiers else None)
        ax.axhline(100 / len(group.classes), color=GREY, linewidth=1, linestyle=":")
        ax.set(title=shown(kind.name), xlabel="coverage (%)", xlim=(0, 102), ylim=(0, 102))
        sns.despine(ax=ax)
    axes[0].set_ylabel("accuracy of those answered (%)")
    handles = [
        styles[classifier].handle(named(name))
        for classifier, name in group.names.items()
        if classifier in classifiers
    ]
    handles.append(chance_line(group))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=3.2)
    used = [p for c in classifiers for kind in kinds for p in kind.of(group, c)]
    about = (
        "The most confident pictures by softmax are answered. Bands: 95% Wilson intervals."
        f"{mean_note(kinds)}"
    )
    if len(classifiers) < len(group.names):
        about += " Grey: other classifiers."
    caption_of(figure, group, used, about)
    return figure


def _draw(ax: Axes, line: Line, style: LineStyle | None) -> None:
    x, y = 100 * _COVERAGES, 100 * line.accuracy
    if style is None:
        ax.plot(x, y, color="0.85", linewidth=0.8, zorder=1)
        return
    pairs = zip(line.accuracy, line.answered, strict=True)
    ends = [wilson(share * n, int(n)) for share, n in pairs]
    low, high = [100 * e.low for e in ends], [100 * e.high for e in ends]
    ax.fill_between(x, low, high, color=style.color, alpha=0.12, linewidth=0)
    ax.plot(
        x, y, color=style.color, linestyle=style.linestyle, linewidth=1.4, marker=style.marker,
        markevery=6, markersize=4.2, zorder=3, clip_on=False,
    )  # fmt: skip


def _selective_alt(group: ResultSet, found: Lines, classifiers: Sequence[str]) -> str:
    kinds, half = conditions(group), int(np.argmin(np.abs(_COVERAGES - 0.5)))
    said = [
        f"{group.names[c]}, {kinds[number].name}: {100 * line.accuracy[half]:.1f}% of the most "
        f"confident half, {100 * line.accuracy[-1]:.1f}% of all"
        for (c, number), line in found.items()
        if c in classifiers
    ]
    return f"Lines of accuracy against the share of pictures answered. {'; '.join(said)}."
