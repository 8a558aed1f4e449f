"""`bench check ...`."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import print_json

check = typer.Typer(help="Test what is brought along.", no_args_is_help=True, rich_markup_mode=None)


@check.command()
def classifier(
    source: Annotated[
        str, typer.Argument(help="Folder or hub id of an EmoDC or a diffusers pipeline.")
    ],
    image: Annotated[
        Path | None, typer.Option(help="A picture of your own in place of drawn faces.")
    ] = None,
    classes: Annotated[
        str, typer.Option(help="Comma-separated, for a pipeline that is not an EmoDC yet.")
    ] = "",
    pictures: Annotated[int, typer.Option(min=1, help="How many drawn faces.")] = 4,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Prove that a diffusion model denoises as it should; exit code 2 and the cause if not."""
    from bench.classifiers import check as classifier_check

    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    report = classifier_check.run(source, names, image, pictures)
    if json:
        print_json(classifier_check.as_json(report))
    else:
        classifier_check.show(report)
    if not report.passed:
        raise typer.Exit(2)


@check.callback()
def _group() -> None:
    """Keeps `classifier` a subcommand while it is the only one."""
