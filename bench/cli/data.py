"""`bench data ...`."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import print_json

data = typer.Typer(help="Look at data sets.", no_args_is_help=True, rich_markup_mode=None)


@data.command()
def show(
    name: Annotated[str, typer.Argument(help="faces, faces_hard, or a folder of pictures.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("contact_sheet.png"),
    columns: Annotated[int, typer.Option(min=1, max=40, help="Pictures per class.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn faces.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a sentence.")] = False,
) -> None:
    """Write a labelled contact sheet: one row per class, pictures of the test split."""
    from bench.data.show import write_contact_sheet

    write_contact_sheet(name, out, columns, seed)
    if json:
        print_json({"dataset": name, "sheet": str(out)})
    else:
        typer.echo(f"wrote {out}")


@data.callback()
def _group() -> None:
    """Keeps `show` a subcommand while it is the only one."""
