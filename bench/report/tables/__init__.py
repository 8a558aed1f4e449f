"""The tables of a report: what stands in them; `bench.report.render` writes them.

- `datasets`, `across`: the data sets; classifiers and EmoDC's variants on several of them
- `clean`: everything measured on clean pictures
- `grid`, `errors`, `curves`: all corruptions at a glance: accuracy; CE and mCE; areas of curves,
  half drops and changed decisions
- `sweeps`: accuracy by severity of a corruption, by budget of an attack
- `calibration`, `consistency`: whether confidences can be believed; who errs on the same pictures
- `samples`: groups of pictures, and gaps between them
- `cost`: accuracy from fewer steps of a trace
- `provenance`: what stands behind the numbers
- `captions`, `swept`, `numbers`: what captions say alike; a classifier under all corruptions;
  numbers with intervals
"""

from collections.abc import Iterator, Mapping

from bench.report.groups import Group
from bench.report.results import Results
from bench.report.spec import TableSpec
from bench.report.tables.across import across_tables
from bench.report.tables.calibration import calibration_table
from bench.report.tables.captions import DRAWN, SEEDS, interval_name, seeds_text, setting, sizes
from bench.report.tables.clean import clean_table
from bench.report.tables.consistency import consistency_tables
from bench.report.tables.cost import cost_table
from bench.report.tables.curves import curves_table
from bench.report.tables.datasets import datasets_table
from bench.report.tables.errors import check_reference, errors_table, reference_of
from bench.report.tables.grid import grid_table
from bench.report.tables.provenance import provenance_table
from bench.report.tables.samples import group_tables
from bench.report.tables.sweeps import attack_table, corruption_table
from bench.report.tables.swept import Swept, sweeps
from bench.store import Store

__all__ = ["DRAWN", "SEEDS", "interval_name", "seeds_text", "setting", "sizes", "tables"]


def tables(
    results: Results, store: Store | None = None, reference: str | None = None
) -> list[TableSpec]:
    """All tables, in the order of a report.

    Args:
        results: What was measured.
        store: Where groups of pictures, data sets and traces are; without it their tables are left
            out.
        reference: The classifier whose errors are the unit of mCE; if not given, the first
            discriminative one.

    Raises:
        UserError: If there is no such classifier.
    """
    check_reference(results, reference)
    first = [] if store is None else [datasets_table(results, store)]
    own = [spec for group in results.groups for spec in _of_group(group, store, reference)]
    return [*first, *across_tables(results), *own]


def _of_group(group: Group, store: Store | None, reference: str | None) -> Iterator[TableSpec]:
    swept = sweeps(group)
    if group.perturbations("clean"):
        yield clean_table(group)
    if group.perturbations("corruption"):
        yield from _corruptions(group, swept, reference)
    yield from (attack_table(group, name) for name in group.perturbations("attack"))
    if swept:
        yield calibration_table(group, swept)
    yield from consistency_tables(group, swept)
    yield from group_tables(group, swept, store)
    cost = None if store is None else cost_table(group, store)
    if cost is not None:
        yield cost
    yield provenance_table(group)


def _corruptions(
    group: Group, swept: Mapping[str, Swept], reference: str | None
) -> Iterator[TableSpec]:
    names = group.perturbations("corruption")
    if len(names) > 1:
        yield grid_table(group, swept)
    unit = reference_of(group, swept, reference)
    if unit is not None:
        yield errors_table(group, swept, unit)
    yield curves_table(group, swept)
    yield from (corruption_table(group, name) for name in names)
