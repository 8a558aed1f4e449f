"""The report as one page: a single HTML file that opens from disk and asks nothing of a network.

What a page holds is plain text: the template (page.html.j2, page.css, page.js) escapes it.
"""

import base64
import hashlib
import io
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Literal, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bench.report.figures import Drawn
from bench.report.findings import findings, informative, losses_table
from bench.report.outcomes import AccuracyEstimate, Difference, Flips, Number
from bench.report.present import relabel, relabelled
from bench.report.ranking import Mark
from bench.report.results import Result, Results, ResultSet
from bench.report.spec import (
    ABSENT,
    SEEN,
    Chapter,
    Link,
    TableSpec,
    Value,
    caption,
    how_to_read,
    interval_name,
    seen_cells,
    setting,
    sizes,
)
from bench.store.store import Store
from bench.util.errors import printable

# ------------------------------------------------------------------------------------------------
# Chapters: which tables and figures stand together, in which order
# ------------------------------------------------------------------------------------------------

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


# ------------------------------------------------------------------------------------------------
# A page and its file
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FigureFile:
    """A figure, as `bench.report.figures.drawing.save` writes it.

    Attributes:
        png: Its pixels; they stand in for an SVG that is too large.
        svg: The same figure as paths, if there is one.
        caption: Below it: what is drawn, and of what.
        alt: Read aloud in its place; says what kind of figure it is; the numbers are in tables.
    """

    png: Path
    svg: Path | None
    caption: str
    alt: str


@dataclass(frozen=True)
class PageSection:
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
        findings: Sentences above the summary.
        how_to_read: What holds for all tables: intervals, signs, checks.
        summary: What most readers came for; stands first.
        losses: Below it, what each classifier loses.
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
    sections: tuple[PageSection, ...] = ()
    classifiers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    provenance: tuple[TableSpec, ...] = ()
    commands: tuple[Command, ...] = ()
    findings: tuple[str, ...] = ()
    how_to_read: tuple[str, ...] = ()
    losses: tuple[TableSpec, ...] = ()

    def relabelled(self, labels: Mapping[str, str]) -> "Page":
        """The page with the classifiers' labels; commands keep their names."""
        shown, table = relabel(labels), partial(relabelled, labels=labels)
        return replace(
            self,
            findings=tuple(map(shown, self.findings)),
            summary=table(self.summary),
            losses=tuple(map(table, self.losses)),
            sections=tuple(
                replace(
                    own,
                    tables=tuple(map(table, own.tables)),
                    figures=tuple(
                        replace(f, caption=shown(f.caption), alt=shown(f.alt)) for f in own.figures
                    ),
                    notes=tuple(map(shown, own.notes)),
                )
                for own in self.sections
            ),
            classifiers=tuple(labels.get(name, name) for name in self.classifiers),
            missing=tuple(map(shown, self.missing)),
            provenance=tuple(map(table, self.provenance)),
        )


# ------------------------------------------------------------------------------------------------
# Figures inside the page, as data: addresses.


SVG_LIMIT = 300_000  # bytes; beyond, a browser is busy with paths that nobody can tell apart
BUDGET = 7_000_000  # characters of all figures together: the page stays below 10 MB


@dataclass(frozen=True)
class Picture:
    """A figure's address, and its size in CSS pixels, so that nothing moves while it loads."""

    address: str
    width: int
    height: int


def pictures(figures: Sequence[FigureFile], budget: int = BUDGET) -> list[Picture]:
    """One picture per figure: its SVG where that is small enough, else its pixels.

    Where all of them together exceed the budget, the largest give up their paths first. Pixels are
    packed as lossless WebP, a third of the PNG.
    """
    found = [_vector(figure) or _pixels(figure) for figure in figures]
    total = sum(len(address) for address in found)
    for i in sorted(range(len(found)), key=lambda i: -len(found[i])):
        if total <= budget:
            break
        packed = _pixels(figures[i])
        if len(packed) < len(found[i]):
            total -= len(found[i]) - len(packed)
            found[i] = packed
    sizes = (_size(figure.png) for figure in figures)
    return [Picture(address, *size) for address, size in zip(found, sizes, strict=True)]


