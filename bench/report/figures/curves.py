"""The figures of a report: accuracy against severity or budget, and confusion matrices."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench import metrics
from bench.report.groups import Group, Pooled
from bench.report.measures import Metrics
from bench.report.results import Results
from bench.report.style import house_style, line_style, new_figure, save
from bench.report.tables import DRAWN, interval_name, setting

_PANEL = (2.9, 2.6)  # inches
_PER_ROW = 3
_NOTE_WIDTH = 3.6  # inches for a footnote
_TITLE_WIDTH = 2.2  # inches for a classifier's name and its UAR


def write_figures(results: Results, folder: Path) -> list[Path]:
    """Draw every figure that the results allow into `folder`, as PNG and SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with house_style():
        for group in results.groups:
            for family in ("corruption", "attack"):
                if group.perturbations(family):
                    name = group.file_name(f"{family}s")
                    paths += save(curves(group, family), folder, name)
            if group.perturbations("clean"):
                paths += save(confusions(group), folder, group.file_name("confusion"))
    return paths


def curves(group: Group, family: str) -> Figure:
    """Accuracy against severity or eps: a panel per perturbation, a line per classifier.

    Bands are 95% intervals, the dotted line is chance (1 / classes). A missing cell is a gap
    in its line. Clean accuracy stands at 0, for an attack over the attacked samples only.
    """
    names = group.perturbations(family)
    rows, columns = _grid(len(names))
    figure = new_figure(columns * _PANEL[0] + 1.9, rows * _PANEL[1] + 0.5)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(axes.flat, names, strict=False):
        _panel(ax, group, name, family)
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy (%)")
    lines = _legend(group, names)
    # Samples long enough to show how a line is dashed.
    figure.legend(handles=lines, loc="outside right upper", frameon=False, handlelength=3.2)
    used = [r for name in names for c in group.names for r in group.under(c, name)]
    footnote(figure, group, used, f"Bands: {interval_name(group)} intervals.")
    return figure


def confusions(group: Group) -> Figure:
    """Confusion matrices on clean pictures: a panel per classifier, rows in percent of support."""
    results = [r for c in group.names if (r := group.clean(c)) is not None]
    k = len(group.classes)
    rows, columns = _grid(len(results))
    side, names = 0.34 * k, 0.07 * max(map(len, group.classes))  # inches
    named = 1 if len(results) == rows * columns else 2  # rows with names below a panel
    width = columns * max(side + 0.2, _TITLE_WIDTH) + names + 0.5
    # Nearly square cells by size alone: a fixed aspect would undo the layout's margins.
    height = rows * (side + 0.6) + named * (0.75 * names + 0.35) + 0.4
    figure = new_figure(max(width, _NOTE_WIDTH), height)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(results) :]:
        ax.set_axis_off()
    for ax, result in zip(axes.flat, results, strict=False):
        _matrix(ax, group, result)
    for ax in axes[:, 0]:
        ax.set_ylabel("label")
    for i, ax in enumerate(axes.flat[: len(results)]):
        if i + columns >= len(results):  # nothing below it
            ax.set_xlabel("prediction")
            ax.tick_params(axis="x", labelbottom=True)
    footnote(figure, group, results, "Percent of each label's clean pictures; empty: below 0.5.")
    return figure


def _grid(panels: int) -> tuple[int, int]:
    """Rows and columns of panels: four stand two by two, others up to three in a row."""
    columns = 2 if panels == 4 else min(panels, _PER_ROW)
    return ceil(panels / columns), columns


def _panel(ax: Axes, group: Group, perturbation: str, family: str) -> None:
    severities = group.severities(perturbation)
    levels = {c.severity: c.level for c in group.planned if c.perturbation == perturbation}
    x = [0.0, *(levels[s] for s in severities)]
    for index, classifier in enumerate(group.names):
        swept = (group.get(classifier, perturbation, s) for s in severities)
        points = [None if r is None else r.metrics for r in swept]
        _line(ax, x, [group.reference(classifier, perturbation), *points], index)
    ax.axhline(100 / len(group.classes), color="0.35", linewidth=1, linestyle=":")
    ax.set_title(perturbation.replace("_", " "))
    ax.set_ylim(0, 100)
    ax.set_xticks(x, *_ticks(severities, family))
    ax.set_xlabel(_x_label(severities, family))
    ax.margins(x=0.04)
    sns.despine(ax=ax)


