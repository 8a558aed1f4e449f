"""The data sets behind a report."""

from typing import get_args

from bench.data.base import Split
from bench.dataset_record import DatasetRecord
from bench.report.attributes import recorded
from bench.report.groups import Group
from bench.report.results import Results
from bench.report.spec import TableSpec, Value
from bench.report.tables.captions import ending, sizes
from bench.store import Store


def datasets_table(results: Results, store: Store) -> TableSpec:
    """A row per data set: how large it is, what guessing reaches, what is known of its pictures."""
    header = (
        *("data set", "kind", "train n", "validation n", "test n", "measured n", "classes"),
        *("per class", "chance %", "majority %", "pixels", "groups", "digest"),
    )
    rows: list[tuple[Value, ...]] = []
    shown: dict[tuple[str, str | None], Group] = {}
    for group in results.groups:
        shown.setdefault((group.dataset, group.data_digest), group)
    listed, unknown = [], []
    for (name, _), group in shown.items():
        record = recorded(group, store)
        rows.append(_row(group, record))
        if record is None:
            unknown.append(name)
        else:
            counts = record.counts["test"]
            each = ", ".join(f"{label} {counts[label]}" for label in record.classes)
            listed.append(f"{group.data}: {each}.")
    about = (
        "Data sets: pictures in each split, and how many of the test split were measured on clean "
        "pictures; of the test split the fewest and most pictures of a class, the accuracy of "
        "guessing (chance) and of always naming the largest class (majority), and heights x "
        "widths; the attributes that its groups of pictures rest on. Counts and shares of the "
        "whole split, so without intervals."
    )
    parts = [about, *(["Test pictures per class: " + " ".join(listed)] if listed else [])]
    if unknown:
        parts.append(f"The store holds no record of {', '.join(unknown)}: from cells alone.")
    caption = " ".join([*parts, *ending(list(shown.values()), rows)])
    return TableSpec("datasets", "Data sets", caption, header, tuple(rows))


def _row(group: Group, record: DatasetRecord | None) -> tuple[Value, ...]:
    clean = [r.metrics.n for r in group.results if r.cell.family == "clean"]
    measured = sizes(clean) if clean else None
    classes, chance = str(len(group.classes)), f"{100 / len(group.classes):.1f}"
    if record is None:
        kind = "drawn faces" if group.drawn else None
        none = (None,) * 3
        counted = (*none, measured, classes, None, chance, *none)
        return (group.dataset, kind, *counted, group.data_digest)
    splits = (str(sum(record.counts[split].values())) for split in get_args(Split))
    test = list(record.counts["test"].values())
    majority = f"{100 * max(test) / sum(test):.1f}" if sum(test) else None
    pixels = " x ".join(sizes(side) for side in (record.height, record.width))
    groups = ", ".join(record.groups) or None
    about = (*splits, measured, classes, sizes(test), chance, majority, pixels, groups)
    return (group.dataset, record.kind, *about, record.digest)
