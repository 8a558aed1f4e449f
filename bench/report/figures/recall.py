"""Recall of each class, on clean pictures and under the strongest corruptions."""

from collections.abc import Iterator, Sequence

from bench.report.attributes import Attribute, classes
from bench.report.figures.conditions import conditions
from bench.report.figures.forest import Panel, Words, forest_drawings
from bench.report.figures.parts import Drawing, evenly, extremes, listed
from bench.report.groups import Group

_PANELS = 6
_WORDS = Words("recall", "Recall of each class under shift", "corruptions", "recall (%)")


def recall_drawings(group: Group) -> Iterator[Drawing]:
    """Of all classifiers that have a result under the corruptions."""
    kinds, label = conditions(group), classes(group)
    own = [c for c in group.names if any(k.cells and k.of(group, c) for k in kinds)]

    def alt(panels: Sequence[Panel]) -> str:
        return _alt([kind.name for kind in kinds], label, panels)

    yield from forest_drawings(group, [label], evenly(own, _PANELS), _WORDS, alt)


def _alt(kinds: Sequence[str], label: Attribute, panels: Sequence[Panel]) -> str:
    said = []
    for panel in panels:
        for name, dots in zip(kinds, panel.dots, strict=True):
            known = [(c, d.accuracy) for c, d in zip(label.values, dots, strict=False) if d]
            if known:
                said.append(f"{panel.title}, {name}: {extremes(known)}")
    return f"Dots of the recall of each class, {listed(kinds)}. Range: {'; '.join(said)}."
