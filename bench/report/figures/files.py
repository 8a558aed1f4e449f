"""Figures into files: here if they are few, by processes side by side if they are many."""

import multiprocessing
import signal
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from pathlib import Path

from matplotlib.figure import Figure

from bench import runtime
from bench.report.figures.parts import Drawing, Drawn
from bench.report.figures.style import house_style, save

_FEW = 16  # figures that are written before another process has started


def write(drawings: Iterable[Drawing], folder: Path, workers: int) -> list[Drawn]:
    """Write all files of the drawings, in their order; in `house_style`.

    Args:
        drawings: Any number.
        folder: Made if it is not there.
        workers: Processes at most; with more than one the calling script has to be importable, as
            for any pool of processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rest = iter(drawings)
    first = list(islice(rest, _FEW))
    if len(first) < _FEW or workers == 1:
        return [_drawn(d, save(d.figure, folder, d.name)) for d in chain(first, rest)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, 4), context, _start) as pool:
        submitted = [(d, pool.submit(_save, d.figure, folder, d.name)) for d in chain(first, rest)]
        return [_drawn(drawing, future.result()) for drawing, future in submitted]


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    runtime.die_with_parent()


def _save(figure: Figure, folder: Path, name: str) -> list[Path]:
    with house_style():  # some settings count when files are written
        return save(figure, folder, name)


def _drawn(drawing: Drawing, paths: list[Path]) -> Drawn:
    return Drawn(drawing.name, drawing.title, drawing.alt, drawing.chapter, *paths)
