"""`bench decide OUT`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import AsJson, Save, print_json
from bench.cli.run import DEFAULT_OUT


class Learned(StrEnum):
    """Where weights of timesteps come from."""

    fitted = "fitted"


def decide(
    out: Annotated[
        Path, typer.Argument(help="Folder of a run, finished or not.", show_default=True)
    ] = DEFAULT_OUT,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            help="full, stages, t_test, threshold, vote or sequential; as often as needed.",
            show_default="all",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-o", metavar="FIELD=VALUE", help="Of a single rule, as -o delta=0.05."
        ),
    ] = None,
    classifier: Annotated[
        list[str] | None, typer.Option(help="Only this one; as often as needed.")
    ] = None,
    perturbation: Annotated[
        list[str] | None,
        typer.Option(help="NAME, NAME:SEVERITY or all; as often as needed.", show_default="clean"),
    ] = None,
    independent: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER_OUT",
            help="Compare also with full decisions of this run, under other noise.",
        ),
    ] = None,
    weights: Annotated[
        Learned | None,
        typer.Option(help="Weigh timesteps as validation pictures teach."),
    ] = None,
    range_: Annotated[
        Learned | None,
        typer.Option("--range", help="Only the timesteps that validation pictures teach."),
    ] = None,
    save: Save = None,
    json: AsJson = False,
) -> None:
    """Replay decision rules on stored traces: how often they agree with the full one, and the cost.

    Reads the store only: no network is loaded. Rules and their fields are in docs/decisions.md.
    """
    from rich.console import Console

    from bench import decisions
    from bench.decisions import chosen_rules, replay_run
    from bench.report.present import renderer
    from bench.util.errors import UserError
    from bench.util.files import atomic

    if weights is not None and range_ is not None:
        raise UserError("--weights and --range both weigh timesteps; choose one.")
    rules = chosen_rules(rule or [], option or [])
    render = None if save is None else renderer(save)
    found = replay_run(
        out,
        lambda _: rules,
        classifier or (),
        perturbation or ("clean",),
        "weights" if weights else "range" if range_ else None,
        independent,
    )
    if save is not None and render is not None:
        with atomic(save) as scratch:
            scratch.write_text(render(decisions.table(found)), encoding="utf-8")
    if json:
        print_json(decisions.as_json(found))
    else:
        decisions.show(found, Console())
