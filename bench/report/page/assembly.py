"""The page of a store's results: its chapters, a summary first, and how to get every number."""

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.report.chapters import Contents
from bench.report.findings import findings, informative
from bench.report.groups import Result, ResultSet
from bench.report.outcomes import Flips
from bench.report.page.build import Command, FigureFile, Page, PageSection
from bench.report.results import Results
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables import caption, how_to_read, interval_name, setting


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
        intro=_intro(results),
        findings=tuple(findings(results.groups, [s for own in chapters for s in own.tables])),
        how_to_read=tuple(how_to_read(results.groups)),
        summary=summary_table(results.groups),
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
    """A row per classifier and data set: clean, mean of each corruption, attacks, cost."""
    corruptions = _union(group.perturbations("corruption") for group in groups)
    attacks = _union(group.perturbations("attack") for group in groups)
    header = ("classifier", "data set", "n", "clean", *corruptions, *attacks, "evaluations/image")
    rows: list[tuple[Value, ...]] = []
    for group in groups:
        for classifier, name in group.names.items():
            clean = group.clean(classifier)
            row: list[Value] = [name, group.slug]
            row += [None, None] if clean is None else [str(clean.metrics.n), clean.metrics.accuracy]
            row += [group.mean(classifier, perturbation) for perturbation in corruptions]
            for attack in attacks:
                level = informative(group, attack)
                own = None if level is None else group.get(classifier, attack, level)
                row.append(None if own is None else own.metrics.accuracy)
            cost = None if clean is None else clean.metrics.evaluations
            row.append(None if cost is None else Number(cost, 1))
            rows.append(tuple(row))
    intervals = " or ".join(dict.fromkeys(map(interval_name, groups)))
    about = (
        "Accuracy in percent: clean (n), mean over severities of each corruption, each attack at "
        "the budget where classifiers differ most (on some of the pictures); cost last"
    )
    text = caption(about, intervals=f"{intervals} intervals")
    return TableSpec("summary", "All classifiers", text, header, tuple(rows))


def cells_table(results: Results) -> TableSpec:
    """A row per complete cell, with the id of its folder."""
    header = (
        *("classifier", "data set", "perturbation", "severity", "seed", "n", "accuracy %"),
        *("UAR %", "macro-F1 %", "d_p", "cell"),
    )
    rows: list[tuple[Value, ...]] = []
    for result in results.complete:
        cell, m = result.cell, result.metrics
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


def _intro(results: Results) -> tuple[str, ...]:
    sentences = []
    for group in results.groups:
        classifiers = f"{len(group.names)} classifier{'s' if len(group.names) > 1 else ''}"
        sentences.append(f"{classifiers}. {setting(group, group.results)}.")
    total = results.finished + len(results.missing)
    sentences.append(f"{results.finished} of {total} planned cells are complete.")
    sentences.append("A model card of every checkpoint lies beside this page, in cards/.")
    return tuple(sentences)


def _section(own: Contents) -> PageSection:
    figures = (FigureFile(f.png, f.svg, f"{f.title}.", f.alt) for f in own.figures)
    return PageSection(own.title, own.chapter, own.tables, tuple(figures), own.notes)


def _commands(out: Path, reference: str | None) -> list[Command]:
    """The run, the report, and the configuration; `commands_tables` has those of single numbers."""
    place = shlex.quote(str(out))
    chosen = "" if reference is None else f" --reference {shlex.quote(reference)}"
    commands = [
        Command(
            "All numbers, with the configuration below as config.yaml; --classifiers and "
            "--perturbations narrow it.",
            f"bench run robustness --config config.yaml --out {place}",
        ),
        Command("This report, from the stored results.", f"bench report {place}{chosen}"),
    ]
    config = json.loads((out / "plan.json").read_text(encoding="utf-8")).get("config")
    if config:
        text = json.dumps(config, indent=2, ensure_ascii=False)
        commands.append(Command("config.yaml: the configuration, with all defaults.", text))
    return commands


def _union(lists: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in lists for name in names))
