"""Groups of pictures: accuracy of each, and the gap between the best and the worst."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics import Scores
from bench.report.groups import Group
from bench.report.measures import share
from bench.report.outcomes import Outcomes
from bench.report.ranking import FEWEST
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name, sizes
from bench.report.tables.swept import Swept, behind, counts, reasons
from bench.stats import Interval, range_of_proportions
from bench.store import Store


@dataclass(frozen=True, eq=False)
class Attribute:
    """How an attribute divides the pictures.

    Attributes:
        name: Such as "age".
        values: In table order.
        known: Value of each sample that has one, by sample id.
    """

    name: str
    values: tuple[str, ...]
    known: Mapping[str, str]

    def parts(self, ids: NDArray[np.object_], scores: Scores) -> list[Scores]:
        """Of scores (k, N) of these samples, those of each value's."""
        code = {value: i for i, value in enumerate(self.values)}
        codes = np.array([code.get(self.known.get(name, ""), -1) for name in ids])
        return [scores[:, codes == i] for i in range(len(self.values))]


def group_tables(group: Group, swept: Mapping[str, Swept], store: Store | None) -> list[TableSpec]:
    """A table of each attribute; before them, if there are several, their gaps at a glance."""
    found = [own for own in attributes(group, swept, store) if len(own.values) > 1]
    gaps = [gaps_table(group, swept, found)] if len(found) > 1 else []
    return [*gaps, *(group_table(group, swept, own) for own in found)]


def attributes(
    group: Group, swept: Mapping[str, Swept], store: Store | None
) -> Iterator[Attribute]:
    """The class, and what the store knows of the test pictures besides.

    A value that no measured picture has is left out.
    """
    labels: dict[str, str] = {}
    for outcomes in _outcomes(swept):
        names = np.array(outcomes.classes, object)[outcomes.labels]
        labels |= dict(zip(outcomes.ids, names, strict=True))
    yield _attribute("class", group.classes, labels, labels)
    digest = str(group.results[0].manifest.inputs.get("data"))
    record = None if store is None else store.dataset(group.dataset, digest)
    samples = None if store is None else store.samples(group.dataset, digest)
    if record is None or samples is None:
        return
    for name, values in record.groups.items():
        given = dict(zip(samples["sample_id"], samples[name], strict=True))
        yield _attribute(name, values, given, labels)


def gaps_table(group: Group, swept: Mapping[str, Swept], found: Sequence[Attribute]) -> TableSpec:
    """The worst-best gap of every attribute, on clean pictures and under corruption."""
    header = ("classifier", "pictures", *counts_header(group), *(own.name for own in found))
    rows = [
        (own.name, pictures, *counts(group, own), *(_gap(a.parts(own.ids, scores)) for a in found))
        for own in swept.values()
        for pictures, scores in _conditions(own)
    ]
    about = (
        "Accuracy of the best group of pictures less that of the worst, in points, by attribute "
        f"(the tables of groups have them one by one). {_ABOUT_GAPS}{_about_corrupted(swept)}"
        f"{reasons(swept)}"
    )
    return captioned(group, "gaps", "Gaps between groups", about, behind(group), header, rows)


def group_table(group: Group, swept: Mapping[str, Swept], attribute: Attribute) -> TableSpec:
    """Accuracy of each value's pictures, for classes their recall."""
    members = (attribute.parts(own.ids, np.ones((1, len(own.ids)))) for own in swept.values())
    each_n = list(zip(*([part.shape[1] for part in parts] for parts in members), strict=True))
    columns = [f"{v} (n {sizes(c)})" for v, c in zip(attribute.values, each_n, strict=True)]
    header = ("classifier", "pictures", *counts_header(group), *columns, "gap")
    rows: list[tuple[Value, ...]] = []
    for own in swept.values():
        for pictures, scores in _conditions(own):
            parts = attribute.parts(own.ids, scores)
            each = [share(part) if part.size else None for part in parts]
            rows.append((own.name, pictures, *counts(group, own), *each, _gap(parts)))
    what = "Recall of each class" if attribute.name == "class" else "Accuracy by group of pictures"
    about = (
        f"{what} in percent with {interval_name(group)} intervals; n in the header. Gap: the best "
        f"less the worst, in points. {_ABOUT_GAPS}{_about_corrupted(swept)}"
        f"{reasons(swept)}"
    )
    small = [v for v, c in zip(attribute.values, each_n, strict=True) if min(c) < FEWEST]
    if small:
        about += f" Not in the gap, with under {FEWEST} pictures: {', '.join(small)}."
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
    return " Corrupted: the mean over all corruptions and severities." if complete else ""


def _attribute(
    name: str, values: Sequence[str], given: Mapping[str, str | None], measured: Mapping[str, str]
) -> Attribute:
    """Of measured samples; values that none of them has are left out."""
    known = {i: value for i, value in given.items() if value is not None and i in measured}
    found = set(known.values())
    return Attribute(name, tuple(value for value in values if value in found), known)


def _outcomes(swept: Mapping[str, Swept]) -> list[Outcomes]:
    """One per set of samples."""
    each = [own.first.outcomes[0] for own in swept.values()]
    return list({id(outcomes.ids): outcomes for outcomes in each}.values())


def _conditions(own: Swept) -> list[tuple[str, Scores]]:
    found = [("clean", own.clean), ("corrupted", own.mean)]
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
