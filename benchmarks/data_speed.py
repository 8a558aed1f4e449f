"""How fast pictures come: from files, from the prepared cache, and from 290,000 files at once.

python -m benchmarks.data_speed [--pictures 12000] [--index 290000]

Writes its own data set of drawn faces, 100x100 JPEG of quality 95, to a temporary folder. Epochs
from files and from the cache alternate in one process, each picture summed so that its bytes are
really read; medians of five. Files are in the page cache of the system in both cases.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.data.on_disk import FilesDataSet, open_layout
from bench.data.on_disk.examine import examine, memory
from bench.data.on_disk.packed import folder_of, pixels_of, prepare
from bench.data.readers.folder import Folder
from bench.faces import generate
from bench.util.progress import Reporter

REPEATS = 5
FACES = 600  # drawn; the others are these, shifted


def write(root: Path, count: int) -> None:
    """`count` different JPEGs in two classes; a tenth is test."""
    faces = [cv2.resize(face, (100, 100)) for face in generate(0, "speed", range(FACES))]
    for number in range(count):
        face = np.roll(faces[number % FACES], number // FACES, axis=1)
        split = "test" if number % 10 == 0 else "train"
        path = root / split / ("anger", "fear")[number // 10 % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(path, quality=95)


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def epoch(dataset: FilesDataSet) -> None:
    """Every picture of the data set, read."""
    for split in ("train", "val", "test"):
        for sample in dataset.samples(split):
            dataset.picture(sample).sum()


def alternating(
    files: FilesDataSet, cache: FilesDataSet, work: Callable[[FilesDataSet], object], name: str
) -> None:
    """Print pictures per second both ways, and their ratio."""
    count = sum(len(files.samples(split)) for split in ("train", "val", "test"))
    if work is not epoch:
        count = len(files.samples("train"))
    rounds = [(timed(lambda: work(files)), timed(lambda: work(cache))) for _ in range(REPEATS)]
    slow, fast = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = [one / other for one, other in rounds]
    print(
        f"{name}: {count / slow:,.0f}/s from files, {count / fast:,.0f}/s prepared: "
        f"{slow / fast:.1f} times (rounds {min(ratios):.1f} to {max(ratios):.1f})",
        flush=True,
    )


def many_links(folder: Path, picture: Path, count: int) -> Path:
    """A data set of `count` names of some hundred files: all that an index has to look at."""
    names = [picture]
    for number in range(count):
        if number % 20_000 == 0:  # a file may have only so many names
            names.append(folder / f"{number}.jpg")
            names[-1].write_bytes(picture.read_bytes())
        split = {0: "test", 1: "val"}.get(number // 8 % 50, "train")
        path = folder / "set" / split / f"class{number % 8}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(names[-1], path)
    return folder / "set"


def index_size(root: Path) -> None:
    """Print seconds and memory of opening a large data set, in a process of its own."""
    layout = Folder(root=root)
    examined = timed(lambda: examine(layout, layout.listing(), Reporter()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened = timed(lambda: open_layout(layout))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"first look {examined:.0f} s ({before / 1024:.0f} MB), then opened in {opened:.1f} s "
        f"({peak / 1024:.0f} MB at most)"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--index", type=int, default=290_000)
    parser.add_argument("--only-index", type=Path, help="measure the index of this folder")
    arguments = parser.parse_args()
    if arguments.only_index:
        index_size(arguments.only_index)
        return
    # Not needed to index, and half a gigabyte by itself.
    import torch

    from bench.training.loop import stacked

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EMODC_BENCH_CACHE"] = str(Path(folder) / "cache")
        root = Path(folder) / "faces"
        write(root, arguments.pictures)
        layout = Folder(root=root)
        for processes in (1, 2, 1, 2):
            memory(layout).unlink(missing_ok=True)
            listing = layout.listing()
            taken = timed(lambda: examine(layout, listing, processes=processes))  # noqa: B023
            print(f"examined {arguments.pictures / taken:,.0f}/s by {processes}", flush=True)
        files = open_layout(layout)
        taken = timed(lambda: prepare(layout, ("train", "val", "test"), Reporter(quiet=True)))
        size = pixels_of(folder_of(layout)).stat().st_size
        print(f"prepared {arguments.pictures / taken:,.0f}/s, {size / 1e6:,.0f} MB", flush=True)
        cache = open_layout(layout)
        alternating(files, cache, epoch, "picture")
        alternating(files, cache, lambda data: stacked(data, "train", 100), "stacked at 100")
        alternating(files, cache, lambda data: stacked(data, "train", 64), "stacked at 64")
        if arguments.index:
            large = many_links(Path(folder), next(root.rglob("*.jpg")), arguments.index)
            command = [sys.executable, "-m", "benchmarks.data_speed", "--only-index", str(large)]
            print(f"{arguments.index:,} files: ", end="", flush=True)
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
