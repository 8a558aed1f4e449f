"""The page of a store's results: which table and figure stands where."""

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.report.diagnostic_tables import correlation_table, margin_table, timestep_table
from bench.report.diagnostics import Diagnosis
from bench.report.figures import Drawn
from bench.report.figures.diagnostics import names_of
from bench.report.groups import Group
from bench.report.page.parts import Command, FigureFile, Page, Section
from bench.report.results import Results
from bench.report.spec import TableSpec, Value
from bench.report.tables import DRAWN, interval_name, setting

_FIRST_PARTS = {  # by the section of a figure
    "clean": "Clean pictures",
    "corruptions": "Corruptions",
    "attacks": "Attacks",
    "groups": "Groups",
    "calibration": "Calibration",
    "emodc": "EmoDC",
    "ablation": "Ablation",
}


def assemble(
    out: Path,
    results: Results,
    specs: Sequence[TableSpec],
    figures: Sequence[Drawn],
    diagnoses: Sequence[Diagnosis],
    absent: Sequence[str],
) -> Page:
    """The page.

    Args:
        out: The folder of the run.
        results: What is shown.
        specs: The tables of `bench.report.tables` and `bench.report.ablation`.
        figures: Those of `bench.report.figures.write_figures`.
        diagnoses: What traces say.
        absent: Why EmoDCs have no diagnostics.
    """
    placed: dict[str, list[TableSpec]] = {}
    for spec in specs:
        placed.setdefault(_part_of(spec, results.groups), []).append(spec)
    sections = []
    of_traces = {name for diagnosis in diagnoses for name in names_of(diagnosis)}
    for section, title in _FIRST_PARTS.items():
        own = [_figure(f) for f in figures if f.section == section and f.name not in of_traces]
        if title in placed or own:
            sections.append(
                Section(title, _anchor(title), tuple(placed.get(title, ())), tuple(own))
            )
    if diagnoses or absent:
        sections.append(_diagnostics(diagnoses, figures, absent))
    sections.append(Section("All cells", "cells", (cells_table(results),)))
    names = dict.fromkeys(name for group in results.groups for name in group.names.values())
    return Page(
        title="Robustness",
        intro=_intro(results),
        summary=summary_table(results.groups),
        sections=tuple(sections),
        classifiers=tuple(names),
        missing=tuple(map(str, results.missing)),
        provenance=tuple(placed.get("Provenance", ())),
        commands=tuple(_commands(out, results)),
    )


def summary_table(groups: Sequence[Group]) -> TableSpec:
    """A row per classifier and data set: clean, mean of each corruption, each strongest attack."""
    corruptions = _union(group.perturbations("corruption") for group in groups)
    attacks = _union(group.perturbations("attack") for group in groups)
    header = ("classifier", "data set", "n", "clean", *corruptions, *attacks)
    rows: list[tuple[Value, ...]] = []
    for group in groups:
        for classifier, name in group.names.items():
            clean = group.clean(classifier)
            row: list[Value] = [name, group.slug]
            row += [None, None] if clean is None else [str(clean.metrics.n), clean.metrics.accuracy]
            row += [group.mean(classifier, perturbation) for perturbation in corruptions]
            for attack in attacks:
                strongest = group.get(classifier, attack, (group.severities(attack) or [""])[-1])
                row.append(None if strongest is None else strongest.metrics.accuracy)
            rows.append(tuple(row))
    intervals = " or ".join(dict.fromkeys(map(interval_name, groups)))
    about = [
        f"Accuracy in percent with {intervals} intervals: on clean pictures, under each corruption "
        "as the mean over its severities, under each attack at its largest budget. n: clean "
        "pictures; attacks run on some of them, and the sections below say on how many."
    ]
    if any(value is None for row in rows for value in row):
        about.append("–: not applicable or not measured.")
    if any(group.drawn for group in groups):
        about.append(DRAWN)
    return TableSpec("summary", "All classifiers", " ".join(about), header, tuple(rows))


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
        "Every complete cell, with 95% Wilson intervals. Its rows and its manifest lie in "
        "cells/CLASSIFIER/CELL of the run's folder."
    )
    return TableSpec("cells", "All cells", about, header, tuple(rows))


def _intro(results: Results) -> tuple[str, ...]:
    sentences = []
    for group in results.groups:
        classifiers = f"{len(group.names)} classifier{'s' if len(group.names) > 1 else ''}"
        sentences.append(f"{classifiers}. {setting(group, group.results)}.")
    total = len(results.complete) + len(results.missing)
    sentences.append(f"{len(results.complete)} of {total} planned cells are complete.")
    return tuple(sentences)


def _part_of(spec: TableSpec, groups: Sequence[Group]) -> str:
    """The section of a table, by its name."""
    for group in groups:
        for title, names in (
            ("Clean pictures", ["clean"]),
            ("Provenance", ["provenance"]),
            ("Corruptions", group.perturbations("corruption")),
            ("Attacks", group.perturbations("attack")),
        ):
            if spec.name in map(group.file_name, names):
                return title
    return "Ablation"


def _figure(figure: Drawn) -> FigureFile:
    return FigureFile(figure.png, figure.svg, f"{figure.title}.", figure.alt)


def _diagnostics(
    diagnoses: Sequence[Diagnosis],
    drawn: Sequence[Drawn],
    absent: Sequence[str],
) -> Section:
    specs: list[TableSpec] = []
    figures: list[FigureFile] = []
    for diagnosis in diagnoses:
        made = (correlation_table(diagnosis), timestep_table(diagnosis), margin_table(diagnosis))
        specs += [spec for spec in made if spec.rows]
        figures += [_figure(figure) for figure in drawn if figure.name in names_of(diagnosis)]
    return Section("Diagnostics", "diagnostics", tuple(specs), tuple(figures), tuple(absent))


def _commands(out: Path, results: Results) -> list[Command]:
    """The run, each perturbation of it alone, the report, and the configuration."""
    place = shlex.quote(str(out))
    run = f"bench run robustness --config config.yaml --out {place}"
    commands = [
        Command("All numbers, with the configuration below as config.yaml.", run),
        Command("This report, from the stored results.", f"bench report {place}"),
    ]
    perturbed = _union(
        group.perturbations(family)
        for group in results.groups
        for family in ("corruption", "attack")
    )
    commands += [
        Command(
            f"Clean pictures and {name} alone; with --classifiers NAME, of one classifier.",
            f"{run} --perturbations {shlex.quote(name)}",
        )
        for name in perturbed
    ]
    config = json.loads((out / "plan.json").read_text(encoding="utf-8")).get("config")
    if config:
        text = json.dumps(config, indent=2, ensure_ascii=False)
        commands.append(Command("config.yaml: the configuration, with all defaults.", text))
    return commands


def _union(lists: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in lists for name in names))


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
