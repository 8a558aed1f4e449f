"""Groups of pictures: what the store knows of the pictures behind a group of results."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.report.groups import ResultSet
from bench.report.outcomes import Outcomes
from bench.store.records import DatasetRecord
from bench.store.store import Store

CLASS = "class"


@dataclass(frozen=True, eq=False)
class Attribute:
    """How an attribute divides the measured pictures.

    Attributes:
        name: Such as "age".
        values: Those that a measured picture has, in table order.
        known: Value of each picture that has one, by sample id.
    """

    name: str
    values: tuple[str, ...]
    known: Mapping[str, str]

    def masks(self, ids: NDArray[np.object_]) -> list[NDArray[np.bool_]]:
        """Which of the samples (N,) have each value, (N,) each."""
        code = {value: i for i, value in enumerate(self.values)}
        codes = np.array([code.get(self.known.get(name, ""), -1) for name in ids])
        return [codes == i for i in range(len(self.values))]


def recorded(group: ResultSet, store: Store) -> DatasetRecord | None:
    """The facts of the group's data set, None if the store does not hold them."""
    return None if group.data_digest is None else store.dataset(group.dataset, group.data_digest)


def classes(group: ResultSet) -> Attribute:
    """The right class, as the rows have it."""
    known: dict[str, str] = {}
    for outcomes in _measured(group):
        names = np.array(outcomes.classes, object)[outcomes.labels]
        known |= dict(zip(outcomes.ids, names, strict=True))
    return _attribute(CLASS, group.classes, known, known)


def attributes(group: ResultSet, store: Store) -> list[Attribute]:
    """What the store records of the pictures besides; none if it was not told.

    An attribute that does not divide the measured pictures is left out.
    """
    record = recorded(group, store)
    samples = None if record is None else store.samples(record.name, record.digest)
    if record is None or samples is None:
        return []
    measured = {name for outcomes in _measured(group) for name in outcomes.ids}
    found = []
    for name, values in record.groups.items():
        given = dict(zip(samples["sample_id"], samples[name], strict=True))
        # The name of the right class is taken, in headers and file names.
        shown = f"{name} (recorded)" if name.lower() == CLASS else name
        found.append(_attribute(shown, values, given, measured))
    return [own for own in found if len(own.values) > 1]


def _measured(group: ResultSet) -> list[Outcomes]:
    """One per set of samples; attacks run on a part of them."""
    each = [result.outcomes for result in group.results if result.cell.about.model_free]
    return list({id(outcomes.ids): outcomes for outcomes in each}.values())


def _attribute(
    name: str,
    values: Sequence[str],
    given: Mapping[str, str | None],
    measured: Collection[str],
) -> Attribute:
    known = {i: value for i, value in given.items() if value is not None and i in measured}
    found = set(known.values())
    return Attribute(name, tuple(value for value in values if value in found), known)
