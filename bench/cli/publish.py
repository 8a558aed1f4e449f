"""`bench publish OUT ... --to FOLDER`."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import AsJson, print_json, tell


def publish(
    outs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Folders of runs.")],
    to: Annotated[Path, typer.Option(help="Folder to write; an earlier one is replaced.")],
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Upload it to this data set of the Hugging Face hub, a new one as private.",
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Of the page.")] = "Leaderboard",
    json: AsJson = False,
) -> None:
    """Write a leaderboard of one run or several: a page, a data set card, results for the hub.

    Nothing is uploaded without --push. Manifests are copied as they are, with the commands of the
    runs as they were typed.
    """
    from bench.report.publish import publish_site

    page = publish_site(outs, to, push, title)
    if json:
        print_json({"page": str(page), "pushed": push})
        return
    tell(f"leaderboard: {page}")
    if push is not None:
        tell(f"uploaded: https://huggingface.co/datasets/{push}")
