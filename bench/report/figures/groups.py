"""Accuracy by group attribute, on clean pictures and under the strongest corruptions."""

from collections.abc import Iterator, Sequence

from bench.report.attributes import Attribute, attributes
from bench.report.figures.conditions import conditions
from bench.report.figures.forest import Panel, Words, forest_drawings
from bench.report.figures.parts import Drawing, evenly
from bench.report.groups import Group
from bench.report.ranking import FEWEST
from bench.store import Store

_PANELS = 5  # side by side, for there are many rows
_WORDS = Words("groups", "Accuracy by group", "groups", "accuracy (%)")


def group_drawings(group: Group, store: Store) -> Iterator[Drawing]:
    """Of all classifiers with a clean result, if the store knows attributes of the pictures."""
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
