"""Writing a report: OUT/report/ from the store in OUT, and from nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from bench.report.cards import write_cards
from bench.report.figures import write_figures
from bench.report.figures.drawing import FORMATS, STYLES
from bench.report.findings import findings, losses_table
from bench.report.page import Contents, assemble, contents, intro, write_page
from bench.report.present import (
    PaperFigure,
    markdown,
    markdown_text,
    relabel,
    relabelled,
    write_tables,
)
from bench.report.results import Missing, Results, read
from bench.report.spec import (
    TableSpec,
    how_to_read,
    label,
)
from bench.report.summary import summary_csv, summary_frame
from bench.report.tables import tables
from bench.report.tables.ablation import ablation_tables
from bench.report.tables.diagnostics import diagnose, diagnostic_tables, notes, numbers_csv
from bench.store.store import Store
from bench.util.errors import UserError, unknown
from bench.util.files import atomic


@dataclass(frozen=True)
class Report:
    """A written report.

    Attributes:
        folder: Where it lies: OUT/report.
        results: What it shows.
        summary: One row per complete cell (`bench.report.summary`).
        tables: The tables, as written.
        refused: Why stored files are not believed, a sentence each; nothing of them is shown.
        labels: What people read in the place of classifiers' names.
    """

    folder: Path
    results: Results
    summary: pd.DataFrame
    tables: tuple[TableSpec, ...]
    refused: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def require_sound(self) -> None:
        """Refuse what was left out because it is damaged; unfinished cells are no fault.

        Raises:
            UserError: If a file of the store is not believed.
        """
        if self.refused:
            more = len(self.refused) - 1
            others = f" ({more} more such)" if more else ""
            raise UserError(f"the report leaves something out: {self.refused[0]}{others}", 1)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Planned cells that the report could not use."""
        return self.results.missing


def write_report(
    out: Path,
    reference: str | None = None,
    workers: int = 1,
    style: str = "paper",
    formats: Sequence[str] = ("png",),
) -> Report:
    """Read the store in `out` and write its report.

        OUT/report/index.html          everything as one page
        OUT/report/summary.csv         one row per complete cell
        OUT/report/tables.md           all tables and figures, and the cells still missing
        OUT/report/tables/NAME.md, .csv, .tex; macros.tex, all.tex (`bench.report.present`)
        OUT/report/figures/NAME.png; .pdf, .svg if asked for
        OUT/report/cards/CLASSIFIER.md   a model card per checkpoint
        OUT/report/diagnostics.csv     what the traces say of each EmoDC

    The folder is replaced as a whole: it never mixes tables of two states of the store.

    Args:
        out: The folder of a `bench run`.
        reference: The classifier whose errors are the unit of mCE; if not given, the first
            discriminative one.
        workers: Processes that write many figures side by side.
        style: Of figures: "paper", or "talk" with larger type and thicker lines.
        formats: Of figures, besides PNG: "pdf", "svg".

    Returns:
        What was written.

    Raises:
        UserError: If `out` holds no plan, or no complete cell, or no such reference, style or
            format.
    """
    for name, known in ((style, STYLES), *((own, FORMATS) for own in formats)):
        if name not in known:
            raise unknown("style or format of figures", name, known)
    results, store = read(out), Store(out)
    frame = summary_frame(results.complete)
    diagnoses, absent = diagnose(results, store)
    specs = tables(results, store, reference)
    specs += ablation_tables(results) + diagnostic_tables(diagnoses)
    folder = out / "report"
    with atomic(folder) as scratch:
        scratch.mkdir()
        drawn, labels = scratch / "figures", labels_of(results, store)
        figures = write_figures(results, store, drawn, diagnoses, workers, style, formats, labels)
        paper = [
            PaperFigure(
                figure.name,
                f"../figures/{figure.name}.{'png' if figure.pdf is None else 'pdf'}",
                *(figure.title, figure.caption, figure.inches),
            )
            for figure in figures
        ]
        write_tables(scratch / "tables", specs, paper, labels)
        write_cards(results, store, scratch / "cards")
        chapters = contents(specs, figures, {"diagnostics": notes(diagnoses, absent)})
        texts = {
            "summary.csv": summary_csv(frame),
            "tables.md": _page(chapters, results, labels),
            "diagnostics.csv": numbers_csv(diagnoses),
        }
        for name, text in texts.items():
            (scratch / name).write_text(text, encoding="utf-8")
        page = assemble(out, results, chapters, reference)
        write_page(scratch / "index.html", page.relabelled(labels))
        for figure in figures if "svg" not in formats else ():
            figure.svg.unlink()  # the page has it
    refused = tuple(dict.fromkeys([*results.refused, *store.refused.values()]))
    return Report(folder, results, frame, tuple(specs), refused, labels)


def labels_of(results: Results, store: Store) -> dict[str, str]:
    """What people read of each classifier, by its shown name; a label of two is that of none."""
    own = store.labels()
    found = {
        shown: f"{own[name]}{shown.removeprefix(name)}" if name in own else label(shown)
        for group in results.groups
        for name, shown in group.names.items()
    }
    each = list(found.values())
    return {shown: text if each.count(text) == 1 else shown for shown, text in found.items()}


def _page(chapters: list[Contents], results: Results, labels: Mapping[str, str]) -> str:
    """All chapters as Markdown."""
    shown = relabel(labels)
    parts = ["# Robustness\n", *(f"{markdown_text(line)}\n" for line in intro(results))]
    parts += ["## How to read\n"]
    parts += ["".join(f"- {markdown_text(line)}\n" for line in how_to_read(results.groups))]
    said = findings(results.groups, [spec for own in chapters for spec in own.tables])
    parts += ["## Findings\n", "".join(f"- {markdown_text(shown(line))}\n" for line in said)]
    lost = [table for table in map(losses_table, results.groups) if table is not None]
    parts += [markdown(relabelled(table.filled(), labels), alone=False) for table in lost]
    said_of: set[str] = set()  # what figures of several EmoDCs have alike is said once
    for own in chapters:
        parts.append(f"## {own.title}\n")
        parts += [f"{markdown_text(shown(note))}\n" for note in own.notes]
        parts += [markdown(relabelled(spec, labels), alone=False) for spec in _once(own.tables)]
        for figure in own.figures:
            parts.append(f"![{markdown_text(shown(figure.title))}](figures/{figure.name}.png)\n")
            if figure.caption not in said_of:
                parts.append(f"*{markdown_text(shown(figure.caption))}*\n")
            said_of.add(figure.caption)
    if results.missing:
        listed = "\n".join(f"- {markdown_text(shown(str(one)))}" for one in results.missing)
        count = f"{len(results.missing)} of {len(results.missing) + results.finished}"
        parts.append(f"## Missing cells\n\n{count} planned cells:\n\n{listed}\n")
    return "\n".join(parts)


def _once(specs: Sequence[TableSpec]) -> list[TableSpec]:
    """The tables without empty columns; a caption that the one before has, too, stands there."""
    before = [None, *(spec.caption for spec in specs)]
    return [
        replace(spec, caption="As above.") if spec.caption == last else spec
        for spec, last in zip((spec.filled() for spec in specs), before, strict=False)
    ]
