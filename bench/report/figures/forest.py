"""The conditions that clean pictures are compared with: corruptions at their strongest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bench.report.figures.drawing import (
    GREY,
    Drawing,
    caption_of,
    chance_line,
    evenly,
    extremes,
    legend_columns,
    listed,
    named,
    new_figure,
    numbered,
    other_style,
    part_of,
    shown,
)
from bench.report.outcomes import AccuracyEstimate, recognised, share, shared_samples
from bench.report.ranking import FEWEST
from bench.report.results import CLASS, Attribute, Result, ResultSet, attributes, classes
from bench.report.spec import Chapter, interval_name, sizes
from bench.store.store import Store

_EACH = 3  # as many corruptions have marks of their own; of more, only the mean is legible


@dataclass(frozen=True)
class Condition:
    """Clean pictures, or one or several corruptions at their highest planned severity.

    Attributes:
        name: As shown.
        cells: (perturbation, severity) of each; none for clean pictures.
    """

    name: str
    cells: tuple[tuple[str, str], ...]

    def of(self, group: ResultSet, classifier: str) -> list[Result]:
        """The classifier's results, one per cell; none if one is missing."""
        if not self.cells:
            clean = group.clean(classifier)
            return [] if clean is None else [clean]
        found = [group.get(classifier, *cell) for cell in self.cells]
        known = [pooled for pooled in found if pooled is not None]
        same = len({pooled.seeds for pooled in known}) == 1
        return known if same and len(known) == len(found) else []


def conditions(group: ResultSet) -> list[Condition]:
    """Clean, then each corruption at its strongest, or the mean of all if they are many."""
    strongest = [(p, group.severities(p)[-1]) for p in group.perturbations("corruption")]
    found = [Condition("clean", ())] if group.perturbations("clean") else []
    if len(strongest) <= _EACH:
        return found + [Condition(f"{p.replace('_', ' ')} {s}", ((p, s),)) for p, s in strongest]
    name = f"{len(strongest)} corruptions, strongest"
    return [*found, Condition(name, tuple(strongest))]


class Dot(NamedTuple):
    """An accuracy, and the number of pictures behind it."""

    accuracy: AccuracyEstimate
    n: int


@dataclass(frozen=True, eq=False)
class PartScores:
    """How often each picture was recognised under a condition, for the parts of a data set.

    Attributes:
        ids: (N,).
        shares: Share of the condition's corruptions under which each is recognised, (seeds, N).
    """

    ids: NDArray[np.object_]
    shares: NDArray[np.float64]

    def among(self, chosen: NDArray[np.bool_]) -> "Dot | None":
        """Accuracy on some of the pictures, a mask (N,); None if there is none.

        A picture is one trial however many corruptions it went through.
        """
        part = self.shares[:, chosen]
        return Dot(share(part), part.shape[1]) if part.size else None


def scores(results: Sequence[Result]) -> PartScores:
    """Scores of a condition's results, on the samples that all have."""
    outcomes = shared_samples([r.outcomes for pooled in results for r in pooled.results])
    right = recognised(outcomes).reshape(len(results), len(results[0].seeds), -1)
    return PartScores(outcomes[0].ids, right.mean(axis=0))


def mean_note(kinds: Sequence[Condition]) -> str:
    """What a mean over corruptions is, if there is one among the conditions."""
    if all(len(kind.cells) < 2 for kind in kinds):
        return ""
    return " Corruptions: mean of all at their strongest."


# ------------------------------------------------------------------------------------------------
# Dots with intervals: a panel per classifier, rows that all share, a mark per condition.


_TALL = 12  # rows beyond which panels stand side by side only


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


@dataclass(frozen=True)
class Words:
    """What is said of a figure.

    Attributes:
        name: Base of its file name, within the group.
        title: A few words, without the group.
        chapter: Where it stands in a report.
        x_label: Of every panel.
    """

    name: str
    title: str
    chapter: Chapter
    x_label: str


