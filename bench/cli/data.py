"""`bench data ...`."""

import shlex
import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli.output import print_json
from bench.cli.target import Agreed, Name, Options, Root, data_section, settle_agreement

data = typer.Typer(help="Look at data sets.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@data.command("list")
def list_(json: Json = False) -> None:
    """List the data sets that can be read, their layout on disk and their choices of protocol."""
    from bench.data import catalogue

    if json:
        print_json({"datasets": catalogue.as_json()})
    else:
        typer.echo(catalogue.as_text(min(shutil.get_terminal_size().columns, 120)))


@data.command()
def show(
    name: Name,
    root: Root = None,
    option: Options = None,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("contact_sheet.png"),
    columns: Annotated[int, typer.Option(min=1, max=40, help="Pictures per class.")] = 12,
    split: Annotated[
        Literal["train", "val", "test"], typer.Option(help="Which split is shown.")
    ] = "test",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn faces.")] = 0,
    agreed: Agreed = False,
    json: Json = False,
) -> None:
    """Write a labelled contact sheet: one row per class."""
    from bench.data.show import write_contact_sheet

    section = data_section(name, root, option)
    settle_agreement(section, agreed)
    write_contact_sheet(section, out, columns, split, seed)
    if json:
        print_json({"dataset": name, "sheet": str(out)})
    else:
        typer.echo(f"wrote {out}")


@data.command("make-like")
def make_like(
    layout: Annotated[str, typer.Argument(help="A layout of `bench data list`.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder to write.")],
    per_class: Annotated[
        int, typer.Option(min=2, help="Test pictures of each class; twice as many to train.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn faces.")] = 0,
    domain: Annotated[
        str, typer.Option(help="Room and camera: default, webcam or archive.")
    ] = "default",
    json: Json = False,
) -> None:
    """Write drawn faces as if they were a data set, to try a command without anyone's pictures."""
    from bench.data.like import make_like as make

    count = make(layout, folder, per_class, seed, domain)
    if json:
        print_json({"layout": layout, "folder": str(folder), "files": count})
    else:
        command = ["bench", "run", "robustness", "--data", layout, "--root", str(folder)]
        typer.echo(f"wrote {count} files; {shlex.join(command)}")
