"""How figures look, and how they are written so that the same results give the same bytes."""

import textwrap
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, count, islice, pairwise
from math import ceil
from pathlib import Path
from typing import Literal, TypeVar

import matplotlib
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D

from bench.classifiers.kinds import kind_of
from bench.report.outcomes import AccuracyEstimate
from bench.report.results import Result, ResultSet
from bench.report.spec import Chapter, sizes
from bench.util import runtime

Dash = Literal["-"] | tuple[float, tuple[float, ...]]

#: What figures can be written as, besides PNG, which every report has.
FORMATS = ("png", "pdf", "svg")
#: By style: sizes of the figure, of type, and of lines and markers, relative to those of a paper.
STYLES = {"paper": (1.0, 1.0, 1.0), "talk": (1.2, 1.5, 1.5)}
_style: ContextVar[str] = ContextVar("style", default="paper")
_labels: ContextVar[Mapping[str, str] | None] = ContextVar("labels", default=None)

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

# Of conditions and rules, which are no classifiers and so have colours of their own.
_OTHERS = tuple(
    matplotlib.colors.to_rgb(colour)
    for colour in ("0.15", "#b2443f", "#3d8f8a", "#8a6fb0", "#a68a3a", "#5b7a3a")
)
# Places in the palette of the classifiers of the configs that come with the project.
_KNOWN = (
    *("resnet18", "emodc_amdit", "resnet18_noise", "emodc_amdit_noise_aware", "emodc_base"),
    *("emodc_control", "vit_small"),
)


@dataclass(frozen=True)
class LineStyle:
    """How one classifier is drawn, the same in every figure."""

    color: tuple[float, float, float]
    marker: str
    linestyle: Dash

    def handle(self, label: str) -> Line2D:
        """The classifier's entry in a legend."""
        return Line2D(
            [], [], color=self.color, marker=self.marker, linestyle=self.linestyle, label=label
        )


def line_style(index: int) -> LineStyle:
    """Style number `index` of classifiers."""
    return LineStyle(
        _COLOURS[index % len(_COLOURS)],
        _MARKERS[index % len(_MARKERS)],
        _DASHES[index % len(_DASHES)],
    )


def other_style(index: int) -> LineStyle:
    """Style number `index` of what is no classifier: conditions, rules."""
    return replace(line_style(index), color=_OTHERS[index % len(_OTHERS)])


def line_styles(classifiers: Iterable[str]) -> dict[str, LineStyle]:
    """A style for each classifier by its name in the config, the same in every run.

    A name that no shipped config has gets a place from its checksum, or the next free one where
    another classifier of these is there already.
    """
    names = list(classifiers)
    places = {name: _KNOWN.index(name) for name in names if name in _KNOWN}
    for name in sorted(set(names) - places.keys()):
        first, taken = zlib.crc32(name.encode()) % len(_COLOURS), set(places.values())
        around = (first + step for step in count())
        free = (place % len(_COLOURS) if len(taken) < len(_COLOURS) else place for place in around)
        places[name] = next(place for place in free if place not in taken)
    return {name: line_style(places[name]) for name in names}


