"""`bench plugins ...`."""

from typing import Annotated

import typer

from bench.cli.output import print_json, tell

plugins = typer.Typer(
    help="Look at what installed distributions bring.", no_args_is_help=True, rich_markup_mode=None
)


@plugins.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List what other distributions bring, by kind; nothing is imported."""
    from bench.plugins import GROUP, installed

    found = installed()
    fields = ("kind", "name", "value", "distribution")
    if json:
        print_json({"plugins": [{f: getattr(own, f) for f in fields} for own in found]})
        return
    for own in found:
        tell(f"{own.kind} {own.name}: {own.value}, of {own.distribution}")
    if not found:
        tell(f"none: no installed distribution has entry points in the group {GROUP}")


@plugins.callback()
def _group() -> None:
    """Keeps `list` a subcommand while it is the only one."""