def _vector(figure: FigureFile) -> str | None:
    if figure.svg is None or figure.svg.stat().st_size > SVG_LIMIT:
        return None
    return _address("image/svg+xml", figure.svg.read_bytes())


def _pixels(figure: FigureFile) -> str:
    packed = io.BytesIO()
    with Image.open(figure.png) as image:
        image.convert("RGB").save(packed, "WEBP", lossless=True, method=1)
    return _address("image/webp", packed.getvalue())


def _size(png: Path) -> tuple[int, int]:
    """At 96 pixels to an inch; 200 where the file does not say."""
    with Image.open(png) as image:
        dpi = float(image.info.get("dpi", (200.0, 200.0))[0])
        return round(image.width * 96 / dpi), round(image.height * 96 / dpi)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


# ------------------------------------------------------------------------------------------------
# Table values as the page wants them: what is shown, in how many parts, and what is sorted by.


# A number, or a text that begins with one: "504", "< 0.001", "4/255", "87.3 (85.1 to 89.0)".
_NUMBER = re.compile(
    r"(?:< )?(?P<top>[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:/(?P<bottom>[1-9]\d*))?(?=$|[ ,%-])"
)
_WITH_RANGE = re.compile(r"(?P<number>\S+) (?P<range>\[[^\[\]]*\])")
_FILTER_FROM = 12  # rows; fewer are seen at a glance
_PROSE_FROM = 28  # characters
_SCROLL_FROM = 40  # rows; more scroll below a header that stays
_CHOSEN_BY = ("run", "data set", "perturbation")  # columns
_MOST_CHOICES = 100

Kind = Literal["number", "text", "prose"]
_Named = TypeVar("_Named", str, tuple[str, str])


@dataclass(frozen=True)
class PageCell:
    """A value.

    Attributes:
        text: The number or the text.
        range: Its interval, in small type; empty if it has none.
        key: What a numeric column sorts by; empty for nothing, which sorts last.
        remark: Said below it: "not distinguishable".
        strong: Whether it is bold.
        tied: Whether it cannot be told from the best of its column.
        seen: Whether the classifier met the corruption in training.
        address: Where it leads; empty for nowhere.
    """

    text: str
    range: str = ""
    key: str = ""
    remark: str = ""
    strong: bool = False
    tied: bool = False
    seen: bool = False
    address: str = ""


@dataclass(frozen=True)
class PageRow:
    """Cells, and the numbers of the classifiers they name, space-separated."""

    cells: tuple[PageCell, ...]
    classifiers: str


@dataclass(frozen=True)
class PageTable:
    """A table, ready for the template.

    Attributes:
        anchor: Its address in the page.
        spec: What it was made of.
        kinds: Of the columns, (C,): prose has long texts, which need room to be read.
        rows: All of them.
        filtered: Whether it has a filter of its own.
        tall: Whether it scrolls below its header.
        choices: By column, the values of which readers may choose one.
    """

    anchor: str
    spec: TableSpec
    kinds: tuple[Kind, ...]
    rows: tuple[PageRow, ...]
    filtered: bool
    tall: bool
    choices: Mapping[int, tuple[str, ...]]


def table(spec: TableSpec, anchor: str, classifiers: Sequence[str]) -> PageTable:
    """What the template needs of a table."""
    numbers = {name: str(number) for number, name in enumerate(classifiers)}
    columns = ([row[column] for row in spec.rows] for column in range(len(spec.header)))
    rows = []
    for i, row in enumerate(spec.rows):
        cells = tuple(
            replace(cell(value, spec.marks.get((i, j))), seen=(i, j) in spec.seen)
            for j, value in enumerate(row)
        )
        own = dict.fromkeys(numbers[v] for v in row if isinstance(v, str) and v in numbers)
        rows.append(PageRow(cells, " ".join(own)))
    return PageTable(
        anchor,
        spec,
        tuple(map(_kind, columns)),
        tuple(rows),
        filtered=len(rows) >= _FILTER_FROM,
        tall=len(rows) >= _SCROLL_FROM,
        choices=_choices(spec),
    )


