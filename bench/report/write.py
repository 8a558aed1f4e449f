"""Writing a report: OUT/report/ from the store in OUT, and from nothing else; its summary."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.report.cards import write_cards
from bench.report.figures import write_figures
from bench.report.figures.drawing import FORMATS, STYLES
from bench.report.findings import findings, losses_table
from bench.report.outcomes import AccuracyEstimate, Number
from bench.report.page import Contents, assemble, contents, intro, write_page
from bench.report.present import (
    PaperFigure,
    csv_cell,
    markdown,
    markdown_text,
    relabel,
    relabelled,
    write_tables,
)
from bench.report.results import Missing, Result, Results, read
from bench.report.spec import TableSpec, how_to_read, label
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
        summary: One row per complete cell (`summary_frame`).
        tables: The tables, as written.
        refused: Why stored files are not believed, a sentence each; nothing of them is shown.
        labels: What people read in the place of names of classifiers and data sets.
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
    """What people read of each classifier, by its shown name, and of each data set with a title.

    A label of two is that of none.
    """
    own = store.labels()
    found = {
        shown: f"{own[name]}{shown.removeprefix(name)}" if name in own else label(shown)
        for group in results.groups
        for name, shown in group.names.items()
    }
    found |= {g.dataset: g.title for g in results.groups if g.title and g.dataset not in found}
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


# ------------------------------------------------------------------------------------------------
# The summary: one row per complete cell, as a frame, as CSV and for JSON.


# Decimals of each number; None for text and counts.
COLUMNS: dict[str, int | None] = {
    "classifier": None,
    "dataset": None,
    "perturbation": None,
    "severity": None,
    "seed": None,
    "run_seed": None,
    "n": None,
    "accuracy": 6,
    "accuracy_low": 6,
    "accuracy_high": 6,
    "uar": 6,
    "uar_low": 6,
    "uar_high": 6,
    "macro_f1": 6,
    "macro_f1_low": 6,
    "macro_f1_high": 6,
    "d_p": 6,
    "d_p_low": 6,
    "d_p_high": 6,
    "evaluations_per_image": 1,
    "seconds_per_image": 4,
}


def summary_frame(results: Sequence[Result]) -> pd.DataFrame:
    """One row per result, in their order, with the columns of `COLUMNS`.

    `_low` and `_high` bound 95% intervals: Wilson's of accuracy, at the effective number of samples
    also of UAR and macro-F1; Student's of d_p. Accuracy, UAR
    and macro-F1 are fractions in [0, 1]. A number that does not exist is None: `d_p` of a
    discriminative classifier.
    `seed` is that of training, and several have a row each; `run_seed` is that of data,
    perturbations and evaluation noise. Where classifiers gave no number (NaN) for some pictures, a
    last column `without_number` counts them; they are wrong ones among the `n`.
    """
    records = []
    for result in results:
        cell = result.cell
        records.append(
            {
                "classifier": result.name,
                "dataset": cell.dataset,
                "perturbation": cell.perturbation,
                "severity": cell.severity,
                "seed": cell.seed,
                "run_seed": cell.run_seed,
                "n": result.n,
                **_bounded("accuracy", result.accuracy),
                **_bounded("uar", result.uar),
                **_bounded("macro_f1", result.macro_f1),
                **_bounded("d_p", result.d_p),
                "evaluations_per_image": result.evaluations,
                "seconds_per_image": result.seconds,
            }
        )
    # As objects, a missing number stays None and the others stay what they are.
    frame = pd.DataFrame.from_records(records, columns=list(COLUMNS)).astype(object)
    unnumbered = [result.outcomes.without_number for result in results]
    return frame.assign(without_number=unnumbered) if any(unnumbered) else frame


def summary_csv(frame: pd.DataFrame) -> str:
    """The summary as CSV with a fixed number of decimals and an empty field for None.

    The same rows give the same bytes, in however many parts they were stored.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    for row in frame.to_dict("records"):
        writer.writerow([_field(value, COLUMNS.get(str(name))) for name, value in row.items()])
    return text.getvalue()


def summary_rows(frame: pd.DataFrame) -> list[dict[str, str | float | None]]:
    """The summary for JSON: a mapping per row, numbers rounded as in the CSV."""
    return [
        {str(name): _number(value, COLUMNS.get(str(name))) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def gate_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The checks of EmoDC checkpoints for JSON: a mapping per checkpoint, as `Gate` has them.

    `reference` says which Base gave `base_d_p`: "equal_budget", "first_stage" or "itself".
    """
    rows: dict[tuple[str, int, str], dict[str, Any]] = {}
    for result in results:
        cell, gate, checkpoint = result.cell, result.manifest.gate, result.manifest.checkpoint
        if gate is not None:
            named = {"classifier": result.name, "seed": cell.seed, "checkpoint": checkpoint}
            rows[cell.classifier, cell.seed, checkpoint] = named | gate.model_dump()
    return list(rows.values())


def _bounded(name: str, found: AccuracyEstimate | Number | None) -> dict[str, float | None]:
    interval = None if found is None else found.interval
    return {
        name: None if found is None else found.value,
        f"{name}_low": None if interval is None else interval.low,
        f"{name}_high": None if interval is None else interval.high,
    }


def _field(value: str | float | None, digits: int | None) -> str:
    if _absent(value):
        return ""
    return csv_cell(str(value)) if digits is None else f"{value:.{digits}f}"


def _number(value: str | float | None, digits: int | None) -> str | float | None:
    if _absent(value):
        return None
    return round(value, digits) if digits is not None and isinstance(value, float) else value


def _absent(value: str | float | None) -> bool:
    return value is None or value != value  # pandas may turn None into NaN
