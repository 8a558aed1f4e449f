"""What traces say of an EmoDC: errors by prompt and timestep, margins, one picture; variants."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from math import ceil

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from bench.report.figures.drawing import (
    Drawing,
    LineStyle,
    caption_of,
    labelled,
    legend_columns,
    line_styles,
    listed,
    named,
    new_figure,
    other_style,
    shown,
)
from bench.report.outcomes import AccuracyEstimate
from bench.report.results import ResultSet
from bench.report.spec import interval_name
from bench.report.tables.ablation import Variant, pairs_with_base, variants
from bench.report.tables.diagnostics import PROMPTS, Diagnosis, PictureCase
from bench.stats import Interval, wilson
from bench.store.checkpoints import GATE_FACTOR
from emodc.analysis import ClassErrors, Estimate


def line(
    ax: Axes, x: np.ndarray, points: Sequence[Estimate | None], index: int, label: str | None
) -> None:
    """One condition over the bins; accuracies, which have a name, in percent."""
    style, nan = other_style(index), float("nan")
    factor = 1 if label is None else 100
    y, low, high = (
        [nan if e is None else factor * getattr(e, part) for e in points]
        for part in ("value", "low", "high")
    )
    ax.fill_between(x, low, high, color=style.color, alpha=0.15, linewidth=0)
    ax.plot(
        x, y, color=style.color, marker=style.marker, linestyle=style.linestyle, label=label,
        linewidth=1.5, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5,
        clip_on=False,
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


# ------------------------------------------------------------------------------------------------
# The figures of diagnostics in words, for those who do not see them.


def of_correlation(diagnosis: Diagnosis) -> str:
    """The text of the panel of errors under other prompts against d_p."""
    said = [
        f"{PROMPTS[name]}: {text(estimate, 'r =', 3)}"
        for name, estimate in diagnosis.correlations.items()
    ]
    about = "Scatter of a picture's error under other prompts against that under the right one"
    return f"{about}, around the line of equal errors. {'; '.join(said)}."


def of_gap(diagnosis: Diagnosis) -> str:
    """The text of the panel of gaps by timestep bin."""
    gaps, edges = diagnosis.gaps, diagnosis.edges
    said = []
    for number in range(gaps.shape[2]):
        column = gaps[~np.isnan(gaps[:, :, number]).any(axis=1), :, number]
        if len(column):
            where = f"t {edges[number]:.0f} to {edges[number + 1]:.0f}"
            said.append(f"{where}: {100 * (column > 0).mean():.0f}%")
    return f"Histograms of d_n - d_p by timestep. Share above 0: {'; '.join(said)}."


def of_timesteps(diagnosis: Diagnosis) -> str:
    """The text of the panel of what each timestep bin decides alone."""
    centres = (diagnosis.edges[:-1] + diagnosis.edges[1:]) / 2
    said = []
    for traced in diagnosis.conditions:
        found = [a for a, _ in diagnosis.informativeness(traced)]
        known = [(a.value, t) for a, t in zip(found, centres, strict=True) if a is not None]
        if known:
            best, where = max(known)
            said.append(f"{traced.name} {100 * best:.1f}% at t {where:.0f}")
    about = "Line charts over timesteps of the accuracy and the d' of a bin alone"
    return f"{about}. Most accurate bin: {'; '.join(said)}."


def of_margins(diagnosis: Diagnosis) -> str:
    """The text of the panel of pictures that keep each margin."""
    found = diagnosis.margins
    said = []
    for margin in ("fixed", "adaptive"):
        for which, part in (("easy", found.easy), ("hard", found.hard)):
            kept = found.kept(margin, part)
            if kept is not None:
                said.append(f"{margin}, {which} pictures: {100 * kept.value:.1f}%")
    about = "Scatter of the lowest wrong error against d_p with two margins, and the shares kept"
    return f"{about}: {'; '.join(said)}."


def of_example(diagnosis: Diagnosis) -> str:
    """The text of the panel of the picture whose decision changes."""
    found = diagnosis.example
    if found is None:
        return ""
    sides = [_side(side) for side in (found.clean, found.corrupted)]
    about = f"Picture {found.sample_id}, {found.label}, and bars of the error of each class"
    return f"{about}. {' '.join(sides)}"


def _side(side: PictureCase) -> str:
    decisions = [f"{name} says {said or 'tie'}" for name, said in side.decisions.items()]
    return f"{side.condition}: {listed(decisions)}."


# ------------------------------------------------------------------------------------------------
# The figures of diagnostics, one set per EmoDC; the numbers are those of `diagnostics`.


_BLUE, _ORANGE = other_style(2).color, other_style(1).color
_GREY = "0.35"


def diagnostic_drawings(diagnosis: Diagnosis) -> Iterator[Drawing]:
    """All figures of one EmoDC."""
    for what, (title, draw, words) in _FIGURES.items():
        figure = draw(diagnosis)
        if figure is not None:
            own = f"{title}, {diagnosis.name}, {diagnosis.group.slug}"
            name = diagnosis.file_name(what)
            yield Drawing(name, own, words(diagnosis), "diagnostics", figure)


def correlation(diagnosis: Diagnosis) -> Figure:
    """A panel per other prompt: its error against d_p, a point per picture."""
    found = diagnosis.correlations
    figure = new_figure(max(2.5 * len(found) + 0.5, 4.0), 3.6)
    axes = figure.subplots(1, len(found), squeeze=False, sharex=True, sharey=True)[0]
    d_p = diagnosis.prompts["positive"]
    values = np.concatenate([d_p, *(diagnosis.prompts[name] for name in found)])
    limits = span(values)
    for ax, (name, estimate) in zip(axes, found.items(), strict=True):
        ax.plot(limits, limits, color=_GREY, linestyle="--", linewidth=1, zorder=1)
        ax.scatter(d_p, diagnosis.prompts[name], s=9, color=_BLUE, alpha=0.55, linewidths=0)
        ax.set(xlim=limits, ylim=limits, xlabel="d under the right prompt")
        ax.set_title(f"{PROMPTS[name]}\n{text(estimate, 'r =', 3)}")
        sns.despine(ax=ax)
    axes[0].set_ylabel("d under the other prompt")
    about = (
        "A point is a clean picture, d its mean error over the steps; dashed: equal errors. "
        "Brackets: 95% intervals (Fisher's z)."
    )
    figure.set_label(f"n = {len(d_p)} pictures. {about}")
    return figure


def gap_by_timestep(diagnosis: Diagnosis) -> Figure:
    """Histograms of d_n - d_p, a panel per timestep bin, a count per picture and wrong class."""
    gaps, edges = diagnosis.gaps, diagnosis.edges
    known = gaps[~np.isnan(gaps)]
    low, high = np.quantile(known, [0.005, 0.995])
    width = (max(high, 0.0) - min(low, 0.0)) / 36 or 1.0
    # Zero is an edge: a bar is on one side of the decision.
    grid = width * np.arange(
        np.floor(min(low, 0.0) / width) - 1, np.ceil(max(high, 0.0) / width) + 2
    )
    columns = min(5, gaps.shape[2])
    rows = ceil(gaps.shape[2] / columns)
    figure = new_figure(max(1.75 * columns, 4.0), 1.65 * rows + 0.8)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[gaps.shape[2] :]:
        ax.set_axis_off()
    for number, ax in zip(range(gaps.shape[2]), axes.flat, strict=False):
        column = gaps[~np.isnan(gaps[:, :, number]).any(axis=1), :, number]
        ax.set_title(f"t {edges[number]:.0f}–{edges[number + 1]:.0f}", fontsize="medium")
        if len(column):
            # What lies outside counts in the outermost bars, so that all bars add up to all.
            values = np.clip(column.ravel(), grid[0], grid[-1])
            weights = np.full(values.size, 100 / values.size)
            ax.hist(values, bins=grid, weights=weights, color=_BLUE, histtype="stepfilled")
            above = (column > 0).mean(axis=1).sum()
            interval = wilson(above, len(column))
            ax.set_xlabel(
                f"{100 * above / len(column):.0f}% above 0\n"
                f"[{100 * interval.low:.0f}, {100 * interval.high:.0f}], n = {len(column)}",
                fontsize="small",
            )
        ax.axvline(0, color="black", linewidth=0.8, linestyle=":")
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.tick_params(labelbottom=True, labelsize="small")
        sns.despine(ax=ax)
    for ax in axes[:, 0]:
        ax.set_ylabel("% of pairs")
    about = (
        "Gap d_n - d_p of pairs of a clean picture and a wrong class, by timestep; above 0 the "
        "right class wins. Brackets: 95% Wilson intervals over pictures. The outermost bars hold "
        "what lies beyond."
    )
    figure.set_label(about)
    return figure


def timesteps(diagnosis: Diagnosis) -> Figure:
    """Accuracy and d' of each timestep bin alone, a line per condition."""
    figure = new_figure(7.6, 3.2)
    left, right = figure.subplots(1, 2)
    centres = (diagnosis.edges[:-1] + diagnosis.edges[1:]) / 2
    for index, traced in enumerate(diagnosis.conditions):
        found = diagnosis.informativeness(traced)
        line(
            left,
            centres,
            [a for a, _ in found],
            index,
            f"{shown(traced.name)} (n {len(traced.errors)})",
        )
        line(right, centres, [d for _, d in found], index, None)
    whole = 100 * diagnosis.clean.result.accuracy.value
    left.axhline(whole, color=_GREY, linewidth=1, linestyle="-.", label="clean, all steps")
    chance = 100 / len(diagnosis.clean.result.manifest.classes)
    left.axhline(chance, color=_GREY, linewidth=1, linestyle=":", label="chance")
    right.axhline(0, color=_GREY, linewidth=1, linestyle=":")
    left.set(ylim=(0, 100), xlabel="timestep t", ylabel="accuracy from one bin (%)")
    right.set(xlabel="timestep t", ylabel="d' of the gap in one bin")
    for ax in (left, right):
        ax.set_xlim(diagnosis.edges[0], diagnosis.edges[-1])
        sns.despine(ax=ax)
    figure.legend(loc="outside right upper", frameon=False, handlelength=3.2)
    steps = diagnosis.clean.errors.shape[2]
    about = (
        f"{len(centres)} bins of the {steps} steps, each deciding alone. d': the gap d_n - d_p in "
        "standard deviations over pictures. Bands: 95% intervals (Wilson; delta method)."
    )
    figure.set_label(about)
    return figure


