"""Classifiers, and EmoDC's variants, across data sets."""

from collections.abc import Mapping, Sequence

from bench.report.groups import Group
from bench.report.results import Results
from bench.report.spec import TableSpec, Value
from bench.report.tables.captions import SEEDS, ending, interval_name, seeds_text, sizes
from bench.report.variants import variants

Rows = Mapping[str, tuple[str, ...]]  # by classifier, what its row begins with


def across_tables(results: Results) -> list[TableSpec]:
    """Clean accuracy by classifier and data set; none unless one was measured on two data sets."""
    groups = [group for group in results.groups if group.perturbations("clean")]
    names: dict[str, tuple[str, ...]] = {}
    objectives: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for classifier, name in group.names.items():
            # A gate that failed anywhere is said.
            names[classifier] = (max(name, *names.get(classifier, ("",)), key=len),)
        for variant in variants(group):
            objectives[variant.classifier] = (*names[variant.classifier], variant.words)
    found = []
    if _several(groups, names):
        title = "Classifiers across data sets"
        found.append(_table("across", title, groups, ("classifier",), names))
    if _several(groups, objectives):
        title = "EmoDC's variants across data sets"
        found.append(_table("across-variants", title, groups, ("variant", "objective"), objectives))
    return found


def _several(groups: Sequence[Group], rows: Rows) -> bool:
    """Whether a classifier was measured on more than one data set."""
    return any(len({g.dataset for g in groups if g.clean(name)}) > 1 for name in rows)


def _table(
    name: str, title: str, groups: Sequence[Group], first: tuple[str, ...], rows: Rows
) -> TableSpec:
    columns, kept = [], []
    for group in groups:
        clean = [r for r in (group.clean(classifier) for classifier in rows) if r is not None]
        if clean:
            n = sizes([r.metrics.n for r in clean])
            columns.append(f"{group.slug} ({len(group.classes)} classes, n {n})")
            kept.append(group)
    found: list[tuple[Value, ...]] = []
    for classifier, beginning in rows.items():
        each = [group.clean(classifier) for group in kept]
        found.append((*beginning, *(None if r is None else r.metrics.accuracy for r in each)))
    intervals = " or ".join(dict.fromkeys(map(interval_name, kept)))
    seeds = "; ".join(f"{group.slug}: {seeds_text(group)}" for group in kept)
    about = (
        f"Accuracy on clean pictures in percent with {intervals} intervals, by data set. Numbers "
        "of classes differ, so columns are not comparable with each other. A classifier may have "
        f"been trained for each data set: see the checkpoints under provenance. {seeds}."
    )
    notes = [SEEDS] if any(group.several for group in kept) else []
    caption = " ".join([about, *notes, *ending(kept, found)])
    return TableSpec(name, title, caption, (*first, *columns), tuple(found))
