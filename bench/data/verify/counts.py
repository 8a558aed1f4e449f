"""Samples per class and split, against the published ones."""

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from bench.data.base import Split
from bench.data.layouts.base import Counts, Listing
from bench.data.verify.report import Count, Finding


def count(listing: Listing, published: Counts) -> tuple[Count, ...]:
    """Of each split that has samples, or should: the split as a whole, then its classes.

    A split of `published` may have its total alone, under "".
    """
    found: Counter[tuple[str, str]] = Counter((e.split, e.label) for e in listing.entries)
    rows = []
    for split in get_args(Split):
        told = published.get(split, {})
        of_classes = {label: number for label, number in told.items() if label}
        total = sum(found[split, label] for label in {label for _, label in found})
        if not total and not told:
            continue
        whole = told.get("", sum(of_classes.values()) if of_classes else None)
        rows.append(Count(split, "", total, whole))
        labels = dict.fromkeys((*listing.classes, *of_classes, *_strangers(found, split)))
        rows += [Count(split, label, found[split, label], told.get(label)) for label in labels]
    return tuple(rows)


def finding(counts: Sequence[Count], total: int | None, drawn: bool) -> list[Finding]:
    """Whether the counts are the published ones.

    Args:
        counts: Of splits and classes.
        total: The published number in all, if no split is the owners'.
        drawn: Whether they are drawn faces.
    """
    known = [row for row in counts if row.difference is not None]
    wholes = [row for row in counts if not row.label]
    found = sum(row.found for row in wholes)
    published = total or sum(row.published or 0 for row in wholes)
    if not known and total is None:
        return []
    wrong = [row for row in known if row.difference]
    if not wrong and found == published:
        classes = ", class by class" if any(row.label for row in known) else ""
        return [Finding("note", "counts", f"the published number of samples{classes}")]
    if drawn:
        return [Finding("note", "counts", "drawn faces, so the counts are not the published ones")]
    as_many = "as many samples as published, but not so in every split and class"
    text = (
        as_many
        if found == published
        else (
            f"{found:,} samples where {published:,} were published; results on another number of "
            "pictures compare with published ones only roughly"
        )
    )
    items = [
        {"split": row.split, "class": row.label or None, "difference": row.difference}
        for row in wrong
    ]
    return [Finding("warning", "counts", text, items)]


def _strangers(found: Counter[tuple[str, str]], split: str) -> list[str]:
    return sorted(label for place, label in found if place == split)
