"""The report in a terminal: a compact table per family; plain lines where nobody looks."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.report.groups import Group
from bench.report.tables import DRAWN, interval_name, seeds_text, sizes
from bench.report.write import Report

_SHOWN_MISSING = 5
_FAMILIES = {"corruption": "Corruptions", "attack": "Attacks"}


def show(report: Report, console: Console) -> None:
    """Print the summary, what is missing, and where the report lies.

    A terminal gets one table per family that fits 80 columns. A pipe or file gets one line per
    cell, never wrapped.
    """
    if console.is_terminal:
        for group in report.results.groups:
            _show_group(group, console)
    else:
        for line in _lines(report):
            _say(console, line)
    for missing in report.missing[:_SHOWN_MISSING]:
        _say(console, f"missing: {missing}", "yellow")
    rest = len(report.missing) - _SHOWN_MISSING
    if rest > 0:
        _say(console, f"missing: {rest} more, listed in the report", "yellow")
    _say(console, f"report: {report.folder / 'index.html'}")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style), soft_wrap=True)


def _lines(report: Report) -> Iterator[str]:
    for result in report.results.complete:
        cell, m = result.cell, result.metrics
        d_p = "" if m.d_p is None else f", d_p {m.d_p.number}"
        yield (
            f"{result.name}, {cell.dataset}, {cell.perturbation} {cell.severity}, "
            f"seed {cell.seed}: accuracy {m.accuracy} %, n {m.n}, UAR {m.uar.number} %, "
            f"macro-F1 {m.macro_f1.number} %{d_p}"
        )


def _show_group(group: Group, console: Console) -> None:
    where = f"{group.dataset}, {len(group.classes)} classes, {seeds_text(group)}"
    if group.perturbations("clean"):
        console.print(_clean(group, where))
    for family, title in _FAMILIES.items():
        if group.perturbations(family):
            console.print()
            console.print(_sweeps(group, family, f"{title} on {where}"))
    means = ", means over training seeds" if group.several else ""
    _say(console, f"Accuracy in % with its {interval_name(group)} interval{means}.", "dim")
    if group.drawn:
        _say(console, DRAWN, "dim")


def _clean(group: Group, where: str) -> Table:
    table = _table(f"Clean pictures of {where}", "n", "accuracy %", "UAR %", "F1 %", "d_p")
    for classifier, name in group.names.items():
        result = group.clean(classifier)
        if result is None:
            _row(table, name)
            continue
        m = result.metrics
        d_p = None if m.d_p is None else m.d_p.number
        _row(table, name, m.n, m.accuracy, m.uar.number, m.macro_f1.number, d_p)
    return table


def _sweeps(group: Group, family: str, title: str) -> Table:
    """All sweeps of a family: clean, strongest, and for corruptions the mean over severities."""
    corruption = family == "corruption"
    table = _table(title, "clean", "mean" if corruption else "weakest", "strongest")
    for perturbation in group.perturbations(family):
        severities = group.severities(perturbation)
        table.add_row(Text(_sweep_label(group, perturbation), style="bold"))
        for classifier, name in group.names.items():
            ends = [group.get(classifier, perturbation, s) for s in (severities[0], severities[-1])]
            weakest, strongest = (None if r is None else r.metrics.accuracy for r in ends)
            reference = group.reference(classifier, perturbation)
            clean = None if reference is None else reference.accuracy
            middle = group.mean(classifier, perturbation) if corruption else weakest
            _row(table, name, clean, middle, strongest)
    return table


def _sweep_label(group: Group, perturbation: str) -> str:
    """Such as "gaussian_noise 1-5, n 200": rich has no cells that span columns, so it is short."""
    severities = group.severities(perturbation)
    span = severities[0] if len(severities) == 1 else f"{severities[0]}-{severities[-1]}"
    swept = [r for classifier in group.names for r in group.under(classifier, perturbation)]
    return f"{perturbation} {span}, n {sizes([r.metrics.n for r in swept])}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("classifier", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _row(table: Table, name: str, *values: object) -> None:
    texts = ["–" if value is None else str(value) for value in values]
    texts += ["–"] * (len(table.columns) - 1 - len(texts))
    table.add_row(Text(f" {name}"), *map(Text, texts))