def _choices(spec: TableSpec) -> dict[int, tuple[str, ...]]:
    found = {}
    for column, name in enumerate(spec.header):
        if name in _CHOSEN_BY:
            values = tuple(dict.fromkeys(str(row[column]) for row in spec.rows if row[column]))
            if 1 < len(values) <= _MOST_CHOICES:
                found[column] = values
    return found


def cell(value: Value, mark: Mark | None = None) -> PageCell:
    """One value; a difference is bold where it is distinguishable."""
    strong, tied = mark == "best", mark == "tied"
    if value is None:
        return PageCell(ABSENT)
    key = sort_key(value)
    if isinstance(value, Link):
        return PageCell(str(value), "", key, address=value.address)
    if isinstance(value, Difference):
        remark = "" if value.distinguishable else "not distinguishable"
        strong = strong or value.distinguishable
        return PageCell(value.number, value.range, key, remark, strong, tied)
    if isinstance(value, AccuracyEstimate | Number):
        return PageCell(value.number, value.range, key, "", strong, tied)
    split = _WITH_RANGE.fullmatch(value) if key else None
    if split:
        return PageCell(split["number"], split["range"], key, "", strong, tied)
    return PageCell(value, "", key, "", strong, tied)


def sort_key(value: Value) -> str:
    """The number that a value is sorted by, in the unit shown; empty if it is none."""
    if isinstance(value, AccuracyEstimate | Difference):
        number = 100 * value.value
    elif isinstance(value, Number):
        number = value.value
    else:
        found = _NUMBER.match(value or "")
        if found is None:
            return ""
        number = float(found["top"]) / float(found["bottom"] or 1)
    return f"{number:.9g}" if math.isfinite(number) else ""


def _kind(values: Sequence[Value]) -> Kind:
    """Numbers are all numbers, as far as known; NaN is one."""
    known = [value for value in values if value is not None]
    if known and all(not isinstance(v, str) or sort_key(v) for v in known):
        return "number"
    return "prose" if any(len(str(value)) > _PROSE_FROM for value in known) else "text"


# ------------------------------------------------------------------------------------------------
# The page itself: one file without a single address outside it.


#: Addresses of the page's own parts.
_FIXED = ("main", "summary", "missing", "provenance", "commands")


def write_page(path: Path, page: Page) -> None:
    """Write `page` to `path`; the same page gives the same bytes.

    Args:
        path: Of the HTML file.
        page: What it holds.
    """
    # A path may hold bytes that are no text; they are shown as escapes.
    path.write_bytes(page_html(page).encode("utf-8", "backslashreplace"))


def page_html(page: Page) -> str:
    """The page as HTML."""
    style, script = _shipped("page.css"), _shipped("page.js")
    taken = set(_FIXED)

    def prepared(specs: Iterable[TableSpec]) -> list[PageTable]:
        named = ((spec, _unique(f"table-{spec.name}", taken)) for spec in specs)
        return [table(spec.filled(), anchor, page.classifiers) for spec, anchor in named]

    embedded = iter(pictures([figure for section in page.sections for figure in section.figures]))
    sections = [
        {
            "title": section.title,
            "anchor": _unique(section.anchor, taken),
            "notes": section.notes,
            "tables": prepared(section.tables),
            "figures": [(figure, next(embedded)) for figure in section.figures],
        }
        for section in page.sections
    ]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            summary=prepared([page.summary, *page.losses]),
            sections=sections,
            provenance=prepared(page.provenance),
        )
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bench.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: (
            printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shipped(name: str) -> str:
    return resources.files("bench.report").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing may load or run but this very style, this very script and pictures in the file."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; "
        f"script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'"
    )