def margins(diagnosis: Diagnosis) -> Figure:
    """The lowest wrong error against d_p with two margins; the share of pictures that keep each."""
    found = diagnosis.margins
    figure = new_figure(7.2, 3.5)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    middle = ~(found.easy | found.hard)
    left.scatter(found.d_p[middle], found.d_n[middle], s=7, color="0.6", linewidths=0)
    for part, marker, color in ((found.easy, "o", _BLUE), (found.hard, "^", _ORANGE)):
        name = "easy third" if part is found.easy else "hard third"
        left.scatter(
            found.d_p[part], found.d_n[part], s=14, marker=marker, color=color, linewidths=0,
            alpha=0.7, label=name,
        )  # fmt: skip
    x = np.array(span(found.d_p))
    for y, dash, name in (
        (x, ":", "decision: d_n = d_p"),
        (x + found.fixed, "--", f"fixed: d_p + {found.fixed:.3f}"),
        ((1 + found.alpha) * x, "-", f"adaptive: {1 + found.alpha:g} d_p"),
    ):
        left.plot(x, y, color="black", linestyle=dash, linewidth=1.2, label=name)
    left.set(xlim=x, xlabel="d_p", ylabel="lowest d_n")
    figure.legend(
        loc="outside upper left", ncols=min(5, legend_columns(figure, 1.4)), frameon=False,
        fontsize="small", columnspacing=1.2,
    )  # fmt: skip
    kept = [(margin, which, e) for margin, which, e in _kept(diagnosis) if e is not None]
    for place, (_, which, estimate) in enumerate(kept):
        bar(right, place, estimate, _BLUE if which == "easy" else _ORANGE, which == "hard")
    names = [f"{margin}\n{which}\nn {estimate.n}" for margin, which, estimate in kept]
    right.set_xticks(range(len(kept)), names)
    right.tick_params(axis="x", labelsize="small")
    right.grid(visible=False, axis="x")
    right.set(ylim=(0, 100), ylabel="pictures that keep the margin (%)")
    for ax in (left, right):
        sns.despine(ax=ax)
    about = (
        f"{len(found.d_p)} clean pictures, easy and hard by d_p; grey: the middle third. The "
        "fixed margin is what the adaptive one asks on average. Bars: 95% Wilson intervals."
    )
    figure.set_label(about)
    return figure


