"""Every rule of each classifier: accuracy, and how often the full decision is missed, by cost."""

from collections.abc import Iterator, Mapping, Sequence
from math import floor

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)

from bench.report.figures.drawing import (
    GREY,
    Drawing,
    LineStyle,
    caption_of,
    chance_line,
    evenly,
    line_styles,
    named,
    new_figure,
    numbered,
    other_style,
    part_of,
)
from bench.report.outcomes import AccuracyEstimate
from bench.report.replay import Compared, CostCurve, Single, cost_curves, in_flops, singles
from bench.report.results import ResultSet
from bench.report.spec import interval_name
from bench.stats import Interval
from bench.store.store import Store

_COLUMNS = 3  # panels side by side that a page can hold
#: Kinds of rules in the order of legends, as shown.
_KINDS = {
    "full": "full, fewer steps",
    "sequential": "sequential test",
    "stages": "stages",
    "t_test": "t-test",
    "threshold": "threshold",
    "vote": "majority vote",
}


def rules_drawings(group: ResultSet, curves: Mapping[str, CostCurve]) -> Iterator[Drawing]:
    """Two panels per classifier that has several rules."""
    names = [name for name, curve in curves.items() if len(curve.rules) > 1]
    parts = evenly(names, _COLUMNS)
    for number, own in enumerate(parts):
        yield Drawing(
            group.file_name(numbered("rules", number, len(parts))),
            part_of(f"Rules and their cost, {group.slug}", number, len(parts)),
            _alt(group, {name: curves[name] for name in own}),
            "emodc",
            rules(group, {name: curves[name] for name in own}),
        )


def rules(group: ResultSet, curves: Mapping[str, CostCurve]) -> Figure:
    """Accuracy above, disagreement with the full decision below; a column per classifier."""
    columns = len(curves)
    figure = new_figure(2.3 * columns + 1.8, 4.6)
    axes = figure.subplots(2, columns, sharex="col", squeeze=False)
    for column, (classifier, curve) in enumerate(curves.items()):
        above, below = axes[0, column], axes[1, column]
        above.set_title(named(group.names[classifier]))
        whole = curve.full[-1]
        above.axhline(100 * whole.accuracy.value, color="0.6", linewidth=0.8, zorder=1)
        for kind in _KINDS:
            own = [rule for rule in curve.rules if rule.decision.kind == kind]
            missed = [(rule, _other(rule.agreement)) for rule in own if rule.agreement is not None]
            _draw(above, [(rule, rule.accuracy) for rule in own], kind)
            _draw(below, missed, kind)
        below.set_xlabel("augmented pictures (TTA)" if curve.views else "evaluations per picture")
        for ax in (above, below):
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
            ax.xaxis.set_minor_formatter(NullFormatter())
            sns.despine(ax=ax)
        above.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        _from_zero(below)
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[1, 0].set_ylabel("not the full decision (%)")
    kinds = {rule.decision.kind for curve in curves.values() for rule in curve.rules}
    handles = [_handle(kind) for kind in _KINDS if kind in kinds]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=2.6)
    used = [pooled for name in curves if (pooled := group.clean(name)) is not None]
    about = (
        "Clean pictures. Above: accuracy, each panel on an axis of its own; grey line: the full "
        f"decision. Below: share decided otherwise. Bars: {interval_name(group)} intervals."
    )
    caption_of(figure, group, used, about)
    return figure


def _other(agreement: AccuracyEstimate) -> AccuracyEstimate:
    low, high = agreement.interval.low, agreement.interval.high
    return AccuracyEstimate(1 - agreement.value, Interval(1 - high, 1 - low))


