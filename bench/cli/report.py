"""`bench report`: tables and figures of what a run has stored."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import print_json, report_content, tell
from bench.cli.run import DEFAULT_OUT


def report(
    out: Annotated[
        Path, typer.Argument(help="Folder of a run, finished or not.", show_default=True)
    ] = DEFAULT_OUT,
    reference: Annotated[
        str | None,
        typer.Option(
            help="The classifier whose errors are the unit of mCE.",
            show_default="the first discriminative one",
        ),
    ] = None,
    style: Annotated[
        str, typer.Option(help="Of figures: paper, or talk (larger type, thicker lines).")
    ] = "paper",
    formats: Annotated[
        str, typer.Option(help="Of figures, with commas: png, pdf, svg. PNG is always written.")
    ] = "png",
    brief: Annotated[
        bool, typer.Option("--brief", help="Show the findings alone: best, losses, ties, checks.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON instead of tables.")
    ] = False,
) -> None:
    """Write OUT/report (a page, tables, figures, model cards) from stored results; show a summary.

    Reads the store only: no classifier is loaded and nothing is computed again. Cells that are
    not finished are listed as missing; so are damaged ones, and then the exit code is 1.
    """
    from rich.console import Console

    from bench.api import load_results
    from bench.report import show
    from bench.store.store import Store

    asked = [name.strip() for name in formats.split(",") if name.strip()]
    written = load_results(out).report(reference, os.cpu_count() or 1, style, asked)
    if json:
        print_json(report_content(written))
    else:
        show(written, Console(), brief)
    if others := Store(out).unplanned():
        tell(
            f"{others} cells that were measured with other settings lie at {out}, too, and are not "
            "shown. The command that measured them shows them again, and measures nothing twice."
        )
    written.require_sound()