_WIDE = 42  # characters of a title over half a figure


def example(diagnosis: Diagnosis) -> Figure | None:
    """One picture, clean and corrupted, with both decisions and EmoDC's errors per class.

    None if no decision changes.
    """
    found = diagnosis.example
    if found is None:
        return None
    sides = (found.clean, found.corrupted)
    classes = diagnosis.clean.result.manifest.classes
    heights = [1.9] if found.clean.pixels is not None else []  # inches of pictures
    if any(side.errors is not None for side in sides):
        heights.append(0.26 * len(classes) + 0.7)
    figure = new_figure(7.2, sum(heights) + 1.0)
    axes = figure.subplots(len(heights), 2, squeeze=False, height_ratios=heights)
    for column, side in zip(axes.T, sides, strict=True):
        if side.pixels is not None:
            column[0].imshow(side.pixels, interpolation="nearest")
            column[0].set_axis_off()
        if side.errors is not None:
            _bars(column[-1], side.errors, classes, found.label, named=side is found.clean)
        else:
            column[-1].set_axis_off()
        said = [f"{labelled(name)} says {said or 'tie'}" for name, said in side.decisions.items()]
        lines = [part for line in (side.condition, *said) for part in textwrap.wrap(line, _WIDE)]
        column[0].set_title("\n".join(map(shown, lines)), fontsize="medium")
    steps = [side.errors.steps for side in sides if side.errors is not None]
    about = f"Picture {found.sample_id}, {found.label}, {found.rule}."
    if steps:
        about += f" Whiskers: 95% Student intervals over {steps[0]} steps."
    if found.corrupted.errors is None:
        about += " Corrupted it was decided early, without the errors of all steps."
    figure.set_label(about)
    return figure


