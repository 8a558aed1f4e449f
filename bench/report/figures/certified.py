"""Certified accuracy against the radius: a panel per sigma, a line per classifier."""

import math
from collections.abc import Iterator

import numpy as np
import seaborn as sns

from bench.report.figures.drawing import (
    Drawing,
    caption_of,
    extremes,
    line_styles,
    listed,
    named,
    new_figure,
)
from bench.report.outcomes import AccuracyEstimate, share
from bench.report.results import Result, ResultSet
from bench.report.spec import interval_name
from bench.report.tables.certified import certificates, farthest, pooled_certificates

_POINTS = 60  # of a line


def certified_drawings(group: ResultSet) -> Iterator[Drawing]:
    """One figure, if there are certificates."""
    cells = pooled_certificates(group)
    if not cells:
        return
    by_sigma: dict[str, list[Result]] = {}
    for own in sorted(cells, key=lambda one: one.cell.level):
        by_sigma.setdefault(own.cell.severity, []).append(own)
    columns = min(len(by_sigma), 3)
    rows = math.ceil(len(by_sigma) / columns)
    figure = new_figure(columns * 2.9 + 1.9, rows * 2.6 + 0.6)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for ax in axes.flat[len(by_sigma) :]:
        ax.set_axis_off()
    styles, at_zero = line_styles(group.names), list[tuple[str, AccuracyEstimate]]()
    for ax, (sigma, several) in zip(axes.flat, by_sigma.items(), strict=False):
        radii = np.linspace(0, max(map(farthest, several)), _POINTS)
        for one in several:
            right, lengths = certificates(one)
            points = [share(right * (lengths > radius)) for radius in radii]
            at_zero.append((f"{one.name}, sigma {sigma}", points[0]))
            style = styles[one.cell.classifier]
            low, high = ([100 * getattr(p.interval, e) for p in points] for e in ("low", "high"))
            ax.fill_between(radii, low, high, color=style.color, alpha=0.15, linewidth=0)
            height = [100 * point.value for point in points]
            ax.plot(radii, height, color=style.color, linestyle=style.linestyle, linewidth=1.5)
        ax.set_title(f"sigma {sigma}")
        ax.set_xlabel("L2 radius, pixels in [0, 1]")
        ax.set_ylim(0, 100)
        ax.margins(x=0.02)
        sns.despine(ax=ax)
    for ax in axes[:, 0]:
        ax.set_ylabel("certified accuracy (%)")
    shown = [c for c in group.names if any(one.cell.classifier == c for one in cells)]
    handles = [styles[c].handle(named(group.names[c])) for c in shown]
    for handle in handles:
        handle.set_marker("")
    figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=3.2)
    caption_of(figure, group, cells, f"Bands: {interval_name(group)} intervals.")
    lines = listed([group.names[c] for c in shown])
    yield Drawing(
        group.file_name("certified"),
        f"Certified accuracy against the radius, {group.slug}",
        f"Line charts of certified accuracy against the L2 radius; lines: {lines}. At radius 0, "
        f"{extremes(at_zero)}.",
        "attacks",
        figure,
    )
