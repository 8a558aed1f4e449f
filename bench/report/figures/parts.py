"""What the figures share: what a figure is, its footnote, and how panels are dealt out."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.style import GREY, shown
from bench.report.groups import Group, Pooled
from bench.report.spec import Chapter, Estimate
from bench.report.tables import DRAWN, setting

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure in memory, and what is said of it.

    Attributes:
        name: Base of its file names, unique in a report.
        title: A few words.
        alt: What is seen, for those who do not see it; its numbers are those drawn.
        chapter: Where it stands in a report.
        figure: Itself.
    """

    name: str
    title: str
    alt: str
    chapter: Chapter
    figure: Figure


@dataclass(frozen=True)
class Drawn:
    """A figure on disk: the words of its `Drawing`, and its files."""

    name: str
    title: str
    alt: str
    chapter: Chapter
    png: Path
    svg: Path
    pdf: Path


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


def extremes(known: Sequence[tuple[str, Estimate]]) -> str:
    """Such as "27.6% (emodc) to 92.7% (net)": the lowest and the highest, with their names."""
    low, high = (choose(known, key=lambda pair: pair[1].value) for choose in (min, max))
    if low == high:
        return f"{low[1].number}% ({low[0]})"
    return f"{low[1].number}% ({low[0]}) to {high[1].number}% ({high[0]})"


def chance_line(group: Group) -> Line2D:
    """The legend's entry of chance, 1 / classes."""
    label = f"chance (1/{len(group.classes)})"
    return Line2D([], [], color=GREY, linewidth=1, linestyle=":", label=label)


def footnote(figure: Figure, group: Group, used: Sequence[Pooled], about: str) -> None:
    """Say below `figure` what it rests on, what its marks are, and what is drawn."""
    if group.several:
        about = f"{about} Means over seeds."
    drawn = f" {DRAWN}" if group.drawn else ""
    small_type(figure, f"{setting(group, used)}. {about}{drawn}")


def small_type(figure: Figure, text: str) -> None:
    """Small type under everything, wrapped to the figure's width."""
    width = int(figure.get_figwidth() * 17)  # characters; an inch takes some 18 of them
    lines = "\n".join(textwrap.wrap(shown(text), width))
    figure.supxlabel(lines, fontsize=7.5, color="0.3", x=0.01, ha="left")


def is_emodc(result: Pooled) -> bool:
    """Whether it is an EmoDC, or the control that shares its trunk."""
    manifests = [r.manifest for r in result.results]
    return any(m.timesteps or m.training.get("kind") in ("emodc", "control") for m in manifests)
