"""Writing a report: OUT/report/ from the store in OUT, and from nothing else."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.files import atomic
from bench.report import diagnostic_tables
from bench.report.ablation import ablation_tables
from bench.report.cards import write_cards
from bench.report.diagnostics import diagnose
from bench.report.figures import write_figures
from bench.report.figures.diagnostics import names_of
from bench.report.page import write_page
from bench.report.page.assembly import assemble
from bench.report.render import markdown, markdown_text, write_tables
from bench.report.results import Missing, Results, read
from bench.report.spec import TableSpec
from bench.report.summary import summary_csv, summary_frame
from bench.report.tables import tables
from bench.store import Store


@dataclass(frozen=True)
class Report:
    """A written report.

    Attributes:
        folder: Where it lies: OUT/report.
        results: What it shows.
        summary: One row per complete cell (`bench.report.summary`).
        tables: The tables, as written.
    """

    folder: Path
    results: Results
    summary: pd.DataFrame
    tables: tuple[TableSpec, ...]

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Planned cells that the report could not use."""
        return self.results.missing


def write_report(out: Path) -> Report:
    """Read the store in `out` and write its report.

        OUT/report/index.html          everything as one page
        OUT/report/summary.csv         one row per complete cell
        OUT/report/tables.md           all tables and figures, and the cells still missing
        OUT/report/tables/NAME.md, .csv, .tex; macros.tex, all.tex (`bench.report.render`)
        OUT/report/figures/NAME.png, .svg, .pdf
        OUT/report/cards/CLASSIFIER.md   a model card per checkpoint
        OUT/report/diagnostics.md, .csv  what the traces say of each EmoDC, and its figures

    The folder is replaced as a whole: it never mixes tables of two states of the store.

    Args:
        out: The folder of a `bench run`.

    Returns:
        What was written.

    Raises:
        UserError: If `out` holds no plan, or no complete cell.
    """
    results = read(out)
    store = Store(out)
    diagnoses, absent = diagnose(results, store)
    frame = summary_frame(results.complete)
    specs = tables(results, store) + ablation_tables(results)
    folder = out / "report"
    with atomic(folder) as scratch:
        scratch.mkdir()
        (scratch / "summary.csv").write_text(summary_csv(frame), encoding="utf-8")
        (scratch / "tables").mkdir()
        write_tables(scratch / "tables", specs)
        drawn = write_figures(results, Store(out), scratch / "figures", diagnoses)
        of_traces = {name for diagnosis in diagnoses for name in names_of(diagnosis)}
        names = [figure.name for figure in drawn]
        page = _page(specs, [name for name in names if name not in of_traces], results)
        (scratch / "tables.md").write_text(page, encoding="utf-8")
        write_cards(results, Store(out), scratch / "cards")
        page = diagnostic_tables.page(diagnoses, names, absent)
        (scratch / "diagnostics.md").write_text(page, encoding="utf-8")
        numbers = diagnostic_tables.csv_text(diagnoses)
        (scratch / "diagnostics.csv").write_text(numbers, encoding="utf-8")
        whole = assemble(out, results, specs, drawn, diagnoses, absent)
        write_page(scratch / "index.html", whole)
    return Report(folder, results, frame, tuple(specs))


def _page(specs: list[TableSpec], figures: list[str], results: Results) -> str:
    parts = ["# Robustness\n", *(markdown(spec) for spec in specs)]
    parts += [f"![{name}](figures/{name}.png)\n" for name in figures]
    if results.missing:
        listed = "\n".join(f"- {markdown_text(str(missing))}" for missing in results.missing)
        count = f"{len(results.missing)} of {len(results.missing) + len(results.complete)}"
        parts.append(f"## Missing cells\n\n{count} planned cells:\n\n{listed}\n")
    return "\n".join(parts)