def _unique(name: str, taken: set[str]) -> str:
    """An address made of `name` that no other part has; it is taken from then on."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "part"
    endings = (f"-{number}" if number > 1 else "" for number in count(1))
    anchor = next(base + ending for ending in endings if base + ending not in taken)
    taken.add(anchor)
    return anchor


# ------------------------------------------------------------------------------------------------
# The page of a store's results
# ------------------------------------------------------------------------------------------------


def assemble(
    out: Path, results: Results, chapters: Sequence[Contents], reference: str | None = None
) -> Page:
    """The page.

    Args:
        out: The folder of the run.
        results: What is shown.
        chapters: Tables and figures; those of provenance stand at the end of the page.
        reference: Of mCE, as asked for.
    """
    names = dict.fromkeys(name for group in results.groups for name in group.names.values())
    ends = [own for own in chapters if own.chapter == "provenance"]
    return Page(
        title="Robustness",
        intro=intro(results),
        findings=tuple(findings(results.groups, [s for own in chapters for s in own.tables])),
        how_to_read=tuple(how_to_read(results.groups)),
        summary=summary_table(results.groups),
        losses=tuple(own for g in results.groups if (own := losses_table(g)) is not None),
        sections=(
            *(_section(own) for own in chapters if own.chapter != "provenance"),
            PageSection("All cells", "cells", (cells_table(results),)),
        ),
        classifiers=tuple(names),
        missing=tuple(map(str, results.missing)),
        provenance=(*(spec for own in ends for spec in own.tables), *commands_tables(results)),
        commands=tuple(_commands(out, reference)),
    )


def summary_table(groups: Sequence[ResultSet]) -> TableSpec:
    """A row per classifier and data set: clean, mean of each corruption, attacks, cost, weights."""
    corruptions = _union(group.perturbations("corruption") for group in groups)
    attacks = _union(  # each at the budgets that say most of one data set or another
        [
            (attack, level)
            for attack in group.perturbations("attack")
            if (level := informative(group, attack)) is not None
        ]
        for group in groups
    )
    attacked: list[set[int]] = [set() for _ in attacks]
    rows: list[tuple[Value, ...]] = []
    met: set[tuple[int, int]] = set()
    for group in groups:
        first = len(rows)
        for classifier, name in group.names.items():
            clean = group.clean(classifier)
            row: list[Value] = [name, group.slug if len(groups) > 1 else None]
            row.append(None if clean is None else clean.accuracy)
            row += [group.mean(classifier, perturbation) for perturbation in corruptions]
            for sizes_of, (attack, level) in zip(attacked, attacks, strict=True):
                own = group.get(classifier, attack, level)
                row.append(None if own is None else own.accuracy)
                sizes_of |= set() if own is None else {own.n}
            row.append(None if clean is None else str(clean.n))
            cost = None if clean is None else clean.evaluations
            row.append(None if cost is None else Number(cost, 1))
            weights = [] if clean is None else [r.manifest.checkpoint for r in clean.results]
            row.append(" ".join(digest[:8] for digest in weights if digest) or None)
            rows.append(tuple(row))
        under = dict(enumerate(corruptions, start=3))
        met |= {(first + r, c) for r, c in seen_cells(group, under, rows[first:])}
    every = {row[-3] for row in rows}  # numbers of clean pictures
    header = (
        *("classifier", "data set", "clean", *(name.replace("_", " ") for name in corruptions)),
        *(
            f"{attack} {level}" + (f" (n {sizes([*n])})" if n and {*map(str, n)} != every else "")
            for n, (attack, level) in zip(attacked, attacks, strict=True)
        ),
        *("n", "evaluations", "checkpoint"),
    )
    intervals = " or ".join(dict.fromkeys(map(interval_name, groups)))
    about = (
        "Accuracy in percent: clean, mean over severities of each corruption, attacks at the "
        "budget where classifiers differ most; on n pictures, attacks on those in their header"
    )
    text = caption(about, intervals=f"{intervals} intervals")
    text += f" {SEEN}: seen in training." if met else ""
    return TableSpec("summary", "All classifiers", text, header, tuple(rows), seen=frozenset(met))


def cells_table(results: Results) -> TableSpec:
    """A row per complete cell, with the id of its folder."""
    header = (
        *("classifier", "data set", "perturbation", "severity", "seed", "n", "accuracy %"),
        *("UAR %", "macro-F1 %", "d_p", "cell"),
    )
    rows: list[tuple[Value, ...]] = []
    for result in results.complete:
        cell, m = result.cell, result
        where = cell.dataset, cell.perturbation, cell.severity, str(cell.seed)
        rows.append((result.name, *where, str(m.n), m.accuracy, m.uar, m.macro_f1, m.d_p, cell.id))
    about = (
        "Every complete cell, 95% Wilson intervals. Its files: cells/CLASSIFIER/CELL of the run."
    )
    return TableSpec("cells", "All cells", about, header, tuple(rows))


def commands_tables(results: Results) -> list[TableSpec]:
    """The command that computes each number, as the run has noted it; none if none has."""
    rows: dict[tuple[str, str, str], str] = {}
    found: list[Result | Flips] = [*results.complete, *results.flips, *results.levels]
    for result in found:
        cell, command = result.cell, result.manifest.command
        if command:
            rows[result.name, cell.dataset, cell.perturbation] = command
    about = "What computes the cells of a row; paths are as they were typed."
    header = ("classifier", "data set", "perturbation", "command")
    body = tuple((*where, command) for where, command in rows.items())
    return (
        [TableSpec("commands", "Commands behind the numbers", about, header, body)] if body else []
    )


def intro(results: Results) -> tuple[str, ...]:
    """What was measured on what, and how much of it."""
    sentences = []
    for group in results.groups:
        classifiers = f"{len(group.names)} classifier{'s' if len(group.names) > 1 else ''}"
        sentences.append(f"{classifiers}. {setting(group, group.results)}.")
    total = results.finished + len(results.missing)
    sentences.append(f"{results.finished} of {total} planned cells are complete.")
    sentences.append("A model card of every checkpoint lies beside this page, in cards/.")
    return tuple(sentences)


def _section(own: Contents) -> PageSection:
    figures = (FigureFile(f.png, f.svg, f"{f.title}. {f.caption}", f.alt) for f in own.figures)
    return PageSection(own.title, own.chapter, own.tables, tuple(figures), own.notes)


def _commands(out: Path, reference: str | None) -> list[Command]:
    """The run, the report, and the configuration; `commands_tables` has those of single numbers."""
    place = shlex.quote(str(out))
    chosen = "" if reference is None else f" --reference {shlex.quote(reference)}"
    configs = {name: own for name, own in Store(out).configs().items() if own}
    files = {name: "config.yaml" if len(configs) == 1 else f"{name}.yaml" for name in configs}
    runs = "\n".join(
        f"bench run robustness --config {shlex.quote(file)} --out {place}"
        for file in files.values() or ["config.yaml"]
    )
    return [
        Command(
            "All numbers, with the configuration below as a file; --classifiers and "
            "--perturbations narrow it.",
            runs,
        ),
        Command("This report, from the stored results.", f"bench report {place}{chosen}"),
        *(
            Command(
                f"{files[name]}: the configuration, with all defaults.",
                json.dumps(own, indent=2, ensure_ascii=False),
            )
            for name, own in configs.items()
        ),
    ]


def _union(lists: Iterable[Iterable[_Named]]) -> list[_Named]:
    return list(dict.fromkeys(name for names in lists for name in names))
