"""How figures look, and how they are written so that the same results give the same bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import matplotlib
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D

Dash = Literal["-"] | tuple[float, tuple[float, ...]]

SUFFIXES = (".png", ".svg", ".pdf")

# Colour-blind safe and dark enough for white paper: Okabe and Ito's as seaborn orders them, with
# hues of Paul Tol's in the place of the pale ones. Markers and dashes repeat after other counts
# than colours, so that lines stay apart in grey and beyond ten classifiers.
_COLOURS = tuple(
    matplotlib.colors.to_rgb(colour)
    for colour in (
        *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
        *("#332288", "#56b4e9", "#882255", "#999933", "#000000"),
    )
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Dash, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
_FONT = "DejaVu Sans"  # comes with matplotlib: the same on every machine

GREY = "0.35"  # of what is no classifier: chance, limits, notes


@dataclass(frozen=True)
class LineStyle:
    """How one classifier is drawn, the same in every figure of a group."""

    color: tuple[float, float, float]
    marker: str
    linestyle: Dash

    def handle(self, label: str) -> Line2D:
        """The classifier's entry in a legend."""
        return Line2D(
            [], [], color=self.color, marker=self.marker, linestyle=self.linestyle, label=label
        )


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
    own = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "font.family": _FONT,
        "text.parse_math": False,  # a $ in a name is a $
        "svg.hashsalt": "bench report",  # element ids are random without
        "pdf.fonttype": 42,  # TrueType, which journals ask for; Type 3 is the default
        "axes.titley": 1.0,  # looking for ticks above it takes a seventh of the time
        "axes.edgecolor": "0.4",
        "grid.color": "0.9",
    }
    with matplotlib.rc_context():
        matplotlib.rcParams.update(sns.axes_style("whitegrid") | own)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches that pyplot does not know of."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # draws off screen, whatever backend is configured
    return figure


def shown(text: str) -> str:
    """A name as figures can write it: what the font has no sign for becomes its code point."""
    known = _signs()
    return "".join(c if ord(c) in known else f"[U+{ord(c):04X}]" for c in text)


@lru_cache
def _signs() -> frozenset[int]:
    found = get_font(findfont(_FONT)).get_charmap()
    return frozenset(code for code in found if chr(code).isprintable())


def ink(paper: tuple[float, float, float, float]) -> str:
    """Black or white, whichever is easier to read on this colour (its luma, Rec. 601)."""
    red, green, blue, _ = paper
    return "0.1" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.png at 200 dpi, NAME.svg and NAME.pdf, without dates or versions inside."""
    paths = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    # The layout is found once, not again for each format: it takes longer than drawing.
    figure.set_dpi(200)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    figure.savefig(paths[0], dpi=200, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None})
    nothing = {"Creator": None, "Producer": None, "CreationDate": None}
    figure.savefig(paths[2], dpi=200, metadata=nothing)
    return paths
