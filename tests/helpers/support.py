"""What several test files share."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from bench.store.cells import Cell
from bench.store.store import Store
from bench.util import rng

TINY = Path(__file__).parents[1] / "tiny.yaml"


def summary_without_times(out: Path) -> str:
    """`summary.csv` less its timing column."""
    lines = (out / "report" / "summary.csv").read_text().splitlines()
    timing = lines[0].split(",").index("seconds_per_image")
    kept = [
        ",".join(field for i, field in enumerate(line.split(",")) if i != timing) for line in lines
    ]
    return "\n".join(kept)


def rows_of(store: Store, cell: Cell) -> pd.DataFrame:
    """The rows of a complete cell."""
    manifest = store.manifest(cell)
    assert manifest is not None
    return store.rows(manifest)


def write_pictures(folder: Path, labels: tuple[str, ...], count: int, size: int = 24) -> None:
    """`count` pictures per label in `folder`/<label>/, coloured by label."""
    for number, label in enumerate(labels):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            draws = rng.generator("picture", folder.name, label, index)
            pixels = draws.integers(0, 120, (size, size + 8, 3), dtype=np.uint8)
            pixels[..., number % 3] += 100
            Image.fromarray(pixels).save(folder / label / f"{index:03d}.png")


def reddest_is_happy() -> torch.nn.Module:
    """A classifier of one's own: happiness is red, neutral is green."""

    class Colour(torch.nn.Module):
        classes = ("neutral", "happiness")

        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            red, green, _ = images.mean(dim=(2, 3)).unbind(1)
            return self.scale * torch.stack([green, red], dim=1)

    return Colour()


def nameless() -> torch.nn.Module:
    """Seven logits without names, as checkpoints have them."""
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 7)
    )


def normalised() -> torch.nn.Module:
    """Seven logits of a small network with batch normalisation and a linear head."""
    with rng.fenced("normalised"):
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5, stride=4),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(8, 7),
        )
    return net


def convolved() -> torch.nn.Module:
    """Seven logits without a linear layer."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 7, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
