"""Every rule of each classifier: accuracy, and how often the full decision is missed, by cost."""

from collections.abc import Iterator, Mapping, Sequence

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

from bench.report.figures.parts import Drawing, evenly, footnote, numbered, part_of
from bench.report.figures.style import line_style, new_figure, shown
from bench.report.groups import Group
from bench.report.spec import Estimate
from bench.report.tables import interval_name
from bench.report.traces.compared import Compared
from bench.report.traces.cost import Curve
from bench.stats import Interval

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


def rules_drawings(group: Group, curves: Mapping[str, Curve]) -> Iterator[Drawing]:
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


def rules(group: Group, curves: Mapping[str, Curve]) -> Figure:
    """Accuracy above, disagreement with the full decision below; a column per classifier."""
    columns = len(curves)
    figure = new_figure(2.3 * columns + 1.8, 4.6)
    axes = figure.subplots(2, columns, sharex="col", squeeze=False)
    for column, (classifier, curve) in enumerate(curves.items()):
        above, below = axes[0, column], axes[1, column]
        above.set_title(shown(group.names[classifier]).replace(" (", "\n("))
        whole = curve.full[-1]
        above.axhline(100 * whole.accuracy.value, color="0.6", linewidth=0.8, zorder=1)
        for kind in _KINDS:
            own = [rule for rule in curve.rules if rule.decision.kind == kind]
            missed = [(rule, _other(rule.agreement)) for rule in own if rule.agreement is not None]
            _draw(above, [(rule, rule.accuracy) for rule in own], kind)
            _draw(below, missed, kind)
        below.set_xlabel("views per picture" if curve.views else "evaluations per picture")
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
        "decision from all steps. Below: share of pictures decided otherwise, linear up to 1%. "
        f"Bars: {interval_name(group)} intervals. Settings: table of accuracy against cost."
    )
    footnote(figure, group, used, about)
    return figure


def _other(agreement: Estimate) -> Estimate:
    low, high = agreement.interval.low, agreement.interval.high
    return Estimate(1 - agreement.value, Interval(1 - high, 1 - low))


def _from_zero(ax: Axes) -> None:
    """An axis in percent that shows tenths as well as tens, and 0."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.8)
    ax.set_ylim(-0.08, 100)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 5, 10, 20, 50, 100]))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def _index(kind: str) -> int:
    return list(_KINDS).index(kind)


def _draw(ax: Axes, rules: Sequence[tuple[Compared, Estimate]], kind: str) -> None:
    if not rules:
        return
    style = line_style(_index(kind))
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
    handle = line_style(_index(kind)).handle(_KINDS[kind])
    handle.set_linestyle("-" if kind in ("full", "sequential") else "none")
    return handle


def _alt(group: Group, curves: Mapping[str, Curve]) -> str:
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
