"""Mean accuracy over severities, as a map of classifiers and corruptions."""

from collections.abc import Iterator

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.figures.drawing import Drawing, extremes, footnote, ink, new_figure, shown
from bench.report.results import ResultSet
from bench.report.spec import AccuracyEstimate
from bench.report.tables import interval_name

Estimates = list[list[AccuracyEstimate | None]]

_MAP = matplotlib.colormaps["Blues"]  # its lightness falls steadily: the same map in grey


def heatmap_drawings(group: ResultSet) -> Iterator[Drawing]:
    """The map, where there is more than one corruption: one alone is a curve."""
    if len(group.perturbations("corruption")) > 1:
        estimates = mean_accuracies(group)
        yield Drawing(
            group.file_name("heatmap"),
            f"Mean accuracy by corruption, {group.slug}",
            _alt(group, estimates),
            "corruptions",
            heatmap(group, estimates),
        )


def heatmap(group: ResultSet, estimates: Estimates) -> Figure:
    """A cell per classifier and corruption, its mean accuracy over severities printed in it.

    Clean accuracy stands in front, the mean of all corruptions at the end. Chance and all below it
    have the lightest colour; a mean that lacks a severity is a dash.
    """
    values = _values(estimates)
    corruptions = [shown(name.replace("_", " ")) for name in group.perturbations("corruption")]
    above = ["clean", *corruptions, "mean"]
    beside = [shown(name) for name in group.names.values()]
    rows, columns = values.shape
    width = 0.36 * columns + 0.075 * max(map(len, beside)) + 1.2
    height = 0.25 * rows + 0.055 * max(map(len, above)) + (0.7 if width > 6 else 1.1)
    figure = new_figure(max(width, 4.5), height)
    ax = figure.subplots()
    chance = 100 / len(group.classes)
    _cells(ax, values, chance)
    ax.set_xticks(np.arange(columns) + 0.5, above, rotation=45, ha="left", rotation_mode="anchor")
    ax.xaxis.tick_top()
    ax.set_yticks(np.arange(rows) + 0.5, beside)
    ax.tick_params(length=0, pad=2)
    bar = figure.colorbar(ax.collections[0], ax=ax, fraction=0.05, pad=0.015, aspect=20)
    bar.set_label("accuracy (%)")
    ticks = [tick for tick in (20, 40, 60, 80, 100) if tick > chance + 8]
    bar.ax.set_yticks([chance, *ticks], ["chance", *map(str, ticks)])
    bar.outline.set_visible(False)
    intervals = [e.interval for row in estimates for e in row if e is not None]
    widest = max((50 * (interval.high - interval.low) for interval in intervals), default=0.0)
    about = (
        "Accuracy in percent: mean over the severities of each corruption; mean: over corruptions. "
        f"{interval_name(group)} intervals of the former and of clean accuracy are at most "
        f"{widest:.1f} points to a side. Lightest: chance ({chance:.1f}%) or below. –: a severity "
        "is missing."
    )
    swept = ((c, p) for c in group.names for p in group.perturbations("corruption"))
    footnote(figure, group, [r for c, p in swept for r in group.under(c, p)], about)
    return figure


def mean_accuracies(group: ResultSet) -> Estimates:
    """Per classifier: clean accuracy, then the mean of each corruption."""
    found: Estimates = []
    for classifier in group.names:
        clean = group.clean(classifier)
        means = [group.mean(classifier, p) for p in group.perturbations("corruption")]
        found.append([None if clean is None else clean.metrics.accuracy, *means])
    return found


def _values(estimates: Estimates) -> NDArray[np.float64]:
    """In percent, with a last column of means over corruptions; NaN where one is missing."""
    known = np.array([[np.nan if e is None else 100 * e.value for e in row] for row in estimates])
    return np.column_stack([known, known[:, 1:].mean(axis=1)])


def _cells(ax: Axes, values: NDArray[np.float64], chance: float) -> None:
    rows, columns = values.shape
    ax.pcolormesh(
        np.arange(columns + 1), np.arange(rows + 1), np.ma.masked_invalid(values), cmap=_MAP,
        vmin=chance, vmax=100, edgecolors="white", linewidth=0.5,
    )  # fmt: skip
    for (row, column), value in np.ndenumerate(values):
        missing = np.isnan(value)
        paper = (1.0, 1.0, 1.0, 1.0) if missing else _MAP((value - chance) / (100 - chance))
        ax.text(
            column + 0.5, row + 0.5, "–" if missing else f"{value:.0f}", fontsize=7, ha="center",
            va="center", color=ink(paper),
        )  # fmt: skip
    for between in (1, columns - 1):  # clean and the mean stand apart
        ax.axvline(between, color="white", linewidth=4)
    ax.set(xlim=(0, columns), ylim=(rows, 0))
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def _alt(group: ResultSet, estimates: Estimates) -> str:
    said = []
    for number, name in enumerate(group.perturbations("corruption"), 1):
        column = zip(group.names.values(), (row[number] for row in estimates), strict=True)
        known = [(who, estimate) for who, estimate in column if estimate is not None]
        if known:
            said.append(f"{name.replace('_', ' ')} {extremes(known)}")
    about = f"Map of mean accuracy of {len(group.names)} classifiers under {len(said)} corruptions."
    return f"{about} Lowest to highest: {'; '.join(said)}."