@contextmanager
def house_style(style: str = "paper", labels: Mapping[str, str] | None = None) -> Iterator[None]:
    """Seaborn's white grid in small type; the process's own settings come back afterwards.

    Args:
        style: One of `STYLES`.
        labels: What figures call classifiers, by their names in tables.
    """
    _, scale, _ = STYLES[style]
    own = {
        "font.size": 9 * scale,
        "axes.titlesize": 10 * scale,
        "axes.labelsize": 9 * scale,
        "xtick.labelsize": 8 * scale,
        "ytick.labelsize": 8 * scale,
        "legend.fontsize": 8 * scale,
        "font.family": _FONT,
        "text.parse_math": False,  # a $ in a name is a $
        "svg.hashsalt": "bench report",  # element ids are random without
        "pdf.fonttype": 42,  # TrueType, which journals ask for; Type 3 is the default
        "axes.titley": 1.0,  # looking for ticks above it takes a seventh of the time
        "axes.edgecolor": "0.4",
        "grid.color": "0.9",
    }
    chosen, called = _style.set(style), _labels.set(labels)
    try:
        with matplotlib.rc_context():
            matplotlib.rcParams.update(sns.axes_style("whitegrid") | own)
            yield
    finally:
        _style.reset(chosen)
        _labels.reset(called)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure that pyplot does not know of, `width` by `height` inches in a paper."""
    scale, _, _ = STYLES[_style.get()]
    figure = Figure(figsize=(width * scale, height * scale), layout="constrained")
    FigureCanvasAgg(figure)  # draws off screen, whatever backend is configured
    return figure


def legend_columns(figure: Figure, inches: float) -> int:
    """How many entries of so many inches, in a paper's type, stand side by side in a legend."""
    return max(1, int(figure.get_figwidth() / (inches * STYLES[_style.get()][1])))


def fitting(text: str, inches: float) -> str:
    """A label of an axis in as many lines as a panel so wide, in a paper, has room for."""
    scale, type_size, _ = STYLES[_style.get()]
    letter = 0.56 * 9 * type_size / 72  # mean width in inches
    return textwrap.fill(text, max(8, int(0.85 * inches * scale / letter)))


def shown(text: str) -> str:
    """A name as figures can write it: what the font has no sign for becomes its code point."""
    known = _signs()
    return "".join(c if ord(c) in known else f"[U+{ord(c):04X}]" for c in text)


@lru_cache
def _signs() -> frozenset[int]:
    found = get_font(findfont(_FONT)).get_charmap()
    return frozenset(code for code in found if chr(code).isprintable())


def named(classifier: str, inches: float | None = None) -> str:
    """A classifier's label as figures can write it; what stands in brackets gets its own line.

    Over a panel of so many inches in a paper, lines that are too long are broken.
    """
    lines = shown(labelled(classifier)).replace(" (", "\n(").split("\n")
    return "\n".join(lines if inches is None else (fitting(line, inches) for line in lines))


def labelled(classifier: str) -> str:
    """What figures call a classifier."""
    return (_labels.get() or {}).get(classifier, classifier)


