"""What a page holds. All text is plain: the template escapes it."""

from dataclasses import dataclass
from pathlib import Path

from bench.report.spec import TableSpec


@dataclass(frozen=True)
class FigureFile:
    """A figure, as `bench.report.figures.style.save` writes it.

    Attributes:
        png: Its pixels; they stand in for an SVG that is too large.
        svg: The same figure as paths, if there is one.
        caption: Below it: what is drawn, and of what.
        alt: Read aloud in its place; says what kind of figure it is, for the numbers are in tables.
    """

    png: Path
    svg: Path | None
    caption: str
    alt: str


@dataclass(frozen=True)
class Section:
    """Tables and figures under one heading.

    Attributes:
        title: The heading.
        anchor: Its address in the page; a number is added where two are the same.
        tables: In order.
        figures: Below the tables.
        notes: Sentences below the heading.
    """

    title: str
    anchor: str
    tables: tuple[TableSpec, ...] = ()
    figures: tuple[FigureFile, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """Something to type or to save, with a button that copies it.

    Attributes:
        what: What it gives.
        text: The command or the file's content; may have several lines.
    """

    what: str
    text: str


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: Of the document, and its only first heading.
        intro: Plain sentences below it.
        summary: What most readers came for; stands first.
        sections: The rest, in order.
        classifiers: Names as tables show them. A row that has one among its values belongs to that
            classifier and can be hidden with it; other rows always show.
        missing: A sentence for each planned cell without a result.
        provenance: What stands behind the numbers.
        commands: How to get them again.
    """

    title: str
    intro: tuple[str, ...]
    summary: TableSpec
    sections: tuple[Section, ...] = ()
    classifiers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    provenance: tuple[TableSpec, ...] = ()
    commands: tuple[Command, ...] = ()
