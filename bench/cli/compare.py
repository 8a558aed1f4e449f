"""`bench compare A B`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import AsJson, Save, print_json
from bench.cli.run import DEFAULT_OUT


class FailOn(StrEnum):
    """What a comparison may fail on."""

    worse = "worse"
    different = "different"


def compare(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A run, RUN:CLASSIFIER, or a classifier of --out.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="What is compared with it, likewise.")],
    out: Annotated[
        Path, typer.Option(help="The run whose classifiers A and B name.")
    ] = DEFAULT_OUT,
    fail_if: Annotated[
        FailOn | None,
        typer.Option("--fail-if", help="Exit code 2 if B is worse, or different, in any row."),
    ] = None,
    save: Save = None,
    json: AsJson = False,
) -> None:
    """Compare two runs, or two classifiers, on the same pictures: B less A.

    Differences come with paired intervals and exact tests, adjusted for their number. Cells that
    were not measured on identical pictures are refused.
    """
    from rich.console import Console

    from bench import api
    from bench.report.present import renderer

    if save is not None:
        renderer(save)  # refuses the name of a file before the work
    found = api.compare(a, b, out)
    if save is not None:
        found.save(save)
    if json:
        print_json(found.to_dict())
    else:
        found.show(Console())
    failing = {FailOn.worse: {"worse"}, FailOn.different: {"worse", "better"}}
    if fail_if is not None and any(row.verdict in failing[fail_if] for row in found.rows):
        raise typer.Exit(2)
