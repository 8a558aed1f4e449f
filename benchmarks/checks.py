"""What the checks of a store cost: reading it for a report, and finding a finished run done.

    python -m benchmarks.checks [--classifiers 4] [--images 3068] [--rounds 7] [--keep DIR]
                                [--run CONFIG OUT]

Times are those of this process, with and without the checks in turn, so that what else the machine
does meets both alike; ratios are medians over the rounds. "Without" leaves out what makes a file
believed: SHA-256, and what rows must have in common with traces, labels and themselves. The report
read is what `bench report` reads and measures; the report is the whole command, with its tables,
figures and page. The cells of an open run are what `bench run` asks of those that are complete; the
open run is all that it does at a finished run, of a config and its OUT (`--run`).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import bench
from bench.report.results import read
from bench.report.write import write_report
from bench.store import store as module
from bench.store.store import Store
from benchmarks.report_scale import write_store


def rows(root: Path) -> None:
    """All rows of a store."""
    store = Store(root)
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        store.table(manifest)


def finished(root: Path) -> None:
    """What of a run is still to be done: nothing."""
    store = Store(root)
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None and store.problem(manifest, NAMES) is None


NAMES: tuple[str, ...] = ()
READERS: dict[str, Callable[[Path], object]] = {
    "rows": rows,
    "report, read": read,
    "report": write_report,
    "open run, cells": finished,
}


def unchecked() -> ExitStack:
    """Believes whatever is in the files."""
    stack = ExitStack()
    for name, instead in {
        "_same_bytes": lambda *_: True,
        "_contradiction": lambda *_: None,
        "_d_p_fits": lambda *_: True,
    }.items():
        stack.enter_context(patch.object(module, name, instead))
    stack.enter_context(patch.object(Store, "_mislabelled", lambda *_: None))
    return stack


def seconds(read_all: Callable[[Path], object], root: Path) -> float:
    """CPU time: a wall clock on a busy machine times its other users."""
    start = time.process_time()
    read_all(root)
    return time.process_time() - start


def main() -> None:
    """Print a line per reader."""
    global NAMES
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=3068)
    parser.add_argument("--classifiers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="make or reuse the store here")
    parser.add_argument("--run", nargs=2, metavar=("CONFIG", "OUT"), help="a finished run")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = asked.keep or Path(scratch) / "store"
        if not (root / "plan.json").exists():
            write_store(root, asked.images, asked.classifiers)
        NAMES = tuple(f"test_{i:04d}" for i in range(asked.images))
        readers = dict(READERS)
        if asked.run:
            config, out = asked.run
            readers["open run"] = lambda _: bench.run(config, out=out, quiet=True)
        for name, read_all in readers.items():
            read_all(root)  # into the page cache
            ratios, plain = [], []
            for _ in range(asked.rounds):
                checked = seconds(read_all, root)
                with unchecked():
                    plain.append(seconds(read_all, root))
                ratios.append(checked / plain[-1])
            low, high = min(ratios), max(ratios)
            print(
                f"{name:16} {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})   "
                f"without checks {statistics.median(plain):.2f} s"
            )


if __name__ == "__main__":
    main()
