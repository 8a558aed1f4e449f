"""The ablation's figure: what accuracy was gained, and what of the denoiser it cost."""

from collections.abc import Iterator, Sequence

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from bench.report.figures.drawing import (
    Drawing,
    LineStyle,
    caption_of,
    line_styles,
    named,
    new_figure,
)
from bench.report.outcomes import AccuracyEstimate
from bench.report.results import ResultSet
from bench.report.spec import (
    interval_name,
)
from bench.report.tables.ablation import Variant, pairs_with_base, variants
from bench.stats import Interval
from bench.store.checkpoints import GATE_FACTOR

_NEAR = 0.10  # variants within ten points of the best get a panel of their own
Point = tuple[Variant, AccuracyEstimate, AccuracyEstimate, LineStyle]  # relative d_p, accuracy


def ablation_drawings(group: ResultSet) -> Iterator[Drawing]:
    """The figure, where there is more than one EmoDC variant."""
    if points := points_of(group, variants(group)):
        yield Drawing(
            group.file_name("ablation"),
            f"EmoDC's variants, {group.slug}",
            _alt(points),
            "ablation",
            ablation_figure(group, points),
        )


def ablation_figure(group: ResultSet, points: Sequence[Point]) -> Figure:
    """Accuracy against d_p relative to Base, a marker per variant, with both intervals.

    An open marker: a seed failed the denoiser check. Where some variants are far below the best, a
    second panel shows those near it at a scale of their own.
    """
    best = max(accuracy.value for _, _, accuracy, _ in points)
    near = [point for point in points if point[2].value >= best - _NEAR]
    panels = [points, near] if 1 < len(near) < len(points) else [points]
    figure = new_figure(3.4 * len(panels) + 2.6, max(3.6, 0.24 * len(points) + 1.6))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, part in zip(axes, panels, strict=True):
        _panel(ax, part)
    axes[0].set_ylabel("accuracy (%)")
    if len(panels) > 1:
        axes[0].set_title("all variants")
        axes[1].set_title(f"within {100 * _NEAR:.0f} points of the best")
    figure.legend(
        handles=[*(_handle(point) for point in points), _gate_line()],
        loc="outside right upper",
        frameon=False,
    )
    about = (
        f"Bars: {interval_name(group)} intervals; of d_p, bootstrap. Open: a seed failed the "
        "denoiser check"
    )
    used = [variant.clean for variant, *_ in points]
    caption_of(figure, group, used, f"{about} (judged on validation).")
    return figure


def points_of(group: ResultSet, found: Sequence[Variant]) -> list[Point]:
    """Variants that have a place on both axes; Base is at 1 by definition."""
    pairs = pairs_with_base(found)
    bases = {id(pair.second) for pair in pairs.values()}
    points = []
    styles = line_styles(group.names)
    for variant in found:
        pair = pairs.get(variant.classifier)
        relative = None if pair is None else pair.relative_d_p
        if id(variant) in bases:
            relative = AccuracyEstimate(1.0, Interval(1.0, 1.0))
        if relative is not None:
            points.append((variant, relative, variant.clean.accuracy, styles[variant.classifier]))
    return points


def _panel(ax: Axes, points: Sequence[Point]) -> None:
    for variant, relative, accuracy, style in points:
        x, y = relative.value, 100 * accuracy.value
        left, right = x - relative.interval.low, relative.interval.high - x
        below, above = y - 100 * accuracy.interval.low, 100 * accuracy.interval.high - y
        ax.errorbar(
            x,
            y,
            xerr=[[max(left, 0.0)], [max(right, 0.0)]],
            yerr=[[max(below, 0.0)], [max(above, 0.0)]],
            fmt=style.marker,
            color=style.color,
            markerfacecolor=_face(variant, style),
            markersize=6,
            linewidth=1,
            zorder=3,
        )
    ax.axvline(GATE_FACTOR, color="0.35", linewidth=1, linestyle="--")
    ax.set_xlabel("d_p / Base (1: as good a denoiser)")
    ax.margins(0.08)
    sns.despine(ax=ax)


def _alt(points: Sequence[Point]) -> str:
    said = [
        f"{variant.name} {accuracy.number}% at {relative.value:.2f}"
        for variant, relative, accuracy, _ in points
    ]
    return f"Accuracy against d_p relative to Base, a point per variant: {'; '.join(said)}."


def _face(variant: Variant, style: LineStyle) -> ColorType:
    return style.color if variant.passed == len(variant.clean.results) else "white"


def _handle(point: Point) -> Line2D:
    variant, *_, style = point
    return Line2D(
        [],
        [],
        linestyle="none",
        color=style.color,
        marker=style.marker,
        markerfacecolor=_face(variant, style),
        label=named(variant.name),
    )


def _gate_line() -> Line2D:
    return Line2D(
        [], [], color="0.35", linewidth=1, linestyle="--", label=f"denoiser check ({GATE_FACTOR})"
    )
