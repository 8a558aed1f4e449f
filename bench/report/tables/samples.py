"""Groups of pictures: accuracy of each, and the gap between the best and the worst."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.metrics import Scores
from bench.report.attributes import CLASS, Attribute, attributes, classes
from bench.report.groups import Group
from bench.report.measures import share
from bench.report.ranking import FEWEST
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name, sizes
from bench.report.tables.swept import Swept, behind, counts, reasons
from bench.stats import Interval, range_of_proportions
from bench.store import Store


def group_tables(group: Group, swept: Mapping[str, Swept], store: Store) -> list[TableSpec]:
    """A table of each attribute; before them, if there are several, their gaps at a glance."""
    if not swept:
        return []
    label = classes(group)
    found = [*([label] if len(label.values) > 1 else []), *attributes(group, store)]
    gaps = [gaps_table(group, swept, found)] if len(found) > 1 else []
    return [*gaps, *(group_table(group, swept, own) for own in found)]


def gaps_table(group: Group, swept: Mapping[str, Swept], found: Sequence[Attribute]) -> TableSpec:
    """The worst-best gap of every attribute, on clean pictures and under corruption."""
    header = ("classifier", "pictures", *counts_header(group), *(own.name for own in found))
    rows: list[tuple[Value, ...]] = []
    for own in swept.values():
        masks = [attribute.masks(own.ids) for attribute in found]
        for pictures, scores in _conditions(own):
            gaps = (_gap([scores[:, mask] for mask in each]) for each in masks)
            rows.append((own.name, pictures, *counts(group, own), *gaps))
    about = (
        "Accuracy of the best group of pictures less that of the worst, in points, by attribute "
        f"(the tables of groups have them one by one). {_ABOUT_GAPS}{_about_corrupted(swept)}"
        f"{reasons(swept)}"
    )
    return captioned(group, "gaps", "Gaps between groups", about, behind(group), header, rows)


def group_table(group: Group, swept: Mapping[str, Swept], attribute: Attribute) -> TableSpec:
    """Accuracy of each value's pictures, for classes their recall."""
    masks = {classifier: attribute.masks(own.ids) for classifier, own in swept.items()}
    each_n = [[int(mask.sum()) for mask in same] for same in zip(*masks.values(), strict=True)]
    columns = [f"{v} (n {sizes(c)})" for v, c in zip(attribute.values, each_n, strict=True)]
    header = ("classifier", "pictures", *counts_header(group), *columns, "gap")
    rows: list[tuple[Value, ...]] = []
    for classifier, own in swept.items():
        for pictures, scores in _conditions(own):
            parts = [scores[:, mask] for mask in masks[classifier]]
            each = [share(part) if part.size else None for part in parts]
            rows.append((own.name, pictures, *counts(group, own), *each, _gap(parts)))
    what = "Recall of each class" if attribute.name == CLASS else "Accuracy by group of pictures"
    about = (
        f"{what} in percent with {interval_name(group)} intervals; n in the header. Gap: the best "
        f"less the worst, in points. {_ABOUT_GAPS}{_about_corrupted(swept)}"
        f"{reasons(swept)}"
    )
    small = [v for v, c in zip(attribute.values, each_n, strict=True) if min(c) < FEWEST]
    if small:
        about += f" Not in the gap, with under {FEWEST} pictures: {', '.join(small)}."
    lacking = max(
        len(own.ids) - int(np.any(masks[classifier], axis=0).sum())
        for classifier, own in swept.items()
    )
    if lacking:
        about += f" {lacking} pictures have no {attribute.name} and are in no group."
    title = f"Groups by {attribute.name}"
    name = f"groups-{attribute.name}"
    return captioned(group, name, title, about, behind(group), header, rows)


_ABOUT_GAPS = (
    "A gap's interval holds whichever groups are best and worst (Newcombe's of all pairs, at "
    "Bonferroni's level), so it is wide; a gap of several groups is above 0 by chance alone. "
    "It is over pictures, for the trainings at hand."
)


def _about_corrupted(swept: Mapping[str, Swept]) -> str:
    complete = any(own.complete for own in swept.values())
    return " All severities: the mean over all corruptions and severities." if complete else ""


def _conditions(own: Swept) -> list[tuple[str, Scores]]:
    found = [("clean", own.clean), ("all severities", own.mean)]
    return [(pictures, scores) for pictures, scores in found if scores is not None]


def _gap(parts: Sequence[Scores]) -> Number | None:
    """In points; None for fewer than two groups that are large enough."""
    large = [part for part in parts if part.shape[1] >= FEWEST]
    if len(large) < 2:
        return None
    means, n = [float(part.mean()) for part in large], [part.shape[1] for part in large]
    successes = [min(mean * size, size) for mean, size in zip(means, n, strict=True)]
    found = range_of_proportions(successes, n)
    interval = Interval(100 * found.low, 100 * found.high)
    return Number(100 * (max(means) - min(means)), 1, interval)
