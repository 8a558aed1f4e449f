"""`bench data ...`."""

import shlex
import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli.output import print_json, tell
from bench.cli.target import (
    Agreed,
    Name,
    Options,
    Root,
    data_section,
    files_section,
    settle_agreement,
)

data = typer.Typer(help="Look at data sets.", no_args_is_help=True, rich_markup_mode=None)


class _Split(StrEnum):
    """The values of an option that may be repeated, of which typer takes no literals."""

    train = "train"
    val = "val"
    test = "test"


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@data.command("list")
def list_(json: Json = False) -> None:
    """List the data sets that can be read, their layout on disk and their choices of protocol."""
    from bench.data import config

    if json:
        print_json({"datasets": config.as_json()})
    else:
        tell(config.as_text(min(shutil.get_terminal_size().columns, 120)))


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
    from bench.data.sheet import write_contact_sheet

    section = data_section(name, root, option)
    settle_agreement(section, agreed)
    write_contact_sheet(section, out, columns, split, seed)
    if json:
        print_json({"dataset": name, "sheet": str(out)})
    else:
        tell(f"wrote {out}")


@data.command()
def verify(
    name: Name,
    root: Root = None,
    option: Options = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write every sample with its digest."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Compare with an earlier manifest."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 on any warning.")] = False,
    agreed: Agreed = False,
    json: Json = False,
) -> None:
    """Check a copy: layout, counts, damage, duplicates, labels, digests."""
    from rich.console import Console

    from bench.data.on_disk.verify import as_json, write_manifest
    from bench.data.on_disk.verify import show as show_found
    from bench.data.on_disk.verify import verify as check
    from bench.util.progress import Reporter

    layout = files_section(name, root, option)
    settle_agreement(layout, agreed)
    found = check(layout, Reporter(), against)
    if manifest is not None:
        write_manifest(found.manifest, manifest)
    if json:
        print_json({"dataset": name, **as_json(found)})
    else:
        show_found(found, Console(highlight=False))
    if strict and found.warnings:
        raise typer.Exit(2)


@data.command()
def prepare(
    name: Name,
    root: Root = None,
    option: Options = None,
    split: Annotated[
        list[_Split] | None,
        typer.Option(help="Only this split; may be repeated."),
    ] = None,
    agreed: Agreed = False,
    json: Json = False,
) -> None:
    """Decode all pictures into the cache, for fast epochs; of clips the middle frames."""
    from bench.data.on_disk.packed import in_words
    from bench.data.on_disk.packed import prepare as fill
    from bench.util.progress import Reporter

    layout = files_section(name, root, option)
    settle_agreement(layout, agreed)
    done = fill(layout, [chosen.value for chosen in split or _Split], Reporter())
    if json:
        print_json({"dataset": name, **done.as_dict()})
        return
    clips = " (middle frames of clips)" if layout.clips else ""
    tell(
        f"{done.pictures} pictures prepared{clips}, {done.added} of them new: "
        f"{in_words(done.bytes)} in {done.folder}"
    )
    if done.unusable:
        tell(f"{done.unusable} changed meanwhile; prepare again", err=True)


@data.command()
def purge(
    name: Annotated[str | None, typer.Argument(help="A data set, or a folder of pictures.")] = None,
    root: Root = None,
    option: Options = None,
    everything: Annotated[bool, typer.Option("--all", help="Of every data set.")] = False,
    json: Json = False,
) -> None:
    """Remove prepared pictures and what is known of them; the data set itself stays."""
    from bench.data.on_disk.packed import in_words
    from bench.data.on_disk.packed import purge as remove
    from bench.util.errors import UserError

    if everything == (name is not None):
        raise UserError("Name a data set with its --root, or all of them with --all.")
    freed = remove(None if name is None else files_section(name, root, option))
    if json:
        print_json({"dataset": name, "freed": freed})
    else:
        tell(f"freed {in_words(freed)}")


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
    from bench.data.readers import make_like as make

    count = make(layout, folder, per_class, seed, domain)
    if json:
        print_json({"layout": layout, "folder": str(folder), "files": count})
    else:
        command = ["bench", "run", "robustness", "--data", layout, "--root", str(folder)]
        tell(f"wrote {count} files; {shlex.join(command)}")
