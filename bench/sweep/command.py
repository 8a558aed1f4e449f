"""The command behind a number: what was typed, narrowed to one cell."""

import shlex
from collections.abc import Sequence

from bench.store import Cell

_NARROWED = ("--classifiers", "--perturbations")


def cell_command(arguments: Sequence[str], cell: Cell) -> str:
    """The shell command that computes a cell, in a folder without results.

    It trains the cell's classifier, with every training seed of the run, and measures all
    severities of its perturbation, clean pictures besides: flags choose nothing finer.

    Args:
        arguments: What followed `bench` on the command line of the run.
        cell: One of its cells.

    Returns:
        The command; empty if the run was not started by one.
    """
    if not arguments:
        return ""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        flag, equals, _ = argument.partition("=")
        if flag not in _NARROWED:
            kept.append(argument)
        elif not equals:
            next(rest, None)  # its value
    # `--perturbations clean` is the run that measures nothing else.
    narrowed = ["--classifiers", cell.classifier, "--perturbations", cell.perturbation]
    return shlex.join(["bench", *kept, *narrowed])