def _line(ax: Axes, x: Sequence[float], points: Sequence[Metrics | None], index: int) -> None:
    style = line_style(index)
    known = [None if point is None else point.accuracy for point in points]
    nan = float("nan")
    y = [nan if e is None else 100 * e.value for e in known]
    low = [nan if e is None else 100 * e.interval.low for e in known]
    high = [nan if e is None else 100 * e.interval.high for e in known]
    ax.fill_between(x, low, high, color=style.color, alpha=0.15, linewidth=0)
    ax.plot(
        x,
        y,
        color=style.color,
        marker=style.marker,
        linestyle=style.linestyle,
        linewidth=1.5,
        markersize=4.5,
        markeredgecolor="white",
        markeredgewidth=0.5,
        clip_on=False,  # a marker at 0 or 100 is whole
        zorder=3,
    )


def _common_denominator(severities: Sequence[str]) -> str | None:
    """The denominator all budgets share, None if there is no such."""
    denominators = {severity.partition("/")[2] for severity in severities}
    return denominators.pop() or None if len(denominators) == 1 else None


def _ticks(severities: Sequence[str], family: str) -> tuple[list[str]]:
    """Tick labels for clean and each severity; bare numerators under a shared denominator."""
    if family == "attack" and _common_denominator(severities):
        return (["0", *(severity.partition("/")[0] for severity in severities)],)
    return (["0", *severities],)


def _x_label(severities: Sequence[str], family: str) -> str:
    if family == "corruption":
        return "severity (0: clean)"
    denominator = _common_denominator(severities)
    return f"budget eps, in 1/{denominator} (0: clean)" if denominator else "budget eps (0: clean)"


def _legend(group: Group, perturbations: Sequence[str]) -> list[Line2D]:
    handles = []
    for index, (classifier, name) in enumerate(group.names.items()):
        if any(group.under(classifier, perturbation) for perturbation in perturbations):
            style = line_style(index)
            handles.append(
                Line2D(
                    [],
                    [],
                    color=style.color,
                    marker=style.marker,
                    linestyle=style.linestyle,
                    label=name.replace(" (", "\n("),
                )
            )
    return [*handles, Line2D([], [], color="0.35", linewidth=1, linestyle=":", label="chance")]


def _matrix(ax: Axes, group: Group, result: Pooled) -> None:
    each = [metrics.confusion(o.labels, o.predictions, len(o.classes)) for o in result.outcomes]
    counts = np.sum(each, axis=0)
    # Over the support, ties included, so that the diagonal is recall.
    percent = 100 * counts[:, :-1] / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    texts = [[f"{value:.0f}" if value >= 0.5 else "" for value in row] for row in percent]
    sns.heatmap(
        percent,
        ax=ax,
        vmin=0,
        vmax=100,
        cmap="Blues",
        cbar=False,
        annot=np.array(texts),
        fmt="",
        annot_kws={"size": 7},
        linewidths=0.5,
        linecolor="0.9",
    )
    ties = int(counts[:, -1].sum())
    tied = f", {ties} tied" if ties else ""
    ax.set_title(f"{result.name}\nUAR {result.metrics.uar.number}%{tied}")
    centres = np.arange(len(group.classes)) + 0.5
    ax.set_xticks(centres, group.classes, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(centres, group.classes, rotation=0)


def footnote(figure: Figure, group: Group, used: Sequence[Pooled], about: str) -> None:
    """Say below `figure` what it rests on, and what is drawn."""
    if group.several:
        about = f"{about} Means over seeds."
    lines = [f"{setting(group, used)}.", about, *([DRAWN] if group.drawn else [])]
    figure.supxlabel("\n".join(lines), fontsize=7.5, color="0.3", x=0.01, ha="left")
