"""The self-test of a diffusion classifier, on pictures of the bench and in words for a terminal."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.classifiers.kinds.checkpoint import what_it_is
from bench.faces import generate
from bench.labels import BASIC
from bench.util.errors import UserError
from emodc import CheckpointError, EmoDC, Prompts
from emodc.diffusion.images import as_tensors
from emodc.selftest import SelfTestReport
from emodc.selftest import check as self_test


def run(source: str, classes: tuple[str, ...], image: Path | None, pictures: int) -> SelfTestReport:
    """Load a classifier and test it.

    Args:
        source: Folder or hub id.
        classes: For a pipeline without classes of its own; the basic expressions if empty.
        image: A picture to test on; drawn faces if not given.
        pictures: How many drawn faces.

    Raises:
        UserError: If the classifier or the picture cannot be read.
    """
    images = _images(image, pictures)
    path = Path(source)
    hub_id = not path.exists() and source.count("/") == 1 and not source.startswith((".", "/"))
    if not hub_id and not (path / "model_index.json").exists():
        raise UserError(
            "`bench check classifier` tests an EmoDC or a diffusers pipeline, with a "
            f"model_index.json; {what_it_is(path)}"
        )
    try:
        model = _load(source, classes)
        if not model.denoiser.predicts_noise:
            raise UserError(f"{source} is a matched control: it has no denoiser to test.")
    except (CheckpointError, ValueError) as error:
        raise UserError(f"cannot check {source}: {error}") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return self_test(model.to(device).requires_grad_(False), images)


def as_json(report: SelfTestReport) -> str:
    """The report as JSON; what is not finite is null."""
    return json.dumps(_finite(report.as_dict()), indent=2)


def show(report: SelfTestReport) -> None:
    """Print errors by timestep, what was looked at, and the verdict."""
    console = Console()
    if report.bins:
        table = Table("timesteps", "null", "non-class", "classes", "best", "linear", "zero", "")
        for row in report.bins:
            figures = (row.null, row.non_class, row.classes, row.best, row.linear, row.zero)
            table.add_row(
                f"{row.low}-{row.high}",
                *(f"{figure:.3f}" for figure in figures),
                "denoises" if row.best < row.linear else "-",
            )
        console.print(table)
        console.print(
            "Mean squared error in eps under the prompts; best: each picture's best prompt; "
            "linear: the best multiple of x_t; zero: predicting nothing.",
            style="dim",
        )
    for finding in report.findings:
        mark = "[green]ok[/green]     " if finding.passed else "[red]refused[/red]"
        console.print(f"{mark} {finding.name}: {escape(finding.detail)}", soft_wrap=True)
    verdict = "It denoises." if report.passed else f"Not a working port: {report.cause}."
    console.print(escape(verdict), soft_wrap=True)


def _load(source: str, classes: tuple[str, ...]) -> EmoDC:
    if classes:
        return EmoDC.from_pretrained(source, prompts=Prompts(classes))
    try:
        return EmoDC.from_pretrained(source)
    except CheckpointError as error:
        if "no emodc.json" not in str(error):
            raise
    return EmoDC.from_pretrained(source, prompts=Prompts(BASIC))


def _images(image: Path | None, pictures: int) -> torch.Tensor:
    if image is None:
        return torch.stack(as_tensors(list(generate(0, "check", range(pictures)))))
    try:
        with Image.open(image) as opened:
            return torch.stack(as_tensors([opened]))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{image} is not a picture that can be read: {error}") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