def _bars(ax: Axes, errors: ClassErrors, classes: Sequence[str], label: str, named: bool) -> None:
    """A bar per class: how far its error is above the lowest."""
    places = np.arange(len(classes))
    bars = ax.barh(places, errors.excess, color=[_ORANGE if c == label else _BLUE for c in classes])
    bars[classes.index(label)].set_hatch("///")
    ax.errorbar(errors.excess, places, xerr=errors.half, fmt="none", color="0.2", linewidth=1)
    lowest = int(errors.excess.argmin())
    ax.annotate(
        "lowest", (0, lowest), (3, 0), textcoords="offset points", va="center", fontsize="small"
    )
    names = [shown(f"{name} (label)" if name == label else name) for name in classes]
    ax.set_yticks(places, names if named else [""] * len(names))
    ax.grid(visible=False, axis="y")
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.set_xlabel(f"d above the lowest, {errors.mean.min():.4f}")
    ax.margins(x=0.08)
    ax.axvline(0, color="black", linewidth=0.8)  # a whisker across it: perhaps not above
    ax.xaxis.set_major_locator(MaxNLocator(3))
    sns.despine(ax=ax)


def _kept(diagnosis: Diagnosis) -> list[tuple[str, str, Estimate | None]]:
    found = diagnosis.margins
    return [
        ("fixed", "easy", found.kept("fixed", found.easy)),
        ("fixed", "hard", found.kept("fixed", found.hard)),
        ("adaptive", "easy", found.kept("adaptive", found.easy)),
        ("adaptive", "hard", found.kept("adaptive", found.hard)),
    ]


#: By the end of the file's name: title, what draws it, what says it in words.
_FIGURES: dict[
    str, tuple[str, Callable[[Diagnosis], Figure | None], Callable[[Diagnosis], str]]
] = {
    "correlation": ("Errors under other prompts", correlation, of_correlation),
    "gap_by_timestep": ("Gap of wrong and right prompts", gap_by_timestep, of_gap),
    "timesteps": ("What each timestep decides alone", timesteps, of_timesteps),
    "margins": ("Pictures that keep a margin", margins, of_margins),
    "example": ("A picture whose decision a corruption changes", example, of_example),
}


# ------------------------------------------------------------------------------------------------
# EmoDC's variants: what accuracy was gained, and what of the denoiser it cost.


_NEAR = 0.10  # variants within ten points of the best get a panel of their own
Point = tuple[Variant, AccuracyEstimate, AccuracyEstimate, LineStyle]  # relative d_p, accuracy


def ablation_drawings(group: ResultSet) -> Iterator[Drawing]:
    """The figure, where there is more than one EmoDC variant."""
    if points := points_of(group, variants(group)):
        yield Drawing(
            group.file_name("ablation"),
            f"EmoDC's variants, {group.slug}",
            of_ablation(points),
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
    ax.axvline(GATE_FACTOR, color=_GREY, linewidth=1, linestyle="--")
    ax.set_xlabel("d_p / Base (1: as good a denoiser)")
    ax.margins(0.08)
    sns.despine(ax=ax)


def of_ablation(points: Sequence[Point]) -> str:
    """The text of the figure of variants."""
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
        [], [], color=_GREY, linewidth=1, linestyle="--", label=f"denoiser check ({GATE_FACTOR})"
    )
