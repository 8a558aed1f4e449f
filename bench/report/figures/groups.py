"""Accuracy by group attribute, on clean pictures and under the strongest corruptions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.figures.conditions import Scores, conditions, mean_note
from bench.report.figures.forest import FEW, Panel, few_note, forest, panel_of
from bench.report.figures.parts import Drawing, evenly, footnote, numbered, part_of
from bench.report.groups import Group
from bench.report.tables import interval_name
from bench.store import Store

_PANELS = 5  # side by side, for there are many rows


@dataclass(frozen=True)
class Attributes:
    """What is known of the pictures of a group's data set.

    Attributes:
        values: Values of each attribute, in table order.
        samples: A row per sample id, a column per attribute.
    """

    values: dict[str, list[str]]
    samples: pd.DataFrame

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(attribute, value) of each row of a figure."""
        return [(name, value) for name, values in self.values.items() for value in values]


def attributes(group: Group, store: Store) -> Attributes | None:
    """None if the store does not know of any: its data set has none, or the run was older."""
    digest = str(group.results[0].manifest.inputs.get("data", ""))
    record, samples = store.dataset(group.dataset, digest), store.samples(group.dataset, digest)
    if record is None or samples is None or not record.groups:
        return None
    return Attributes(record.groups, samples.set_index("sample_id"))


def group_drawings(group: Group, store: Store) -> Iterator[Drawing]:
    """Of all classifiers with a clean result, if the store knows attributes of the pictures."""
    known = attributes(group, store)
    if known is None:
        return
    parts = evenly([c for c in group.names if group.clean(c) is not None], _PANELS)
    for number, classifiers in enumerate(parts):
        panels = group_panels(group, known, classifiers)
        yield Drawing(
            group.file_name(numbered("groups", number, len(parts))),
            part_of(f"Accuracy by group, {group.slug}", number, len(parts)),
            _alt(group, known, panels),
            "groups",
            groups(group, known, panels),
        )


def group_panels(group: Group, known: Attributes, classifiers: Sequence[str]) -> list[Panel]:
    """A panel per classifier, a row per value of each attribute."""

    def parts(scores: Scores) -> list[NDArray[np.bool_]]:
        own = known.samples.reindex(scores.ids)
        return [(own[name] == value).to_numpy(np.bool_) for name, value in known.rows]

    return [panel_of(group, c, conditions(group), parts) for c in classifiers]


def groups(group: Group, known: Attributes, panels: Sequence[Panel]) -> Figure:
    """Dots of accuracy with intervals, attributes apart."""
    kinds = conditions(group)
    rows, place = [], 0.0
    for name, values in known.values.items():
        for value in values:
            rows.append((place, f"{name}: {value}" if value == values[0] else value))
            place += 1
        place += 0.6
    figure = forest(group, rows, panels, kinds, "accuracy (%)")
    used = [pooled for c in group.names for kind in kinds for pooled in kind.of(group, c)]
    about = (
        f"Bars: {interval_name(group)} intervals, each group alone; number of pictures in brackets;"
        f" dashed: accuracy on all of them.{mean_note(kinds)}{few_note(panels)}"
    )
    footnote(figure, group, used, about)
    return figure


def _alt(group: Group, known: Attributes, panels: Sequence[Panel]) -> str:
    """The widest gap of each classifier and condition, among groups that can be ranked."""
    kinds = [kind.name for kind in conditions(group)]
    said = []
    for panel in panels:
        for kind, dots in zip(kinds, panel.dots, strict=True):
            gaps = []
            for name in known.values:
                own = [
                    100 * dot.accuracy.value
                    for (attribute, _), dot in zip(known.rows, dots, strict=False)
                    if attribute == name and dot is not None and dot.n >= FEW
                ]
                if len(own) > 1:
                    gaps.append((max(own) - min(own), name))
            if gaps:
                widest, name = max(gaps)
                said.append(f"{panel.title}, {kind}: {name} {widest:.1f} points")
    about = f"Dots of accuracy by {', '.join(known.values)}."
    return f"{about} Widest gap between best and worst: {'; '.join(said)}." if said else about