def ink(paper: tuple[float, float, float, float]) -> str:
    """Black or white, whichever is easier to read on this colour (its luma, Rec. 601)."""
    red, green, blue, _ = paper
    return "0.1" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def save(
    figure: Figure, folder: Path, name: str, formats: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Write NAME.png at 200 dpi and NAME.svg, which pages embed, without dates or versions inside.

    NAME.pdf follows if `formats` has it.
    """
    paths = [folder / f"{name}.{suffix}" for suffix in ("png", "svg", "pdf")]
    # The layout is found once, not again for each format: it takes longer than drawing.
    figure.set_dpi(200)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    figure.savefig(paths[0], dpi=200, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None})
    if "pdf" not in formats:
        return paths[:2]
    nothing = {"Creator": None, "Producer": None, "CreationDate": None}
    figure.savefig(paths[2], dpi=200, metadata=nothing)
    return paths


# ------------------------------------------------------------------------------------------------
# What the figures share: what a figure is, its footnote, and how panels are dealt out.


T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure in memory, and what is said of it.

    Attributes:
        name: Base of its file names, unique in a report.
        title: A few words.
        alt: What is seen, for those who do not see it; its numbers are those drawn.
        chapter: Where it stands in a report.
        figure: Itself; its label is its caption.
    """

    name: str
    title: str
    alt: str
    chapter: Chapter
    figure: Figure

    @property
    def caption(self) -> str:
        """What is drawn, and of how many pictures; stands beside the picture, not in it."""
        return str(self.figure.get_label())


@dataclass(frozen=True)
class Drawn:
    """A figure on disk: the words of its `Drawing`, and its files."""

    name: str
    title: str
    caption: str
    alt: str
    chapter: Chapter
    inches: float
    png: Path
    svg: Path
    pdf: Path | None = None


def evenly(things: Sequence[T], most: int) -> list[list[T]]:
    """The things in order, in as few parts of at most `most` as will do, of nearly equal size."""
    parts = ceil(len(things) / most)
    ends = [round(i * len(things) / parts) for i in range(parts + 1)] if parts else []
    return [list(things[a:b]) for a, b in pairwise(ends)]


def numbered(name: str, part: int, parts: int) -> str:
    """A figure's name, with a number where there are several parts of it."""
    return name if parts == 1 else f"{name}-{part + 1}"


def part_of(title: str, part: int, parts: int) -> str:
    """A figure's title, which says so where there are several parts of it."""
    return title if parts == 1 else f"{title} ({part + 1} of {parts})"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


def extremes(known: Sequence[tuple[str, AccuracyEstimate]]) -> str:
    """Such as "27.6% (emodc) to 92.7% (net)": the lowest and the highest, with their names."""
    low, high = (choose(known, key=lambda pair: pair[1].value) for choose in (min, max))
    if low == high:
        return f"{low[1].number}% ({low[0]})"
    return f"{low[1].number}% ({low[0]}) to {high[1].number}% ({high[0]})"


def chance_line(group: ResultSet) -> Line2D:
    """The legend's entry of chance, 1 / classes."""
    label = f"chance (1/{len(group.classes)})"
    return Line2D([], [], color=GREY, linewidth=1, linestyle=":", label=label)


def caption_of(figure: Figure, group: ResultSet, used: Sequence[Result], about: str) -> None:
    """Make a figure's caption: what its marks are, and n; at most 40 words."""
    means = " Means over seeds." if group.several else ""
    figure.set_label(f"{about}{means} n = {sizes([result.n for result in used])}.")


def is_emodc(result: Result) -> bool:
    """Whether it is an EmoDC, or the control that shares its trunk."""
    manifests = [r.manifest for r in result.results]
    return any(m.timesteps or kind_of(m.training).staged for m in manifests)


# ------------------------------------------------------------------------------------------------
# Figures into files: here if they are few, by processes side by side if they are many.


_FEW = 16  # figures that are written before another process has started


def write(
    drawings: Iterable[Drawing], folder: Path, workers: int, formats: Sequence[str]
) -> list[Drawn]:
    """Write all files of the drawings, in their order; in `house_style`.

    Args:
        drawings: Any number.
        folder: Made if it is not there.
        workers: Processes at most; with more than one the calling script has to be importable, as
            for any pool of processes.
        formats: See `save`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rest = iter(drawings)
    first = list(islice(rest, _FEW))
    if len(first) < _FEW or workers == 1:
        return [_drawn(d, _save(d, folder, formats)) for d in chain(first, rest)]
    died = (
        "a process that writes figures died (out of memory?). The same command writes them again."
    )
    with runtime.pool(min(workers, 4), died) as pool:
        style = _style.get()
        submitted = [(d, pool.submit(_save, d, folder, formats, style)) for d in chain(first, rest)]
        return [_drawn(drawing, future.result()) for drawing, future in submitted]


def _save(
    drawing: Drawing, folder: Path, formats: Sequence[str], style: str | None = None
) -> list[Path]:
    with house_style(style or _style.get()):  # some settings count when files are written
        _, _, scale = STYLES[_style.get()]
        for line in drawing.figure.findobj(Line2D) if scale != 1 else ():
            line.set_linewidth(scale * line.get_linewidth())
            line.set_markersize(scale * line.get_markersize())
        return save(drawing.figure, folder, drawing.name, formats)


def _drawn(drawing: Drawing, paths: list[Path]) -> Drawn:
    words = drawing.name, drawing.title, drawing.caption, drawing.alt
    return Drawn(*words, drawing.chapter, drawing.figure.get_figwidth(), *paths)
