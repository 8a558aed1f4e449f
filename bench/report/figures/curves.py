"""Accuracy against severity, budget or certified radius; pictures that were attacked."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from bench.report.figures.drawing import (
    GREY,
    Drawing,
    LineStyle,
    caption_of,
    chance_line,
    evenly,
    extremes,
    fitting,
    line_styles,
    listed,
    named,
    new_figure,
    numbered,
    other_style,
    part_of,
    shown,
)
from bench.report.outcomes import AccuracyEstimate, share
from bench.report.results import Result, ResultSet
from bench.report.spec import interval_name
from bench.report.tables.attacks import (
    Attacked,
    attacked_pictures,
    certificates,
    farthest,
    pooled_certificates,
)
from bench.store.cells import FAMILIES
from bench.store.store import Store

#: By classifier and perturbation: on clean pictures, then at each severity.
Sweeps = dict[tuple[str, str], list[Result | None]]

_LINES = 8  # lines that a reader can distinguish in a panel
_BANDS = 5  # classifiers whose bands can
_PANELS = 20  # panels on a page


def curve_drawings(group: ResultSet, family: str) -> Iterator[Drawing]:
    """The curves of all perturbations of a family ("corruption" or "attack").

    Where classifiers are too many for one panel, each figure shows some of them, before the others
    in grey.
    """
    sweeps = sweeps_of(group, family)
    shares = evenly(list(group.names), _LINES)
    parts = [
        (names, own)
        for names in evenly(group.perturbations(family), _PANELS)
        for own in shares
        if any((c, name) in sweeps for c in own for name in names)
    ]
    what = FAMILIES[family].strength
    for number, (names, own) in enumerate(parts):
        yield Drawing(
            group.file_name(numbered(f"{family}s", number, len(parts))),
            part_of(f"Accuracy against {what}, {group.slug}", number, len(parts)),
            _alt(group, sweeps, names, own, what),
            "corruptions" if FAMILIES[family].graded else "attacks",
            curves(group, family, sweeps, names, own),
        )


def sweeps_of(group: ResultSet, family: str) -> Sweeps:
    """Results on clean pictures and at each severity, by classifier and perturbation.

    None stands for a missing cell; classifiers that have none at all under a perturbation are left
    out.
    """
    found: Sweeps = {}
    for name in group.perturbations(family):
        for classifier in group.names:
            swept = [group.get(classifier, name, s) for s in group.severities(name)]
            if any(swept):
                found[classifier, name] = [group.reference(classifier, name), *swept]
    return found


def curves(
    group: ResultSet, family: str, sweeps: Sweeps, names: Sequence[str], classifiers: Sequence[str]
) -> Figure:
    """Accuracy of some classifiers against severity or eps of some perturbations.

    Bands are 95% intervals, the dotted line is chance (1 / classes). A missing cell is a gap
    in its line. Clean accuracy stands at 0, for an attack over the attacked samples only.
    """
    columns, width, height = _layout(len(names))
    rows = math.ceil(len(names) / columns)
    figure = new_figure(columns * width + 1.9, rows * height + 0.6)
    alike = len({tuple(group.severities(name)) for name in names}) == 1
    axes = figure.subplots(rows, columns, sharex=alike, sharey=True, squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for number, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
        _panel(ax, group, name, sweeps, classifiers)
        ax.set_xticks(*_ticks(group, name))
        if number + columns >= len(names):  # nothing below it
            ax.set_xlabel(fitting(_x_label(group.severities(name), family), width))
            ax.tick_params(axis="x", labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy (%)")
    styles = line_styles(group.names)
    handles = [
        styles[classifier].handle(named(name))
        for classifier, name in group.names.items()
        if classifier in classifiers and any((classifier, p) in sweeps for p in names)
    ]
    # Samples long enough to show how a line is dashed.
    handles.append(chance_line(group))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=3.2)
    used = [r for name in names for c in classifiers for r in group.under(c, name)]
    caption_of(figure, group, used, _about(group, used, classifiers))
    return figure


def _layout(panels: int) -> tuple[int, float, float]:
    """Columns, and inches of a panel: few stand large, many fill a page."""
    if panels > 6:
        return 4, 1.9, 1.6
    return (2 if panels in (2, 4) else min(panels, 3)), 2.9, 2.6


def _about(group: ResultSet, used: Sequence[Result], classifiers: Sequence[str]) -> str:
    if len(group.names) <= _BANDS:
        return f"Bands: {interval_name(group)} intervals."
    intervals = [pooled.accuracy.interval for pooled in used]
    widest = max(50 * (interval.high - interval.low) for interval in intervals)
    about = (
        f"{interval_name(group)} intervals, not drawn, are at most {widest:.1f} points to a side."
    )
    return f"{about} Grey: other classifiers." if len(classifiers) < len(group.names) else about


def _alt(
    group: ResultSet, sweeps: Sweeps, names: Sequence[str], classifiers: Sequence[str], what: str
) -> str:
    strongest = []
    for name in names:
        last = [(group.names[c], sweeps.get((c, name), [None])[-1]) for c in classifiers]
        known = [(who, metrics.accuracy) for who, metrics in last if metrics is not None]
        if known:
            severity = group.severities(name)[-1]
            strongest.append(f"{name.replace('_', ' ')} {severity}: {extremes(known)}")
    lines = listed([group.names[c] for c in classifiers])
    panels = f"{len(names)} panel{'s' if len(names) > 1 else ''}"
    about = f"Line charts of accuracy against {what}, {panels}; lines: {lines}."
    return f"{about} At the strongest, {'; '.join(strongest)}." if strongest else about


def _panel(
    ax: Axes, group: ResultSet, perturbation: str, sweeps: Sweeps, classifiers: Sequence[str]
) -> None:
    x, _ = _ticks(group, perturbation)
    others = []
    styles = line_styles(group.names)
    for classifier in group.names:
        points = sweeps.get((classifier, perturbation))
        if points is None:
            continue
        if classifier in classifiers:
            _line(ax, x, points, styles[classifier], band=len(group.names) <= _BANDS)
        else:
            others.append(list(zip(x, _percent(points, "value"), strict=True)))
    if others:
        ax.add_collection(LineCollection(others, colors="0.82", linewidths=0.7, zorder=1))
    ax.axhline(100 / len(group.classes), color=GREY, linewidth=1, linestyle=":")
    ax.set_title(shown(perturbation.replace("_", " ")))
    ax.set_ylim(0, 100)
    ax.margins(x=0.04)
    sns.despine(ax=ax)


def _line(
    ax: Axes, x: Sequence[float], points: Sequence[Result | None], style: LineStyle, band: bool
) -> None:
    if band:
        low, high = _percent(points, "low"), _percent(points, "high")
        ax.fill_between(x, low, high, color=style.color, alpha=0.15, linewidth=0)
    ax.plot(
        x,
        _percent(points, "value"),
        color=style.color,
        marker=style.marker,
        linestyle=style.linestyle,
        linewidth=1.5 if band else 1.2,
        markersize=4.5 if band else 3.8,
        markeredgecolor="white",
        markeredgewidth=0.5,
        clip_on=False,  # a marker at 0 or 100 is whole
        zorder=3,
    )


def _percent(points: Sequence[Result | None], part: Literal["value", "low", "high"]) -> list[float]:
    """Accuracies or ends of their intervals; NaN, a gap, where there is none."""
    known = [None if point is None else point.accuracy for point in points]
    if part == "value":
        return [math.nan if e is None else 100 * e.value for e in known]
    return [math.nan if e is None else 100 * getattr(e.interval, part) for e in known]


def _common_denominator(severities: Sequence[str]) -> str | None:
    """The denominator all budgets share, None if there is no such."""
    denominators = {severity.partition("/")[2] for severity in severities}
    return denominators.pop() or None if len(denominators) == 1 else None


def _ticks(group: ResultSet, perturbation: str) -> tuple[list[float], list[str]]:
    """Places and names of clean and each severity; bare numerators under a shared denominator."""
    severities = group.severities(perturbation)
    levels = {c.severity: c.level for c in group.planned if c.perturbation == perturbation}
    bare = _common_denominator(severities) is not None
    names = [severity.partition("/")[0] if bare else severity for severity in severities]
    return [0.0, *(levels[severity] for severity in severities)], ["0", *names]


def _x_label(severities: Sequence[str], family: str) -> str:
    about, denominator = FAMILIES[family], _common_denominator(severities)
    unit = f", in 1/{denominator}" if denominator else ""
    return f"{about.strength}{'' if about.graded else ' eps'}{unit} (0:\u00a0clean)"


# ------------------------------------------------------------------------------------------------
# Certified accuracy against the radius: a panel per sigma, a line per classifier.


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


# ------------------------------------------------------------------------------------------------
# Pictures that were attacked: a figure per attack, a row per classifier.


_ROWS = 8  # classifiers of a figure
_RIGHT, _WRONG = other_style(2).color, other_style(1).color


def example_drawings(group: ResultSet, store: Store) -> Iterator[Drawing]:
    """Clean picture, attacked picture and change, if the store keeps any that may be shown."""
    for attack, found in attacked_pictures(group, store).items():
        parts = evenly(found, _ROWS)
        for number, rows in enumerate(parts):
            title = f"Pictures under {attack.replace('_', ' ')}, {group.slug}"
            yield Drawing(
                group.file_name(numbered(f"{attack}-examples", number, len(parts))),
                part_of(title, number, len(parts)),
                _said(rows),
                "attacks",
                examples(group, rows),
            )


def examples(group: ResultSet, rows: Sequence[tuple[Result, Sequence[Attacked]]]) -> Figure:
    """A row per classifier at one budget, three panels per picture."""
    most = max(len(pictures) for _, pictures in rows)
    wide = [place for _ in range(most) for place in (1, 1, 1, 0.12)][:-1]
    figure = new_figure(0.74 * 3 * most + 1.3, 0.94 * len(rows) + 0.2)
    axes = figure.subplots(len(rows), len(wide), squeeze=False, width_ratios=wide)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        sns.despine(ax=ax, left=True, bottom=True)
    labels = [[one.label for one in pictures] for _, pictures in rows]
    for number, (line, (own, pictures)) in enumerate(zip(axes, rows, strict=True)):
        line[0].set_ylabel(
            f"{named(own.name)}\neps {own.cell.severity}",
            rotation=0, ha="right", va="center", fontsize="small",
        )  # fmt: skip
        factor = amplification(pictures)
        below = labels[number] not in labels[number + 1 : number + 2]  # said once if alike
        for place, one in enumerate(pictures):
            clean, attacked, change = line[4 * place : 4 * place + 3]
            for ax, picture, said in (
                (clean, one.clean, one.before),
                (attacked, one.attacked, one.after),
            ):
                ax.imshow(picture, interpolation="nearest")
                right = said == one.label
                ax.set_title(
                    f"{'✓' if right else '✗'} {_short(said)}",
                    color=_RIGHT if right else _WRONG,
                    fontsize="x-small",
                )
            if below:
                attacked.set_xlabel(f"{_short(one.label)} (label)", fontsize="x-small")
            change.imshow(one.amplified(factor), interpolation="nearest")
            change.set_title(f"× {factor}", fontsize="x-small")
    about = (
        "Pictures clean, attacked (in 8 bits), and the change, around grey, times the factor above "
        "it; with both decisions. Fixed pictures, whatever became of them, at the measured eps "
        "where accuracy is nearest to 50%."
    )
    figure.set_label(f"{about} First training." if group.several else about)
    return figure


def amplification(pictures: Sequence[Attacked]) -> int:
    """By what the changes of some pictures are multiplied, so that the largest just fits."""
    largest = max(float(np.abs(one.change).max()) for one in pictures)
    return max(1, int(127 / largest + 1e-3)) if largest else 1


def _short(said: str | None) -> str:
    """A decision in a panel's title."""
    return "tie" if said is None else shown(textwrap.fill(said.replace("_", " "), 12))


def _said(rows: Sequence[tuple[Result, Sequence[Attacked]]]) -> str:
    sentences = [
        f"{own.name} at eps {own.cell.severity}: "
        + "; ".join(f"{p.label}, {p.before or 'tie'} then {p.after or 'tie'}" for p in pictures)
        for own, pictures in rows
    ]
    about = "Pictures, their attacked versions and the changes; the label, and both decisions"
    return f"{about}. {'. '.join(sentences)}."
