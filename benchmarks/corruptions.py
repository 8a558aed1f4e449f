"""Prints how much faster batches are corrupted here than by imagecorruptions, picture by picture.

Run from the root of the repository: `python -m benchmarks.corruptions [SIDE ...] [--batch N]`.
Both take turns in one process, and each number is a median over the turns; the median and the least
are over the five severities. Compilation is not counted. imagecorruptions is called as it comes.
"""

import argparse
import statistics
import time
import warnings

import cv2
import imagecorruptions
import numpy as np

from bench.perturb import PRESETS, SEVERITIES, Corruption
from bench.util import rng

CORRUPTIONS = {
    name.rpartition(".")[2]: corruption
    for name, corruption in PRESETS["imagecorruptions"].corruptions.items()
}
THREADS = (1, 2)
SAMPLE = 8  # pictures of a batch that imagecorruptions is measured on


def pictures_of(count: int, side: int) -> np.ndarray:
    """Smooth shades under weak noise, uint8 (count, side, side, 3)."""
    y, x = np.indices((side, side)) / side
    shades = np.stack([128 + 100 * np.sin(9 * x), 220 * y, 110 * (x + y)], axis=-1)
    rough = rng.generator("corruptions", side).normal(0, 3, (count, side, side, 3))
    return np.clip(shades + rough, 0, 255).astype(np.uint8)


def ours(corruption: Corruption, pictures: np.ndarray, severity: int, threads: int) -> float:
    """Milliseconds per picture, its generator included where it needs one."""
    cv2.setNumThreads(threads)
    ids = [str(i) for i in range(len(pictures))]
    started = time.perf_counter()
    corruption.batch(pictures, severity, seed=0, dataset="speed", sample_ids=ids, threads=threads)
    return (time.perf_counter() - started) * 1000 / len(pictures)


def theirs(name: str, pictures: np.ndarray, severity: int) -> float:
    """Milliseconds per picture, on the first of the batch."""
    cv2.setNumThreads(-1)
    few = pictures[:SAMPLE]
    started = time.perf_counter()
    for picture in few:
        imagecorruptions.corrupt(picture, severity=severity, corruption_name=name)
    return (time.perf_counter() - started) * 1000 / len(few)


def measured(name: str, pictures: np.ndarray, turns: int) -> list[list[float]]:
    """Milliseconds per picture at each severity: the package's, then ours by number of threads."""
    corruption, rows = CORRUPTIONS[name], []
    for severity in SEVERITIES:
        times = []
        for _ in range(turns + 1):
            own = [ours(corruption, pictures, severity, threads) for threads in THREADS]
            times.append([theirs(name, pictures, severity), *own])
        rows.append([statistics.median(column) for column in zip(*times[1:], strict=True)])
    return rows


def line(name: str, rows: list[list[float]]) -> tuple[str, list[float]]:
    """The table's line, and the median ratios by number of threads."""
    package, one, _ = (statistics.median(column) for column in zip(*rows, strict=True))
    cells = [f"{package:.2f}", f"{one:.3f}"]
    medians = []
    for i in range(1, len(THREADS) + 1):
        ratios = [row[0] / row[i] for row in rows]
        medians.append(statistics.median(ratios))
        cells += [f"{medians[-1]:.1f}", f"{min(ratios):.1f}"]
    return f"| {name} | {' | '.join(cells)} |", medians


def main() -> None:
    """Prints the table for each side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sides", nargs="*", type=int, default=[112, 224])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(CORRUPTIONS), default=list(CORRUPTIONS))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    for side in chosen.sides:
        print(f"\n{side} px, {chosen.batch} pictures a batch\n")
        print("| corruption | package, ms | ours, ms | 1 thread | least | 2 threads | least |")
        print("|---|--:|--:|--:|--:|--:|--:|")
        pictures, medians = pictures_of(chosen.batch, side), []
        for name in chosen.only:
            text, ratios = line(name, measured(name, pictures, chosen.turns))
            medians.append(ratios)
            print(text, flush=True)
        one, two = (statistics.median(column) for column in zip(*medians, strict=True))
        print(f"| **median of {len(medians)}** | | | {one:.1f} | | {two:.1f} | |")


if __name__ == "__main__":
    main()
