"""The tables of one corruption or attack: accuracy by severity or budget."""

from collections.abc import Mapping, Sequence

from bench.report.groups import Group
from bench.report.ranking import Scores
from bench.report.spec import TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name, sizes
from bench.report.tables.constants import constants_note


def corruption_table(group: Group, perturbation: str) -> TableSpec:
    """Accuracy by severity of one corruption, and the mean over severities."""
    severities = group.severities(perturbation)
    header = ("classifier", *counts_header(group), "d_p (clean)", "clean", *severities, "mean")
    rows = [
        (*row, group.mean(classifier, perturbation))
        for classifier, row in _sweep_rows(group, perturbation)
    ]
    about = (
        f"Accuracy in percent with {interval_name(group)} intervals under {perturbation}, by "
        "severity. The mean is over the severities; its interval counts each image once"
        f"{'' if group.several else ' and is conservative'}."
        f"{constants_note(group, perturbation)}"
    )
    ranked = {s: _scores(group, perturbation, s) for s in severities}
    ranked["clean"] = [Scores.of(group.clean(classifier)) for classifier in group.names]
    complete = (group.under(classifier, perturbation) for classifier in group.names)
    ranked["mean"] = [
        Scores.mean(entries) if len(entries) == len(severities) else None for entries in complete
    ]
    return _sweep_table(group, perturbation, about, header, rows, ranked)


def attack_table(group: Group, perturbation: str) -> TableSpec:
    """Accuracy by budget of one attack, beside clean accuracy on the very same samples."""
    severities = group.severities(perturbation)
    budgets = (f"eps {s}" for s in severities)
    header = ("classifier", *counts_header(group), "d_p (clean)", "clean", *budgets)
    rows = [row for _, row in _sweep_rows(group, perturbation)]
    about = (
        f"Accuracy in percent with {interval_name(group)} intervals under the attack "
        f"{perturbation}, by budget eps. The clean columns are over the attacked samples only."
    )
    ranked = {f"eps {s}": _scores(group, perturbation, s) for s in severities}
    return _sweep_table(group, perturbation, about, header, rows, ranked)


def _sweep_rows(group: Group, perturbation: str) -> list[tuple[str, tuple[Value, ...]]]:
    """Per classifier: name, n (and seeds), clean d_p, clean accuracy, accuracy by severity."""
    found: list[tuple[str, tuple[Value, ...]]] = []
    for classifier, name in group.names.items():
        reference = group.reference(classifier, perturbation)
        swept = group.under(classifier, perturbation)
        known = [m for m in (reference, *(r.metrics for r in swept)) if m is not None]
        counts: list[str | None] = [sizes([m.n for m in known]) if known else None]
        if group.several:
            counts.append(sizes([m.seeds for m in known]) if known else None)
        by_severity = {r.results[0].cell.severity: r.metrics.accuracy for r in swept}
        row: tuple[Value, ...] = (
            name,
            *counts,
            None if reference is None else reference.d_p,
            None if reference is None else reference.accuracy,
            *(by_severity.get(severity) for severity in group.severities(perturbation)),
        )
        found.append((classifier, row))
    return found


def _scores(group: Group, perturbation: str, severity: str) -> list[Scores | None]:
    return [Scores.of(group.get(classifier, perturbation, severity)) for classifier in group.names]


def _sweep_table(
    group: Group,
    perturbation: str,
    about: str,
    header: tuple[str, ...],
    rows: Sequence[tuple[Value, ...]],
    ranked: Mapping[str, Sequence[Scores | None]],
) -> TableSpec:
    used = [r for classifier in group.names for r in group.under(classifier, perturbation)]
    kind = "Attack" if perturbation in group.perturbations("attack") else "Corruption"
    title = f"{kind} {perturbation.replace('_', ' ')}"
    return captioned(group, perturbation, title, about, used, header, rows, ranked)
