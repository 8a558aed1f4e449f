"""`bench verify RESULTS` and `bench regress`, which compute again what is known, and compare."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import AsJson, print_json
from bench.cli.run import DEFAULT_OUT


def verify(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder of a run.")
    ] = DEFAULT_OUT,
    samples: Annotated[int, typer.Option(min=0, help="Rows to compute anew.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Names the draw of rows.")] = 0,
    json: AsJson = False,
) -> None:
    """Compute random rows of a run anew and compare them; exit code 2 if one is wrong.

    All files are read with their checksums, too. What cannot be computed here, such as rows of a
    checkpoint that is elsewhere, is counted and named.
    """
    from bench import api
    from bench.util.errors import printable

    found = api.verify(results, samples=samples, seed=seed)
    if json:
        print_json(asdict(found) | {"verdict": found.verdict, "at_most": found.at_most})
    else:
        for fault in found.faults:
            row = f", {fault.sample}" if fault.sample else ""
            values = f": expected {fault.expected}, got {fault.got}" if fault.expected else ""
            typer.echo(printable(f"{fault.cell}{row}: {fault.what}{values}"))
        for reason, cells in found.unknown.items():
            typer.echo(printable(f"{cells} cell{'' if cells == 1 else 's'} not computed: {reason}"))
        typer.echo(found.verdict)
    if found.faults:
        raise typer.Exit(2)


def regress(
    update: Annotated[bool, typer.Option("--update", help="Rewrite the golden results.")] = False,
    json: AsJson = False,
) -> None:
    """Run a small fixed subset, compare it with the committed results; exit code 2 if one moved."""
    from bench.sweep import verify as golden

    changes = golden.regress(update)
    if json:
        print_json({"moved": changes, "updated": update})
    else:
        _print(changes, update)
    if changes and not update:
        raise typer.Exit(2)


def _print(changes: list[str], update: bool) -> None:
    for change in changes:
        typer.echo(change)
    if update:
        typer.echo("golden results written")
    elif changes:
        typer.echo(f"{len(changes)} results moved. If that is meant: bench regress --update")
    else:
        typer.echo("regression subset: nothing moved")
