"""The chapters of a report: which tables and figures stand together, in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.report.figures import Drawn
from bench.report.spec import Chapter, TableSpec

TITLES: dict[Chapter, str] = {
    "data": "Data sets",
    "clean": "Clean pictures",
    "corruptions": "Corruptions",
    "attacks": "Attacks",
    "confidence": "Confidence and agreement",
    "groups": "Groups of pictures",
    "emodc": "EmoDC's decisions and their cost",
    "ablation": "EmoDC's variants",
    "diagnostics": "EmoDC's errors by prompt and timestep",
    "provenance": "Provenance",
}


@dataclass(frozen=True)
class Contents:
    """A chapter.

    Attributes:
        chapter: Which.
        tables: In order.
        figures: In order.
        notes: Sentences below the title.
    """

    chapter: Chapter
    tables: tuple[TableSpec, ...]
    figures: tuple[Drawn, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """As readers see it."""
        return TITLES[self.chapter]


def contents(
    tables: Sequence[TableSpec], figures: Sequence[Drawn], notes: Mapping[Chapter, Sequence[str]]
) -> list[Contents]:
    """The chapters that have something in them."""
    found = (
        Contents(
            chapter,
            tuple(spec for spec in tables if spec.chapter == chapter),
            tuple(figure for figure in figures if figure.chapter == chapter),
            tuple(notes.get(chapter, ())),
        )
        for chapter in TITLES
    )
    return [own for own in found if own.tables or own.figures or own.notes]
