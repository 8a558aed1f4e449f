"""Dots with intervals: a panel per classifier, rows that all share, a mark per condition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bench.report.figures.conditions import Condition, Dot, Scores, scores
from bench.report.figures.parts import chance_line
from bench.report.figures.style import GREY, line_style, new_figure, shown
from bench.report.groups import Group
from bench.report.tables import sizes

FEW = 30  # samples below which a dot is hollow
PANELS = 6  # to a figure
_TALL = 12  # rows beyond which panels stand side by side only


Parts = Callable[[Scores], list[NDArray[np.bool_]]]


@dataclass(frozen=True)
class Panel:
    """One classifier's.

    Attributes:
        title: Its name.
        dots: By condition, one per row; None where there is none.
        whole: By condition, accuracy on all pictures: a thin line.
    """

    title: str
    dots: Sequence[Sequence[Dot | None]]
    whole: Sequence[Dot | None]


def panel_of(group: Group, classifier: str, kinds: Sequence[Condition], parts: Parts) -> Panel:
    """The panel of a classifier.

    Args:
        group: Where it stands.
        classifier: Which.
        kinds: The conditions.
        parts: Masks of the pictures behind each row.
    """
    dots: list[list[Dot | None]] = []
    whole: list[Dot | None] = []
    for kind in kinds:
        found = kind.of(group, classifier)
        own = scores(found) if found else None
        dots.append([] if own is None else [own.among(mask) for mask in parts(own)])
        whole.append(None if own is None else own.among(np.ones(len(own.ids), np.bool_)))
    return Panel(group.names[classifier], dots, whole)


def forest(
    group: Group,
    rows: Sequence[tuple[float, str]],
    panels: Sequence[Panel],
    kinds: Sequence[Condition],
    x_label: str,
) -> Figure:
    """The figure; its footnote is the caller's.

    Args:
        group: For chance.
        rows: Height, downwards, and name of each; all panels share them. The number of pictures is
            added to the names.
        panels: At most `PANELS`.
        kinds: The conditions.
        x_label: Of every panel.
    """
    tall = len(rows) > _TALL
    columns = len(panels) if tall or len(panels) <= 3 else ceil(len(panels) / 2)
    lines = ceil(len(panels) / columns)
    places = [place for place, _ in rows]
    labels = _labels(rows, panels)
    low, high = places[0] - 0.6, places[-1] + 0.6
    beside = 0.068 * max(map(len, labels))  # inches
    width, height = (1.4 if tall else 2.0), (0.2 if tall else 0.24) * (high - low) + 0.55
    figure = new_figure(max(width * columns + beside + 0.3, 5.0), lines * height + 0.9)
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for number, (ax, panel) in enumerate(zip(axes.flat, panels, strict=False)):
        _panel(ax, places, panel)
        ax.axvline(100 / len(group.classes), color=GREY, linewidth=1, linestyle=":")
        if number + columns >= len(panels):  # nothing below it
            ax.set_xlabel(x_label)
            ax.tick_params(axis="x", labelbottom=True)
    axes[0, 0].set(xlim=(0, 100), ylim=(high, low), xticks=range(0, 101, 50 if tall else 25))
    axes[0, 0].set_yticks(places, labels)
    handles = [_handle(index, kind.name) for index, kind in enumerate(kinds)]
    figure.legend(
        handles=[*handles, chance_line(group)], loc="outside upper left", ncols=len(handles) + 1,
        frameon=False,
    )  # fmt: skip
    return figure


def few_note(panels: Sequence[Panel]) -> str:
    """What hollow dots mean, if there are any."""
    known = (dot for panel in panels for dots in panel.dots for dot in dots if dot is not None)
    hollow = any(dot.n < FEW for dot in known)
    return f" Hollow: fewer than {FEW} pictures, too few to rank." if hollow else ""


def _labels(rows: Sequence[tuple[float, str]], panels: Sequence[Panel]) -> list[str]:
    found = []
    for number, (_, name) in enumerate(rows):
        columns = [dots[number] for panel in panels for dots in panel.dots if dots]
        counts = {dot.n for dot in columns if dot is not None}
        found.append(f"{shown(name)} ({sizes(list(counts)) if counts else 0})")
    return found


def _panel(ax: Axes, places: Sequence[float], panel: Panel) -> None:
    for index, (dots, whole) in enumerate(zip(panel.dots, panel.whole, strict=True)):
        style = line_style(index)
        aside = 0.56 * ((index + 0.5) / len(panel.dots) - 0.5)
        known = [(place + aside, dot) for place, dot in zip(places, dots, strict=False) if dot]
        low = [100 * dot.accuracy.interval.low for _, dot in known]
        high = [100 * dot.accuracy.interval.high for _, dot in known]
        ax.hlines([y for y, _ in known], low, high, color=style.color, linewidth=1.1)
        for hollow in (False, True):
            own = [(100 * dot.accuracy.value, y) for y, dot in known if (dot.n < FEW) == hollow]
            if own:
                ax.plot(
                    *zip(*own, strict=True), linestyle="none", marker=style.marker, markersize=4.2,
                    color=style.color, markerfacecolor="white" if hollow else style.color,
                    clip_on=False, zorder=3,
                )  # fmt: skip
        if whole is not None:
            x = 100 * whole.accuracy.value
            ax.axvline(x, color=style.color, linewidth=0.8, dashes=(4, 2), zorder=1)
    ax.set_title(shown(panel.title), fontsize=9)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)


def _handle(index: int, name: str) -> Line2D:
    style = line_style(index)
    return Line2D(
        [], [], color=style.color, marker=style.marker, markersize=4.2, linewidth=1.1,
        label=shown(name),
    )  # fmt: skip
