"""Accuracy against the number of network evaluations that a decision costs."""

from collections.abc import Iterator, Mapping, Sequence
from math import floor

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from bench.report.figures.parts import Drawing, chance_line, footnote
from bench.report.figures.style import GREY, line_style, new_figure, shown
from bench.report.groups import Group, Pooled
from bench.report.spec import Estimate
from bench.report.tables import interval_name
from bench.report.traces.steps import AtSteps, steps_by_classifier
from bench.store import Store

_DODGE = 1.08  # between points of equal cost, as a factor


def steps_drawings(group: Group, store: Store) -> Iterator[Drawing]:
    """Where an EmoDC has traces of its clean pictures."""
    found = steps_by_classifier(group, store)
    if found:
        yield Drawing(
            group.file_name("evaluations"),
            f"Accuracy against evaluations, {group.slug}",
            _alt(group, found),
            "emodc",
            evaluations(group, found),
        )


def evaluations(group: Group, found: Mapping[str, Sequence[AtSteps]]) -> Figure:
    """A line per EmoDC over parts of its steps; the others are points at their own cost."""
    figure = new_figure(6.4, max(3.4, 0.19 * len(group.names) + 1.2))
    ax = figure.subplots()
    handles, used = [], []
    others = _others(group, found)
    for index, (classifier, name) in enumerate(group.names.items()):
        style = line_style(index)
        if classifier in found:
            points = found[classifier]
            _line(ax, points, index)
        elif classifier in others:
            x, accuracy = others[classifier]
            _point(ax, x, accuracy, index)
        else:
            continue
        used.append(group.clean(classifier))
        handle = style.handle(shown(name).replace(" (", "\n("))
        handle.set_linestyle(style.linestyle if classifier in found else "none")
        handles.append(handle)
    chance = 100 / len(group.classes)
    bottom = _bottom(
        [a for _, a in others.values()] + [p.accuracy for ps in found.values() for p in ps]
    )
    if chance > bottom:
        ax.axhline(chance, color=GREY, linewidth=1, linestyle=":")
        handles.append(chance_line(group))
    ax.set_xscale("log")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(ylim=(bottom, 100), xlabel="network evaluations per picture", ylabel="accuracy (%)")
    sns.despine(ax=ax)
    figure.legend(
        handles=handles, loc="outside right upper", frameon=False,
        handlelength=3.2,
    )  # fmt: skip
    about = (
        f"Clean pictures. Lines: EmoDC decides from evenly spaced parts of its stored steps; "
        f"points: classifiers at their one cost, equal costs side by side. Bands and bars: "
        f"{interval_name(group)} intervals."
    )
    footnote(figure, group, [pooled for pooled in used if pooled is not None], about)
    return figure


def _bottom(accuracies: Sequence[Estimate]) -> float:
    """Lower end of the axis in percent; it need not be 0, for these are no bars."""
    lowest = min(100 * accuracy.interval.low for accuracy in accuracies)
    return max(0.0, 10 * floor(lowest / 10 - 0.5))


def _others(
    group: Group, found: Mapping[str, Sequence[AtSteps]]
) -> dict[str, tuple[float, Estimate]]:
    """Place and accuracy of classifiers without a line; those of equal cost are set apart."""
    known: dict[float, list[tuple[str, Pooled]]] = {}
    for classifier in group.names:
        clean = group.clean(classifier)
        if classifier not in found and clean is not None and clean.metrics.evaluations:
            known.setdefault(clean.metrics.evaluations, []).append((classifier, clean))
    places = {}
    for cost, pairs in known.items():
        for number, (classifier, clean) in enumerate(pairs):
            aside = _DODGE ** (number - (len(pairs) - 1) / 2)
            places[classifier] = cost * aside, clean.metrics.accuracy
    return places


def _line(ax: Axes, points: Sequence[AtSteps], index: int) -> None:
    style = line_style(index)
    x = [point.evaluations for point in points]
    low = [100 * point.accuracy.interval.low for point in points]
    high = [100 * point.accuracy.interval.high for point in points]
    ax.fill_between(x, low, high, color=style.color, alpha=0.15, linewidth=0)
    ax.plot(
        x, [100 * point.accuracy.value for point in points], color=style.color,
        marker=style.marker, linestyle=style.linestyle, linewidth=1.5, markersize=4.5,
        markeredgecolor="white", markeredgewidth=0.5, zorder=3,
    )  # fmt: skip


def _point(ax: Axes, x: float, accuracy: Estimate, index: int) -> None:
    style, interval = line_style(index), accuracy.interval
    ax.vlines(x, 100 * interval.low, 100 * interval.high, color=style.color, linewidth=1.1)
    ax.plot(x, 100 * accuracy.value, color=style.color, marker=style.marker, markersize=4.5)


def _alt(group: Group, found: Mapping[str, Sequence[AtSteps]]) -> str:
    said = []
    for classifier, points in found.items():
        ends = [f"{p.accuracy.number}% at {p.evaluations:,.10g}" for p in (points[0], points[-1])]
        said.append(f"{group.names[classifier]} from {' to '.join(ends)} evaluations")
    for classifier, (_, accuracy) in _others(group, found).items():
        said.append(f"{group.names[classifier]} {accuracy.number}%")
    return f"Line chart of clean accuracy against network evaluations: {'; '.join(said)}."
