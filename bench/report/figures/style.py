"""How figures look, and how they are written so that the same results give the same bytes."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Dash = Literal["-"] | tuple[float, tuple[float, ...]]

# Colour-blind safe (Okabe and Ito's, as seaborn orders them); markers and dashes repeat after other
# counts than colours, so that lines stay apart in grey and beyond ten classifiers.
_COLOURS = sns.color_palette("colorblind", 10)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Dash, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))


@dataclass(frozen=True)
class LineStyle:
    """How one classifier is drawn, the same in every figure of a group."""

    color: tuple[float, float, float]
    marker: str
    linestyle: Dash


def line_style(index: int) -> LineStyle:
    """The style of a group's classifier number `index`."""
    return LineStyle(
        _COLOURS[index % len(_COLOURS)],
        _MARKERS[index % len(_MARKERS)],
        _DASHES[index % len(_DASHES)],
    )


@contextmanager
def house_style() -> Iterator[None]:
    """Seaborn's white grid in small type; the process's own settings come back afterwards."""
    sizes = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
        "svg.hashsalt": "bench report",  # element ids are random without
        "axes.edgecolor": "0.4",
        "grid.color": "0.9",
    }
    with matplotlib.rc_context():
        matplotlib.rcParams.update(sns.axes_style("whitegrid") | sizes)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches that pyplot does not know of."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # draws off screen, whatever backend is configured
    return figure


def footnote(figure: Figure, text: str) -> None:
    """Small type under everything, wrapped to the figure's width."""
    width = int(figure.get_figwidth() * 17)  # characters; an inch takes some 18 of them
    lines = "\n".join(textwrap.wrap(text, width))
    figure.supxlabel(lines, fontsize=7.5, color="0.3", x=0.01, ha="left")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.png at 200 dpi and NAME.svg, without dates or versions inside."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(paths[0], dpi=200, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None})
    return paths
