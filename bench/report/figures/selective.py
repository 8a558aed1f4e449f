"""Selective accuracy: how much is right of what a classifier is sure of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.metrics import forecasts, selective_accuracy
from bench.report.figures.conditions import conditions, mean_note
from bench.report.figures.parts import Drawing, chance_line, evenly, footnote, numbered, part_of
from bench.report.figures.style import GREY, line_style, new_figure, shown
from bench.report.groups import Group
from bench.report.logits import with_logits
from bench.stats import wilson

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


def selective_drawings(group: Group) -> Iterator[Drawing]:
    """A panel per condition, a line per classifier whose logits are numbers."""
    found = lines_of(group)
    parts = evenly([c for c in group.names if any(key[0] == c for key in found)], _LINES)
    for number, own in enumerate(parts):
        yield Drawing(
            group.file_name(numbered("selective", number, len(parts))),
            part_of(f"Accuracy against coverage, {group.slug}", number, len(parts)),
            _alt(group, found, own),
            "confidence",
            selective(group, found, own),
        )


def lines_of(group: Group) -> Lines:
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


def selective(group: Group, found: Lines, classifiers: Sequence[str]) -> Figure:
    """Accuracy of the most confident pictures against their share, before the others in grey."""
    kinds = conditions(group)
    figure = new_figure(2.9 * len(kinds) + 1.9, 3.2)
    axes = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for number, (ax, kind) in enumerate(zip(axes, kinds, strict=True)):
        for index, classifier in enumerate(group.names):
            line = found.get((classifier, number))
            if line is not None:
                _draw(ax, line, index if classifier in classifiers else None)
        ax.axhline(100 / len(group.classes), color=GREY, linewidth=1, linestyle=":")
        ax.set(title=shown(kind.name), xlabel="coverage (%)", xlim=(0, 102), ylim=(0, 102))
        sns.despine(ax=ax)
    axes[0].set_ylabel("accuracy of those answered (%)")
    handles = [
        line_style(index).handle(shown(name).replace(" (", "\n("))
        for index, (classifier, name) in enumerate(group.names.items())
        if classifier in classifiers
    ]
    handles.append(chance_line(group))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=3.2)
    used = [p for c in classifiers for kind in kinds for p in kind.of(group, c)]
    about = (
        "The most confident pictures by softmax are answered. Bands: 95% Wilson intervals of those "
        f"answered, each coverage alone.{mean_note(kinds)}"
    )
    if len(classifiers) < len(group.names):
        about += " Grey: other classifiers."
    footnote(figure, group, used, about)
    return figure


def _draw(ax: Axes, line: Line, index: int | None) -> None:
    x, y = 100 * _COVERAGES, 100 * line.accuracy
    if index is None:
        ax.plot(x, y, color="0.85", linewidth=0.8, zorder=1)
        return
    style = line_style(index)
    pairs = zip(line.accuracy, line.answered, strict=True)
    ends = [wilson(share * n, int(n)) for share, n in pairs]
    low, high = [100 * e.low for e in ends], [100 * e.high for e in ends]
    ax.fill_between(x, low, high, color=style.color, alpha=0.12, linewidth=0)
    ax.plot(
        x, y, color=style.color, linestyle=style.linestyle, linewidth=1.4, marker=style.marker,
        markevery=6, markersize=4.2, zorder=3, clip_on=False,
    )  # fmt: skip


def _alt(group: Group, found: Lines, classifiers: Sequence[str]) -> str:
    kinds, half = conditions(group), int(np.argmin(np.abs(_COVERAGES - 0.5)))
    said = [
        f"{group.names[c]}, {kinds[number].name}: {100 * line.accuracy[half]:.1f}% of the most "
        f"confident half, {100 * line.accuracy[-1]:.1f}% of all"
        for (c, number), line in found.items()
        if c in classifiers
    ]
    return f"Lines of accuracy against the share of pictures answered. {'; '.join(said)}."