def forest_drawings(
    group: ResultSet,
    attributes: Sequence[Attribute],
    parts: Sequence[Sequence[str]],
    words: Words,
    alt: Callable[[Sequence[Panel]], str],
) -> Iterator[Drawing]:
    """A figure of each part of the classifiers, with a row per value of the attributes.

    Args:
        group: What is shown.
        attributes: What divides the pictures; of the class only, its values stand alone.
        parts: Classifiers of each figure.
        words: What is said of each.
        alt: Says what is seen.
    """
    kinds = conditions(group)
    used = [pooled for c in group.names for kind in kinds for pooled in kind.of(group, c)]
    for number, classifiers in enumerate(parts):
        panels = [_panel_of(group, classifier, kinds, attributes) for classifier in classifiers]
        figure = _forest(group, _rows(attributes), panels, kinds, words.x_label)
        about = (
            f"Bars: {interval_name(group)} intervals; in brackets: number of pictures; "
            f"dashed: accuracy on all.{mean_note(kinds)}{_few_note(panels)}"
        )
        caption_of(figure, group, used, about)
        yield Drawing(
            group.file_name(numbered(words.name, number, len(parts))),
            part_of(f"{words.title}, {group.slug}", number, len(parts)),
            alt(panels),
            words.chapter,
            figure,
        )


def _panel_of(
    group: ResultSet, classifier: str, kinds: Sequence[Condition], attributes: Sequence[Attribute]
) -> Panel:
    dots: list[list[Dot | None]] = []
    whole: list[Dot | None] = []
    for kind in kinds:
        found = kind.of(group, classifier)
        own = scores(found) if found else None
        masks = [] if own is None else [m for each in attributes for m in each.masks(own.ids)]
        dots.append([] if own is None else [own.among(mask) for mask in masks])
        whole.append(None if own is None else own.among(np.ones(len(own.ids), np.bool_)))
    return Panel(group.names[classifier], dots, whole)


def _rows(attributes: Sequence[Attribute]) -> list[tuple[float, str]]:
    """Height, downwards, and name of each row; attributes apart."""
    rows, place = [], 0.0
    for attribute in attributes:
        for value in attribute.values:
            first = value == attribute.values[0] and attribute.name != CLASS
            rows.append((place, f"{attribute.name}: {value}" if first else value))
            place += 1
        place += 0.6
    return rows


def _forest(
    group: ResultSet,
    rows: Sequence[tuple[float, str]],
    panels: Sequence[Panel],
    kinds: Sequence[Condition],
    x_label: str,
) -> Figure:
    """The figure without its footnote; the number of pictures is added to the names of rows."""
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
        ax.set_title(named(panel.title, width), fontsize="medium")
        ax.axvline(100 / len(group.classes), color=GREY, linewidth=1, linestyle=":")
        if number + columns >= len(panels):  # nothing below it
            ax.set_xlabel(x_label)
            ax.tick_params(axis="x", labelbottom=True)
    axes[0, 0].set(xlim=(0, 100), ylim=(high, low), xticks=range(0, 101, 50 if tall else 25))
    axes[0, 0].set_yticks(places, labels)
    handles = [_handle(index, kind.name) for index, kind in enumerate(kinds)]
    figure.legend(
        handles=[*handles, chance_line(group)], loc="outside upper left",
        ncols=min(len(handles) + 1, legend_columns(figure, 1.4)), frameon=False,
    )  # fmt: skip
    return figure


def _few_note(panels: Sequence[Panel]) -> str:
    """What hollow dots mean, if there are any."""
    known = (dot for panel in panels for dots in panel.dots for dot in dots if dot is not None)
    hollow = any(dot.n < FEWEST for dot in known)
    return f" Hollow: fewer than {FEWEST} pictures, too few to rank." if hollow else ""


def _labels(rows: Sequence[tuple[float, str]], panels: Sequence[Panel]) -> list[str]:
    found = []
    for number, (_, name) in enumerate(rows):
        columns = [dots[number] for panel in panels for dots in panel.dots if dots]
        counts = {dot.n for dot in columns if dot is not None}
        found.append(f"{shown(name)} ({sizes(list(counts)) if counts else 0})")
    return found


