"""`bench regress`."""

from typing import Annotated

import typer


def regress(
    update: Annotated[bool, typer.Option("--update", help="Rewrite the golden results.")] = False,
) -> None:
    """Run a small fixed subset, compare it with the committed results; exit code 2 if one moved."""
    from bench import regression

    changes = regression.run(update)
    for change in changes:
        typer.echo(change)
    if update:
        typer.echo("golden results written")
    elif changes:
        typer.echo(f"{len(changes)} results moved. If that is meant: bench regress --update")
        raise typer.Exit(2)
    else:
        typer.echo("regression subset: nothing moved")
