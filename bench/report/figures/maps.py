"""Maps in colour: mean accuracy by classifier and corruption, and confusion matrices."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench import stats as metrics
from bench.report.figures.drawing import (
    Drawing,
    caption_of,
    evenly,
    extremes,
    ink,
    is_emodc,
    labelled,
    listed,
    named,
    new_figure,
    numbered,
    part_of,
    shown,
)
from bench.report.outcomes import AccuracyEstimate
from bench.report.results import Result, Results, ResultSet
from bench.report.spec import interval_name, sizes

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
    beside = [shown(labelled(name)) for name in group.names.values()]
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
    missing = " –: a severity is missing." if np.isnan(values).any() else ""
    about = (
        "Accuracy in percent, mean over severities; mean: over corruptions. "
        f"{interval_name(group)} intervals are at most {widest:.1f} points to a side. Lightest: "
        f"chance ({chance:.1f}%) or below.{missing}"
    )
    swept = ((c, p) for c in group.names for p in group.perturbations("corruption"))
    caption_of(figure, group, [r for c, p in swept for r in group.under(c, p)], about)
    return figure


def mean_accuracies(group: ResultSet) -> Estimates:
    """Per classifier: clean accuracy, then the mean of each corruption."""
    found: Estimates = []
    for classifier in group.names:
        clean = group.clean(classifier)
        means = [group.mean(classifier, p) for p in group.perturbations("corruption")]
        found.append([None if clean is None else clean.accuracy, *means])
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
            column + 0.5, row + 0.5, "–" if missing else f"{value:.0f}", fontsize="small",
            ha="center", va="center", color=ink(paper),
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


# ------------------------------------------------------------------------------------------------
# Confusion matrices on clean pictures: a panel per classifier
# ------------------------------------------------------------------------------------------------

_PANELS = 6
_TITLE_WIDTH = 2.2  # inches for a classifier's name and its UAR


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
                _alt_of_matrices(group, own),
                "emodc" if of_emodc else "clean",
                confusions(group, own),
            )


def confusions(group: ResultSet, results: Sequence[Result]) -> Figure:
    """Clean confusion matrices, rows in percent of support, so that the diagonal is recall."""
    k = len(group.classes)
    columns = 2 if len(results) == 4 else min(len(results), 3)
    rows = ceil(len(results) / columns)
    side, names = 0.34 * k, 0.07 * max(map(len, group.classes))  # inches
    lowest = 1 if len(results) == rows * columns else 2  # rows with names below a panel
    width = columns * max(side + 0.2, _TITLE_WIDTH) + names + 0.5
    # Nearly square cells by size alone: a fixed aspect would undo the layout's margins.
    height = rows * (side + 0.6) + lowest * (0.75 * names + 0.35) + 0.4
    figure = new_figure(width, height)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(results) :]:
        ax.set_axis_off()
    for number, (ax, result) in enumerate(zip(axes.flat, results, strict=False)):
        _matrix(ax, group, result, named(result.name))
        if number + columns >= len(results):  # nothing below it
            ax.set_xlabel("prediction")
            ax.tick_params(axis="x", labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel("label")
    about = "Percent of each label's clean pictures; empty: below 0.5."
    caption_of(figure, group, results, f"{about} UAR with its 95% interval.")
    return figure


def _counts(group: ResultSet, result: Result) -> NDArray[np.int64]:
    """Labels by predictions, the last column ties, (K, K + 1); summed over seeds.

    In the group's order of classes, which need not be that of the classifier's logits.
    """
    k = len(group.classes)
    counts = np.zeros((k, k + 1), np.int64)
    for outcomes in result.each:
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


def _matrix(
    ax: Axes, group: ResultSet, result: Result, name: str, size: float | str = "small"
) -> None:
    """A panel; `name`, if any, stands above its UAR, `size` is that of the numbers in it."""
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
            column + 0.5, row + 0.5, f"{value:.0f}", fontsize=size, ha="center", va="center",
            color=ink(_MAP(value / 100)),
        )  # fmt: skip
    ax.set(xlim=(0, k), ylim=(k, 0))
    ax.grid(visible=False)
    ties = int(counts[:, -1].sum())
    tied = f", {ties} tied" if ties else ""
    above = f"{name}\n" if name else ""
    ax.set_title(f"{above}UAR {result.uar}%{tied}", fontsize="medium")
    names = [shown(name) for name in group.classes]
    ax.set_xticks(edges[:-1] + 0.5, names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(edges[:-1] + 0.5, names)


def _alt_of_matrices(group: ResultSet, results: Sequence[Result]) -> str:
    said = []
    for result in results:
        percent = _percent(_counts(group, result))
        np.fill_diagonal(percent, -1)
        row, column = np.unravel_index(percent.argmax(), percent.shape)
        worst = percent[row, column]
        about = f"{result.name} with UAR {result.uar.number}%"
        if worst > 0:
            about += f", which calls {worst:.0f}% of {group.classes[row]} {group.classes[column]}"
        said.append(about)
    return f"Confusion matrices on clean pictures of {listed(said)}."


# ------------------------------------------------------------------------------------------------
# The same of EmoDC's variants on several data sets, as figure 5 of arXiv 2603.29578 has them
# ------------------------------------------------------------------------------------------------

_VARIANTS, _SETS = 5, 4  # columns and rows of a figure
_SIDE = 2.0  # inches of a matrix, however many classes it has


def across_drawings(results: Results) -> Iterator[Drawing]:
    """A row of matrices per data set, a column per EmoDC; none unless one is on two data sets."""
    grid = {g: own for g in results.groups if (own := _emodcs(g))}
    if max((sum(c in own for own in grid.values()) for c in _classifiers(grid)), default=0) < 2:
        return
    columns, rows = evenly(_classifiers(grid), _VARIANTS), evenly(list(grid), _SETS)
    parts = [({g: grid[g] for g in groups}, own) for groups in rows for own in columns]
    for number, (shown_grid, classifiers) in enumerate(parts):
        yield Drawing(
            numbered("across-confusion", number, len(parts)),
            part_of("Confusion matrices of EmoDC across data sets", number, len(parts)),
            _alt_across(shown_grid),
            "data",
            _across(shown_grid, classifiers),
        )


def _emodcs(group: ResultSet) -> dict[str, Result]:
    clean = {c: own for c in group.names if (own := group.clean(c)) is not None}
    return {classifier: own for classifier, own in clean.items() if is_emodc(own)}


def _classifiers(grid: Mapping[ResultSet, Mapping[str, Result]]) -> list[str]:
    return list(dict.fromkeys(classifier for own in grid.values() for classifier in own))


def _across(grid: Mapping[ResultSet, Mapping[str, Result]], classifiers: Sequence[str]) -> Figure:
    longest = 0.07 * max(len(name) for group in grid for name in group.classes)  # inches
    figure = new_figure(
        (_SIDE + 0.15) * len(classifiers) + longest + 0.5,
        (0.75 * _SIDE + 0.75 * longest + 0.55) * len(grid) + 0.4,  # names below take width, too
    )
    axes = figure.subplots(len(grid), len(classifiers), squeeze=False)
    above = dict.fromkeys(classifiers)  # names still to be shown, each once
    for row, (group, own) in zip(axes, grid.items(), strict=True):
        size = min(7.5, 72 * 0.75 * _SIDE / len(group.classes) / 2)
        beside = shown(labelled(group.slug))  # of the row's first panel
        for ax, classifier in zip(row, classifiers, strict=True):
            result = own.get(classifier)
            if result is None:
                ax.set_axis_off()
                continue
            name = named(result.name) if classifier in above else ""
            above.pop(classifier, None)
            _matrix(ax, group, result, name, size)
            ax.tick_params(labelsize=size, pad=1)
            if beside:
                ax.set_ylabel(beside)
                beside = ""
            else:
                ax.set_yticklabels([])
    n = "; ".join(
        f"{labelled(g.slug)} {sizes([r.n for r in own.values()])}" for g, own in grid.items()
    )
    means = " Means over seeds." if any(group.several for group in grid) else ""
    figure.set_label(
        "Percent of each label's (row's) clean pictures; empty: below 0.5. UAR, the mean class "
        f"accuracy, with its 95% interval.{means} n: {n}."
    )
    return figure


def _alt_across(grid: Mapping[ResultSet, Mapping[str, Result]]) -> str:
    said = [
        f"{group.slug}: {listed([f'{r.name} {r.uar.number}%' for r in own.values()])}"
        for group, own in grid.items()
    ]
    return f"Confusion matrices of EmoDC on clean pictures; UAR on {'; '.join(said)}."
