"""Confusion matrices on clean pictures: a panel per classifier."""

from collections.abc import Iterator, Sequence
from math import ceil

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench import stats as metrics
from bench.report.figures.drawing import (
    Drawing,
    evenly,
    footnote,
    ink,
    is_emodc,
    listed,
    new_figure,
    numbered,
    part_of,
    shown,
)
from bench.report.results import Pooled, ResultSet

_PANELS = 6
_TITLE_WIDTH = 2.2  # inches for a classifier's name and its UAR
_NOTE_WIDTH = 3.6  # inches for a footnote
_MAP = matplotlib.colormaps["Blues"]


def confusion_drawings(group: ResultSet) -> Iterator[Drawing]:
    """EmoDC's variants together, and the other classifiers, six to a figure."""
    clean = [pooled for c in group.names if (pooled := group.clean(c)) is not None]
    for of_emodc in (False, True):
        parts = evenly([p for p in clean if is_emodc(p) == of_emodc], _PANELS)
        name = "confusion-emodc" if of_emodc else "confusion"
        who = "EmoDC" if of_emodc else "discriminative classifiers"
        for number, own in enumerate(parts):
            yield Drawing(
                group.file_name(numbered(name, number, len(parts))),
                part_of(f"Confusion matrices of {who}, {group.slug}", number, len(parts)),
                _alt(group, own),
                "emodc" if of_emodc else "clean",
                confusions(group, own),
            )


def confusions(group: ResultSet, results: Sequence[Pooled]) -> Figure:
    """Clean confusion matrices, rows in percent of support, so that the diagonal is recall."""
    k = len(group.classes)
    columns = 2 if len(results) == 4 else min(len(results), 3)
    rows = ceil(len(results) / columns)
    side, names = 0.34 * k, 0.07 * max(map(len, group.classes))  # inches
    named = 1 if len(results) == rows * columns else 2  # rows with names below a panel
    width = columns * max(side + 0.2, _TITLE_WIDTH) + names + 0.5
    # Nearly square cells by size alone: a fixed aspect would undo the layout's margins.
    height = rows * (side + 0.6) + named * (0.75 * names + 0.35) + 0.4
    figure = new_figure(max(width, _NOTE_WIDTH), height)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(results) :]:
        ax.set_axis_off()
    for number, (ax, result) in enumerate(zip(axes.flat, results, strict=False)):
        _matrix(ax, group, result)
        if number + columns >= len(results):  # nothing below it
            ax.set_xlabel("prediction")
            ax.tick_params(axis="x", labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel("label")
    about = "Percent of each label's clean pictures; empty: below 0.5."
    footnote(figure, group, results, f"{about} UAR with its 95% interval.")
    return figure


def _counts(group: ResultSet, result: Pooled) -> NDArray[np.int64]:
    """Labels by predictions, the last column ties, (K, K + 1); summed over seeds.

    In the group's order of classes, which need not be that of the classifier's logits.
    """
    k = len(group.classes)
    counts = np.zeros((k, k + 1), np.int64)
    for outcomes in result.outcomes:
        place = [group.classes.index(name) for name in outcomes.classes]
        own = metrics.confusion(outcomes.labels, outcomes.predictions, len(place))
        counts[np.ix_(place, [*place, k])] += own
    return counts


def _percent(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Over the support, ties included; zero where a class has no picture."""
    found: NDArray[np.float64] = (
        100 * counts[:, :-1] / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    )
    return found


def _matrix(ax: Axes, group: ResultSet, result: Pooled) -> None:
    counts = _counts(group, result)
    percent = _percent(counts)
    k = len(percent)
    edges = np.arange(k + 1)
    ax.pcolormesh(
        edges, edges, percent, cmap=_MAP, vmin=0, vmax=100, edgecolors="0.9", linewidth=0.5
    )
    for row, column in zip(*np.nonzero(percent >= 0.5), strict=True):
        value = percent[row, column]
        ax.text(
            column + 0.5, row + 0.5, f"{value:.0f}", fontsize=7, ha="center", va="center",
            color=ink(_MAP(value / 100)),
        )  # fmt: skip
    ax.set(xlim=(0, k), ylim=(k, 0))
    ax.grid(visible=False)
    ties = int(counts[:, -1].sum())
    tied = f", {ties} tied" if ties else ""
    ax.set_title(f"{shown(result.name)}\nUAR {result.metrics.uar}%{tied}", fontsize=9)
    names = [shown(name) for name in group.classes]
    ax.set_xticks(edges[:-1] + 0.5, names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(edges[:-1] + 0.5, names)


def _alt(group: ResultSet, results: Sequence[Pooled]) -> str:
    said = []
    for result in results:
        percent = _percent(_counts(group, result))
        np.fill_diagonal(percent, -1)
        row, column = np.unravel_index(percent.argmax(), percent.shape)
        worst = percent[row, column]
        about = f"{result.name} with UAR {result.metrics.uar.number}%"
        if worst > 0:
            about += f", which calls {worst:.0f}% of {group.classes[row]} {group.classes[column]}"
        said.append(about)
    return f"Confusion matrices on clean pictures of {listed(said)}."