def _from_zero(ax: Axes) -> None:
    """An axis in percent that shows tenths as well as tens, and 0."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.8)
    ax.set_ylim(-0.08, 100)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 5, 10, 20, 50, 100]))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def _index(kind: str) -> int:
    return list(_KINDS).index(kind)


def _draw(ax: Axes, rules: Sequence[tuple[Compared, AccuracyEstimate]], kind: str) -> None:
    if not rules:
        return
    style = other_style(_index(kind))
    for rule, value in rules:
        ends = 100 * value.interval.low, 100 * value.interval.high
        at = rule.evaluations.value
        ax.vlines(at, *ends, color=style.color, linewidth=0.8, alpha=0.7)
    x, y = zip(*((rule.evaluations.value, 100 * value.value) for rule, value in rules), strict=True)
    ax.plot(
        x, y, color=style.color, marker=style.marker,
        linestyle="-" if len(rules) > 1 else "none", linewidth=1.1, markersize=4.8,
        markeredgecolor="white", markeredgewidth=0.5, zorder=3, clip_on=False,
    )  # fmt: skip


def _handle(kind: str) -> Line2D:
    handle = other_style(_index(kind)).handle(_KINDS[kind])
    handle.set_linestyle("-" if kind in ("full", "sequential") else "none")
    return handle


def _alt(group: ResultSet, curves: Mapping[str, CostCurve]) -> str:
    said = []
    for classifier, curve in curves.items():
        own = [
            f"{rule.label} {rule.accuracy.number}%, agreement {rule.agreement.number}%, at "
            f"{rule.evaluations.number} evaluations"
            for rule in (*curve.sequential[-2:-1], *curve.others)
            if rule.agreement is not None
        ]
        said.append(f"{group.names[classifier]}: {'; '.join(own)}")
    return (
        "Panels of accuracy and of agreement with the full decision against evaluations per "
        f"picture, by rule. {'. '.join(said)}."
    )


# ------------------------------------------------------------------------------------------------
# Accuracy against the cost of a decision: all classifiers, then each with every rule.


_DODGE = 1.08  # between points of equal cost, as a factor


def cost_drawings(group: ResultSet, store: Store) -> Iterator[Drawing]:
    """Where a classifier has traces of its clean pictures."""
    curves = cost_curves(group, store)
    if not curves:
        return
    others = singles(group, curves, store)
    yield Drawing(
        group.file_name("evaluations"),
        f"Accuracy against cost, {group.slug}",
        _cost_alt(group, curves, others),
        "emodc",
        accuracy_against_cost(group, curves, others),
    )
    yield from rules_drawings(group, curves)


def accuracy_against_cost(
    group: ResultSet, curves: Mapping[str, CostCurve], others: Mapping[str, Single]
) -> Figure:
    """Lines per classifier over fewer steps, and over the sequential test's delta; else points."""
    flops = in_flops(curves, others)
    figure = new_figure(6.8, max(3.6, 0.19 * len(group.names) + 1.8))
    ax = figure.subplots()
    handles = []
    places = _places(others, flops)
    styles = line_styles(group.names)
    for classifier, name in group.names.items():
        style = styles[classifier]
        if classifier in curves:
            _full(ax, curves[classifier].full, style, flops)
            _sequential(ax, curves[classifier].sequential, style, flops)
        elif classifier in others:
            _point(ax, places[classifier], others[classifier].accuracy, style)
        else:
            continue
        handle = style.handle(named(name))
        handle.set_linestyle(style.linestyle if classifier in curves else "none")
        handles.append(handle)
    if any(curve.sequential for curve in curves.values()):
        handles.append(_sequential_handle())
    rules = [rule for curve in curves.values() for rule in (*curve.full, *curve.sequential)]
    bottom = _bottom([r.accuracy for r in rules] + [one.accuracy for one in others.values()])
    chance = 100 / len(group.classes)
    if chance > bottom:
        ax.axhline(chance, color=GREY, linewidth=1, linestyle=":")
        handles.append(chance_line(group))
    ax.set_xscale("log")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    unit = "GFLOPs per picture" if flops else "network evaluations per picture"
    ax.set(ylim=(bottom, 100), xlabel=unit, ylabel="accuracy (%)")
    sns.despine(ax=ax)
    figure.legend(handles=handles, loc="outside right upper", frameon=False, handlelength=3.2)
    used = [pooled for c in (*curves, *others) if (pooled := group.clean(c)) is not None]
    caption_of(figure, group, used, _about(group, curves, others))
    return figure


def _about(group: ResultSet, curves: Mapping[str, CostCurve], others: Mapping[str, Single]) -> str:
    steps = [c for c in curves.values() if not c.views]
    views = [c for c in curves.values() if c.views]
    parts = ["Lines: full decisions from parts of the stored steps"]
    if not steps:
        parts = ["Lines: decisions from the first of several augmentations (TTA)"]
    elif views:
        parts.append(", or from the first of several augmentations (TTA)")
    sequential = [rule for curve in curves.values() for rule in curve.sequential]
    if sequential:
        deltas = [rule.decision.delta for rule in sequential if rule.decision.kind == "sequential"]
        parts.append(f"; thin, hollow: sequential tests, delta {max(deltas):g} to {min(deltas):g}")
    if others:
        parts.append("; points: classifiers of one cost")
    return f"{''.join(parts)}. Bands and bars: {interval_name(group)} intervals."


