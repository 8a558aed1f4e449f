"""`bench regress`."""

from typing import Annotated

import typer

from bench.cli.output import print_json


def regress(
    update: Annotated[bool, typer.Option("--update", help="Rewrite the golden results.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Run a small fixed subset, compare it with the committed results; exit code 2 if one moved."""
    from bench.sweep import verify

    changes = verify.regress(update)
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
