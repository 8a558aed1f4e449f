"""What the figures of diagnostics share: lines, bars, limits and footnotes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.parts import small_type
from bench.report.figures.style import line_style
from bench.report.tables import DRAWN
from bench.report.traces.diagnosis import Diagnosis
from emodc.estimates import Estimate


def line(
    ax: Axes, x: np.ndarray, points: Sequence[Estimate | None], index: int, label: str | None
) -> None:
    """One condition over the bins; accuracies, which have a name, in percent."""
    style, nan = line_style(index), float("nan")
    factor = 1 if label is None else 100
    y, low, high = (
        [nan if e is None else factor * getattr(e, part) for e in points]
        for part in ("value", "low", "high")
    )
    ax.fill_between(x, low, high, color=style.color, alpha=0.15, linewidth=0)
    ax.plot(
        x, y, color=style.color, marker=style.marker, linestyle=style.linestyle, label=label,
        linewidth=1.5, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5,
    )  # fmt: skip


def bar(ax: Axes, place: int, estimate: Estimate, color: tuple[float, ...], hatch: bool) -> None:
    """A share in percent with its interval."""
    value, low, high = (100 * e for e in (estimate.value, estimate.low, estimate.high))
    ax.bar(place, value, width=0.7, color=color, hatch="///" if hatch else None, edgecolor="white")
    ax.errorbar(
        place, value, yerr=[[value - low], [high - value]], color="0.2", linewidth=1, capsize=2
    )


def span(values: np.ndarray) -> tuple[float, float]:
    """Limits that hold all values and some room."""
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def text(estimate: Estimate | None, name: str, digits: int) -> str:
    """An estimate as a panel's title has it."""
    if estimate is None:
        return f"{name} undefined"
    value, low, high = (f"{v:.{digits}f}" for v in (estimate.value, estimate.low, estimate.high))
    return f"{name} {value} [{low}, {high}]"


def note(figure: Figure, diagnosis: Diagnosis, about: str) -> None:
    """The footnote: of whom, on what, and what is drawn."""
    drawn = f" {DRAWN}" if diagnosis.group.drawn else ""
    small_type(figure, f"{diagnosis.name}. {diagnosis.where}. {about}{drawn}")
