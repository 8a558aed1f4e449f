"""Recall of each class, on clean pictures and under the strongest corruptions."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.figures.conditions import Scores, conditions, mean_note
from bench.report.figures.forest import PANELS, Panel, few_note, forest, panel_of
from bench.report.figures.parts import (
    Drawing,
    evenly,
    extremes,
    footnote,
    listed,
    numbered,
    part_of,
)
from bench.report.groups import Group
from bench.report.tables import interval_name


def recall_drawings(group: Group) -> Iterator[Drawing]:
    """Of all classifiers that have a result under the corruptions."""
    kinds = conditions(group)
    own = [c for c in group.names if any(k.cells and k.of(group, c) for k in kinds)]
    parts = evenly(own, PANELS)
    for number, classifiers in enumerate(parts):
        panels = recall_panels(group, classifiers)
        yield Drawing(
            group.file_name(numbered("recall", number, len(parts))),
            part_of(f"Recall of each class under shift, {group.slug}", number, len(parts)),
            _alt(group, panels),
            "corruptions",
            recall(group, panels),
        )


def recall_panels(group: Group, classifiers: Sequence[str]) -> list[Panel]:
    """A panel per classifier, a row per class."""

    def parts(scores: Scores) -> list[NDArray[np.bool_]]:
        codes = {name: code for code, name in enumerate(scores.classes)}
        return [scores.labels == codes.get(name, -1) for name in group.classes]

    return [panel_of(group, c, conditions(group), parts) for c in classifiers]


def recall(group: Group, panels: Sequence[Panel]) -> Figure:
    """Dots of recall with intervals."""
    kinds = conditions(group)
    rows = [(float(place), name) for place, name in enumerate(group.classes)]
    figure = forest(group, rows, panels, kinds, "recall (%)")
    used = [pooled for c in group.names for kind in kinds for pooled in kind.of(group, c)]
    about = (
        f"Bars: {interval_name(group)} intervals; number of pictures in brackets; dashed: accuracy "
        f"on all of them.{mean_note(kinds)}{few_note(panels)}"
    )
    footnote(figure, group, used, about)
    return figure


def _alt(group: Group, panels: Sequence[Panel]) -> str:
    kinds = [kind.name for kind in conditions(group)]
    said = []
    for panel in panels:
        for name, dots in zip(kinds, panel.dots, strict=True):
            known = [(c, d.accuracy) for c, d in zip(group.classes, dots, strict=False) if d]
            if known:
                said.append(f"{panel.title}, {name}: {extremes(known)}")
    return f"Dots of the recall of each class, {listed(kinds)}. Range: {'; '.join(said)}."
