"""What commands print for programs."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from bench.util.errors import printable

if TYPE_CHECKING:
    from bench.report import Report
    from bench.sweep.run import DryRun

#: Options of commands that show one table.
Save = Annotated[
    Path | None, typer.Option(help="Write the table, too: FILE.md, .csv, .json, .tex.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


_results: IO[str] | None = None  # stdout, where it is kept for the result


@contextlib.contextmanager
def stdout_for_results() -> Iterator[None]:
    """Keep stdout for `print_json`; what else prints, in worker processes too, goes to stderr."""
    global _results
    own = sys.stdout
    real = own is sys.__stdout__ and own is not None
    if real:
        own.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        _results = os.fdopen(os.dup(kept), "w", encoding="utf-8")
    else:  # as a test has it
        _results = own
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if real:
            _results.close()
            os.dup2(kept, 1)
            os.close(kept)
        _results = None


def tell(text: str, err: bool = False) -> None:
    """A line for people, on stdout or stderr, in which names of theirs steer no terminal."""
    typer.echo(printable(text), err=err)


def print_json(content: Any) -> None:
    """One JSON document on stdout; numbers that are not finite are an error, not JSON."""
    typer.echo(json.dumps(content, indent=1, allow_nan=False), file=_results)


def report_content(report: "Report") -> dict[str, Any]:
    """What `bench run` and `bench report` print: summary, checks, missing cells, the folder."""
    from bench.report.write import gate_rows, summary_rows

    missing = [
        {**cell.cell.model_dump(exclude={"id"}), "reason": cell.reason} for cell in report.missing
    ]
    return {
        "report": str(report.folder),
        "summary": summary_rows(report.summary),
        "gates": gate_rows(report.results.complete),
        "missing": missing,
    }


def plan_content(plan: "DryRun") -> dict[str, Any]:
    """What `bench run --dry-run` prints."""
    cells = [
        {
            **planned.cell.model_dump(exclude={"id"}),
            "n": len(planned.sample_ids),
            "done": done,
            "seconds": round(seconds, 1),
        }
        for planned, done, seconds in plan.cells
    ]
    training = [
        {"classifier": name, "seed": seed, "steps": steps}
        for (name, seed), steps in plan.training.items()
    ]
    return {
        "cells": cells,
        "training": training,
        "skipped": plan.skipped,
        "left_out": dict(plan.left_out),
        "seconds": round(plan.seconds, 1),
        "costs": [vars(one) for one in plan.expected],
    }
