"""Prints how much faster batches are corrupted here than by imagecorruptions, picture by picture.

Run from the root of the repository: `python -m benchmarks.corruptions [SIDE ...] [--batch N]`.
Both take turns in one process, and each number is a median over the turns. Compilation is not
counted. `threads` share a batch; imagecorruptions is called as it comes.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bench import rng
from bench.perturb.kernels import colour, digital, weather

Draws = Sequence[np.random.Generator]
Kernel = Callable[[np.ndarray, int, Draws], np.ndarray]

#: imagecorruptions' name -> our kernel at its constants; severities are 0-4 here.
KERNELS: dict[str, Kernel] = {
    "snow": lambda p, s, d: weather.snow(p, **weather.IMAGECORRUPTIONS["snow"][s], draws=d),
    "frost": lambda p, s, d: weather.frost(p, **weather.IMAGECORRUPTIONS["frost"][s], draws=d),
    "fog": lambda p, s, d: weather.fog(p, **weather.IMAGECORRUPTIONS["fog"][s], draws=d),
    "spatter": lambda p, s, d: weather.spatter(
        p, **weather.IMAGECORRUPTIONS["spatter"][s], draws=d
    ),
    "brightness": lambda p, s, d: colour.brightness(p, **colour.IMAGECORRUPTIONS["brightness"][s]),
    "contrast": lambda p, s, d: colour.contrast(p, **colour.IMAGECORRUPTIONS["contrast"][s]),
    "saturate": lambda p, s, d: colour.saturate(p, **colour.IMAGECORRUPTIONS["saturate"][s]),
    "pixelate": lambda p, s, d: digital.pixelate(p, **digital.IMAGECORRUPTIONS["pixelate"][s]),
    "jpeg_compression": lambda p, s, d: digital.jpeg_compression(
        p, **digital.IMAGECORRUPTIONS["jpeg_compression"][s]
    ),
    "elastic_transform": lambda p, s, d: digital.elastic_transform(
        p, **digital.IMAGECORRUPTIONS["elastic_transform"][s], draws=d
    ),
}
WITHOUT_DRAWS = ("brightness", "contrast", "saturate", "pixelate", "jpeg_compression")
TURNS = 5
THREADS = (1, 2)


def pictures_of(count: int, side: int) -> np.ndarray:
    """Smooth shades under weak noise, uint8 (count, side, side, 3)."""
    y, x = np.indices((side, side)) / side
    shades = np.stack([128 + 100 * np.sin(9 * x), 220 * y, 110 * (x + y)], axis=-1)
    rough = rng.generator("corruptions", side).normal(0, 3, (count, side, side, 3))
    return np.clip(shades + rough, 0, 255).astype(np.uint8)


def ours(
    name: str, pictures: np.ndarray, severity: int, pool: ThreadPoolExecutor, threads: int
) -> float:
    """Seconds for the batch, its generators included where it needs them."""
    started = time.perf_counter()
    drawn = range(0 if name in WITHOUT_DRAWS else len(pictures))
    draws = [rng.generator("speed", i) for i in drawn]
    size = -(-len(pictures) // threads)
    parts = [slice(first, first + size) for first in range(0, len(pictures), size)]
    list(pool.map(lambda part: KERNELS[name](pictures[part], severity, draws[part]), parts))
    return time.perf_counter() - started


def theirs(name: str, pictures: np.ndarray, severity: int) -> float:
    """Seconds for the batch, estimated from its first eight pictures."""
    import imagecorruptions

    few = pictures[:8]
    started = time.perf_counter()
    for picture in few:
        imagecorruptions.corrupt(picture, severity=severity + 1, corruption_name=name)
    return (time.perf_counter() - started) * len(pictures) / len(few)


def ratios(name: str, pictures: np.ndarray, pool: ThreadPoolExecutor) -> list[list[float]]:
    """How many times faster, per number of threads and severity."""
    found = []
    for severity in range(5):
        times: list[list[float]] = []
        for _ in range(TURNS + 1):
            turn = [ours(name, pictures, severity, pool, threads) for threads in THREADS]
            times.append([*turn, theirs(name, pictures, severity)])
        *own, package = (statistics.median(column) for column in zip(*times[1:], strict=True))
        found.append([package / seconds for seconds in own])
    return [list(column) for column in zip(*found, strict=True)]


def main() -> None:
    """Prints the table for each side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sides", nargs="*", type=int, default=[112, 224])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--only", nargs="*", choices=list(KERNELS), default=list(KERNELS))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| corruption | side | threads | severity 1 | 2 | 3 | 4 | 5 | median |")
    print("|---|---|---|---|---|---|---|---|---|")
    with ThreadPoolExecutor(max(THREADS)) as pool:
        for side in chosen.sides:
            pictures = pictures_of(chosen.batch, side)
            for name in chosen.only:
                for threads, row in zip(THREADS, ratios(name, pictures, pool), strict=True):
                    cells = " | ".join(f"{ratio:.1f}" for ratio in row)
                    middle = statistics.median(row)
                    print(f"| {name} | {side} | {threads} | {cells} | {middle:.1f} |", flush=True)


if __name__ == "__main__":
    main()
