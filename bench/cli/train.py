"""`bench train`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import print_json
from bench.cli.run import DEFAULT_OUT, configure, interruptible
from bench.cli.target import Agreed, Data, Options, Root, chosen_data, settle_agreement


def train(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="YAML file, or the name of a shipped one.")
    ] = Path("default.yaml"),
    data: Data = None,
    root: Root = None,
    option: Options = None,
    agreed: Agreed = False,
    out: Annotated[Path, typer.Option(help="Folder of checkpoints and results.")] = DEFAULT_OUT,
    classifiers: Annotated[str | None, typer.Option(help="Only these, comma-separated.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Run seed.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the checkpoints as JSON.")] = False,
) -> None:
    """Train what has no checkpoint, and nothing else; `bench run` then finds it.

    On several GPUs: accelerate launch -m bench train ...
    """
    chosen = configure(
        config, chosen_data(data, root, option), None, classifiers, None, seed, device
    )
    for name, spec in chosen.classifiers.items():
        spec.check(name)
    settle_agreement(chosen.data, agreed)

    from bench.classifiers.checkpoints import train_missing
    from bench.data.open import open_dataset
    from bench.util import runtime
    from bench.util.progress import Reporter

    runtime.keep_freed_memory()
    out.mkdir(parents=True, exist_ok=True)
    with interruptible():
        first = os.environ.get("RANK", "0") == "0"  # set by the launcher
        reporter = Reporter(quiet=not first)
        found: list[tuple[tuple[str, int], Path]] = []
        for part in chosen.parts():
            dataset = open_dataset(part.data, part.seed, reporter, part.clips)
            found += train_missing(part, dataset, out, reporter).items()
        for folder in dict.fromkeys(folder for _, folder in found):
            reporter.say(f"{folder}")
    if json and first:
        checkpoints = [
            {"classifier": name, "seed": number, "folder": str(folder)}
            for (name, number), folder in found
        ]
        print_json({"checkpoints": checkpoints})
