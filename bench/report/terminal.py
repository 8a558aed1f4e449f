"""The report in a terminal: compact tables that fit; plain lines where nobody looks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.text import Text

from bench.classifiers.kinds import seen
from bench.report.findings import findings
from bench.report.outcomes import share
from bench.report.present import Column, Line, fitted, relabel, say
from bench.report.results import Result, ResultSet
from bench.report.spec import (
    DRAWN,
    SEEN,
    SEEN_NOTE,
    Swept,
    Value,
    interval_name,
    seeds_text,
    sizes,
    sweeps,
    without_number,
)
from bench.report.tables.attacks import warnings
from bench.report.write import Report
from bench.stats import SampleScores
from bench.store.cells import FAMILIES

_SHOWN_MISSING = 5
_FAMILIES = {"corruption": "Corruptions", "attack": "Attacks"}
_CLEAN = (Column("accuracy %"), Column("UAR %", 2), Column("F1 %", 3), Column("d_p", 1))
_SWEPT = {
    "corruption": (Column("clean", 1), Column("mean"), Column("strongest")),
    "attack": (Column("clean", 1), Column("weakest"), Column("strongest")),
}


def show(report: Report, console: Console, brief: bool = False) -> None:
    """Print the summary, what is missing, and where the report lies.

    A terminal gets a table per family, in the widest form that fits. A pipe or file gets one line
    per cell, never wrapped, with the names of the config. In brief, both get the findings alone.
    """
    if brief:
        shown = relabel(report.labels)
        for sentence in findings(report.results.groups, report.tables):
            say(console, shown(sentence), wrap=console.is_terminal)
    elif console.is_terminal:
        for group in report.results.groups:
            _show_group(group, console, report.labels)
    else:
        for line in _lines(report):
            say(console, line)
    for sentence in without_number(report.results.complete):
        say(console, sentence, "yellow")
    for group in () if brief else report.results.groups:
        for sentence in warnings(group):
            say(console, sentence, "yellow")
    for missing in report.missing[:_SHOWN_MISSING]:
        say(console, f"missing: {missing}", "yellow")
    rest = len(report.missing) - _SHOWN_MISSING
    if rest > 0:
        say(console, f"missing: {rest} more, listed in the report", "yellow")
    say(console, f"report: {report.folder / 'index.html'}")


def _lines(report: Report) -> Iterator[str]:
    for result in report.results.complete:
        cell, m = result.cell, result
        d_p = "" if m.d_p is None else f", d_p {m.d_p.number}"
        yield (
            f"{result.name}, {cell.dataset}, {cell.perturbation} {cell.severity}, "
            f"seed {cell.seed}: accuracy {m.accuracy} %, n {m.n}, UAR {m.uar.number} %, "
            f"macro-F1 {m.macro_f1.number} %{d_p}{_seen(result)}"
        )
    for group in report.results.groups:
        if len(group.perturbations("corruption")) > 1:
            yield from _mean_lines(group)


def _seen(result: Result) -> str:
    cell = result.cell
    met = cell.about.corrupted and seen(result.manifest.training, cell.perturbation)
    return ", seen in training" if met else ""


def _mean_lines(group: ResultSet) -> Iterator[str]:
    for own in sweeps(group).values():
        if own.mean is not None:
            where = f"{own.name}, {group.dataset}, {_all(group)}, {seeds_text(group)}"
            yield f"{where}: accuracy {share(own.mean)} %, n {len(own.ids)}"


def _show_group(group: ResultSet, console: Console, labels: Mapping[str, str]) -> None:
    names = {name: labels.get(shown, shown) for name, shown in group.names.items()}
    group = replace(group, names=names)
    where = f"{group.dataset}, {len(group.classes)} classes, {seeds_text(group)}"
    if group.perturbations("clean"):
        n = sizes([r.n for r in map(group.clean, group.names) if r is not None])
        title = f"Clean pictures of {where}, n {n}"
        console.print(fitted(title, "classifier", _CLEAN, _clean(group), console.width))
    for family, title in _FAMILIES.items():
        if group.perturbations(family):
            lines, columns = _sweeps(group, family), _SWEPT[family]
            console.print()
            console.print(
                fitted(f"{title} on {where}", "classifier", columns, lines, console.width)
            )
            if any(line[0].endswith(SEEN) for line in lines if not isinstance(line, str)):
                console.print(Text(f"{SEEN}: {SEEN_NOTE}", "dim"))
    means = ", means over training seeds" if group.several else ""
    about = f"Accuracy in % with its {interval_name(group)} interval{means}."
    console.print(Text(about, "dim"))
    if group.protocol:
        console.print(Text(f"{group.dataset}: {group.protocol}.", "dim"))
    if group.drawn:
        console.print(Text(DRAWN, "dim"))


def _clean(group: ResultSet) -> list[Line]:
    lines: list[Line] = []
    for classifier, name in group.names.items():
        result = group.clean(classifier)
        values: tuple[Value, ...] = (None,) * len(_CLEAN)
        if result is not None:
            m = result
            d_p = None if m.d_p is None else m.d_p.number
            values = (m.accuracy, m.uar.number, m.macro_f1.number, d_p)
        lines.append((name, values))
    return lines


def _sweeps(group: ResultSet, family: str) -> list[Line]:
    """All sweeps of a family: clean, strongest, and for corruptions the mean over severities."""
    graded = FAMILIES[family].graded
    lines: list[Line] = []
    for perturbation in group.perturbations(family):
        severities = group.severities(perturbation)
        lines.append(_heading(group, perturbation, severities))
        for classifier, name in group.names.items():
            ends = [group.get(classifier, perturbation, s) for s in (severities[0], severities[-1])]
            weakest, strongest = (None if r is None else r.accuracy for r in ends)
            reference = group.reference(classifier, perturbation)
            clean = None if reference is None else reference.accuracy
            middle = group.mean(classifier, perturbation) if graded else weakest
            seen = graded and group.seen(classifier, perturbation)
            lines.append((f"{name} {SEEN}" if seen else name, (clean, middle, strongest)))
    if graded and len(group.perturbations(family)) > 1:
        lines.append(_all(group))
        for own in sweeps(group).values():
            lines.append((own.name, tuple(None if v is None else share(v) for v in _mean(own))))
    return lines


def _mean(own: Swept) -> tuple[SampleScores | None, SampleScores | None, SampleScores | None]:
    """Clean; and over all corruptions alike, of all severities and of the strongest."""
    if own.mean is None:
        return own.clean, None, None
    return own.clean, own.mean, np.mean([right[-1] for right in own.under.values()], axis=0)


def _all(group: ResultSet) -> str:
    return f"mean of all {len(group.perturbations('corruption'))} corruptions"


def _heading(group: ResultSet, perturbation: str, severities: Sequence[str]) -> str:
    """Such as "gaussian_noise 1-5, n 200"."""
    span = severities[0] if len(severities) == 1 else f"{severities[0]}-{severities[-1]}"
    swept = [r for classifier in group.names for r in group.under(classifier, perturbation)]
    return f"{perturbation} {span}, n {sizes([r.n for r in swept])}"