def _panel(ax: Axes, places: Sequence[float], panel: Panel) -> None:
    for index, (dots, whole) in enumerate(zip(panel.dots, panel.whole, strict=True)):
        style = other_style(index)
        aside = 0.56 * ((index + 0.5) / len(panel.dots) - 0.5)
        known = [(place + aside, dot) for place, dot in zip(places, dots, strict=False) if dot]
        low = [100 * dot.accuracy.interval.low for _, dot in known]
        high = [100 * dot.accuracy.interval.high for _, dot in known]
        ax.hlines([y for y, _ in known], low, high, color=style.color, linewidth=1.1)
        for hollow in (False, True):
            own = [(100 * dot.accuracy.value, y) for y, dot in known if (dot.n < FEWEST) == hollow]
            if own:
                ax.plot(
                    *zip(*own, strict=True), linestyle="none", marker=style.marker, markersize=4.2,
                    color=style.color, markerfacecolor="white" if hollow else style.color,
                    clip_on=False, zorder=3,
                )  # fmt: skip
        if whole is not None:
            x = 100 * whole.accuracy.value
            ax.axvline(x, color=style.color, linewidth=0.8, dashes=(4, 2), zorder=1)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)


def _handle(index: int, name: str) -> Line2D:
    style = other_style(index)
    return Line2D(
        [], [], color=style.color, marker=style.marker, markersize=4.2, linewidth=1.1,
        label=shown(name),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------
# Accuracy by group attribute, on clean pictures and under the strongest corruptions.


_PANELS = 5  # side by side, because there are many rows
_WORDS = Words("groups", "Accuracy by group", "groups", "accuracy (%)")


def group_drawings(group: ResultSet, store: Store) -> Iterator[Drawing]:
    """Accuracy by group of pictures, of all classifiers with a clean result."""
    known = attributes(group, store)
    if not known:
        return
    kinds = [kind.name for kind in conditions(group)]
    parts = evenly([c for c in group.names if group.clean(c) is not None], _PANELS)

    def alt(panels: Sequence[Panel]) -> str:
        return _alt(kinds, known, panels)

    yield from forest_drawings(group, known, parts, _WORDS, alt)


def _alt(kinds: Sequence[str], known: Sequence[Attribute], panels: Sequence[Panel]) -> str:
    """The widest gap of each classifier and condition, among groups that can be ranked."""
    names = [attribute.name for attribute in known for _ in attribute.values]
    said = []
    for panel in panels:
        for kind, dots in zip(kinds, panel.dots, strict=True):
            large: dict[str, list[float]] = {}
            for name, dot in zip(names, dots, strict=False):
                if dot is not None and dot.n >= FEWEST:
                    large.setdefault(name, []).append(100 * dot.accuracy.value)
            gaps = [(max(own) - min(own), name) for name, own in large.items() if len(own) > 1]
            if gaps:
                widest, name = max(gaps)
                said.append(f"{panel.title}, {kind}: {name} {widest:.1f} points")
    about = f"Dots of accuracy by {', '.join(attribute.name for attribute in known)}."
    return f"{about} Widest gap between best and worst: {'; '.join(said)}." if said else about


# ------------------------------------------------------------------------------------------------
# Recall of each class, on clean pictures and under the strongest corruptions.


_RECALL_PANELS = 6
_RECALL_WORDS = Words("recall", "Recall of each class under shift", "corruptions", "recall (%)")


def recall_drawings(group: ResultSet) -> Iterator[Drawing]:
    """Recall by class under the corruptions, of all classifiers with a result there."""
    kinds, label = conditions(group), classes(group)
    own = [c for c in group.names if any(k.cells and k.of(group, c) for k in kinds)]

    def alt(panels: Sequence[Panel]) -> str:
        return _recall_alt([kind.name for kind in kinds], label, panels)

    yield from forest_drawings(group, [label], evenly(own, _RECALL_PANELS), _RECALL_WORDS, alt)


def _recall_alt(kinds: Sequence[str], label: Attribute, panels: Sequence[Panel]) -> str:
    said = []
    for panel in panels:
        for name, dots in zip(kinds, panel.dots, strict=True):
            known = [(c, d.accuracy) for c, d in zip(label.values, dots, strict=False) if d]
            if known:
                said.append(f"{panel.title}, {name}: {extremes(known)}")
    return f"Dots of the recall of each class, {listed(kinds)}. Range: {'; '.join(said)}."