def _cost(rule: Compared, flops: bool) -> float:
    return rule.flops.value if flops and rule.flops is not None else rule.evaluations.value


def _bottom(accuracies: Sequence[AccuracyEstimate]) -> float:
    """Lower end of the axis in percent; it need not be 0, for these are no bars."""
    lowest = min(100 * accuracy.interval.low for accuracy in accuracies)
    return max(0.0, 10 * floor(lowest / 10 - 0.5))


def _places(others: Mapping[str, Single], flops: bool) -> dict[str, float]:
    """Where on the axis points stand; those of equal cost are set apart."""
    known: dict[float, list[str]] = {}
    for classifier, one in others.items():
        cost = one.flops if flops and one.flops is not None else one.evaluations
        known.setdefault(cost, []).append(classifier)
    return {
        classifier: cost * _DODGE ** (number - (len(own) - 1) / 2)
        for cost, own in known.items()
        for number, classifier in enumerate(own)
    }


def _full(ax: Axes, rules: Sequence[Compared], style: LineStyle, flops: bool) -> None:
    x = [_cost(rule, flops) for rule in rules]
    low = [100 * rule.accuracy.interval.low for rule in rules]
    high = [100 * rule.accuracy.interval.high for rule in rules]
    ax.fill_between(x, low, high, color=style.color, alpha=0.13, linewidth=0)
    ax.plot(
        x, [100 * rule.accuracy.value for rule in rules], color=style.color,
        marker=style.marker, linestyle=style.linestyle, linewidth=1.5, markersize=4.5,
        markeredgecolor="white", markeredgewidth=0.5, zorder=3, clip_on=False,
    )  # fmt: skip


def _sequential(ax: Axes, rules: Sequence[Compared], style: LineStyle, flops: bool) -> None:
    x = [_cost(rule, flops) for rule in rules]
    y = [100 * rule.accuracy.value for rule in rules]
    for at, rule in zip(x, rules, strict=True):
        interval = rule.accuracy.interval
        ax.vlines(
            at, 100 * interval.low, 100 * interval.high, color=style.color, linewidth=0.7, alpha=0.6
        )
    ax.plot(
        x, y, color=style.color, marker=style.marker, linewidth=0.9, markersize=5.5,
        markerfacecolor="white", markeredgecolor=style.color, markeredgewidth=1.1, zorder=4,
        clip_on=False,
    )  # fmt: skip


def _sequential_handle() -> Line2D:
    return Line2D(
        [], [], color=GREY, linewidth=0.9, marker="o", markerfacecolor="white",
        markeredgewidth=1.1, label="sequential test",
    )  # fmt: skip


def _point(ax: Axes, x: float, accuracy: AccuracyEstimate, style: LineStyle) -> None:
    interval = accuracy.interval
    ax.vlines(x, 100 * interval.low, 100 * interval.high, color=style.color, linewidth=1.1)
    ax.plot(
        x,
        100 * accuracy.value,
        color=style.color,
        marker=style.marker,
        markersize=4.5,
        clip_on=False,
    )


def _cost_alt(
    group: ResultSet, curves: Mapping[str, CostCurve], others: Mapping[str, Single]
) -> str:
    flops = in_flops(curves, others)
    unit = "GFLOPs" if flops else "evaluations"
    said = []
    for classifier, curve in curves.items():
        ends = [
            f"{rule.accuracy.number}% at {_cost(rule, flops):,.3g}"
            for rule in dict.fromkeys((curve.full[0], curve.full[-1]))
        ]
        said.append(f"{group.names[classifier]} from {' to '.join(ends)} {unit}")
        if curve.sequential:
            last = curve.sequential[-1]
            said[-1] += (
                f", by the sequential test {last.accuracy.number}% at {_cost(last, flops):,.3g}"
            )
    said += [f"{group.names[c]} {one.accuracy.number}%" for c, one in others.items()]
    return f"Line chart of clean accuracy against {unit} per picture: {'; '.join(said)}."
