"""The tables of a report: what stands in them; `bench.report.present` writes them.

- `clean`: everything measured on clean pictures; groups of pictures; several data sets side by side
- `severities`: all corruptions at a glance, each by severity, attacks by budget, continuous levels,
  areas of curves, failure points, CE and mCE, perturbation sequences
- `attacks`: what an accuracy under attack is worth; the worst case over attacks, smallest budgets,
  verdicts on fresh noise; certificates by randomised smoothing
- `calibration`: what calibrates confidences, whether they can be believed; who errs alike
- `cost`: accuracy against cost, by rules replayed on traces; early decisions under attack
- `provenance`: data sets, constants of corruptions, and what stands behind the numbers
- `ablation`: EmoDC's variants with each other; `diagnostics`: what its traces say; both are asked
  for apart
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bench.report.results import Results, ResultSet
from bench.report.spec import Chapter, TableSpec, sweeps, unique
from bench.report.tables.attacks import (
    certified_table,
    fresh_table,
    smallest_table,
    worst_case_table,
)
from bench.report.tables.calibration import calibration_table, consistency_tables
from bench.report.tables.clean import across_tables, clean_table, folds_tables, group_tables
from bench.report.tables.cost import attacked_decisions_table, cost_table
from bench.report.tables.provenance import constants_table, datasets_table, provenance_table
from bench.report.tables.severities import (
    attack_table,
    check_reference,
    corruption_table,
    curves_table,
    errors_table,
    failure_table,
    grid_table,
    levels_table,
    reference_of,
    sequences_table,
)
from bench.store.store import Store

__all__ = ["tables"]


def tables(results: Results, store: Store, reference: str | None = None) -> list[TableSpec]:
    """All tables, in the order of a report.

    Args:
        results: What was measured.
        store: Where groups of pictures, data sets and traces are.
        reference: The classifier whose errors are the unit of mCE; if not given, the first
            discriminative one.

    Raises:
        UserError: If there is no such classifier.
    """
    check_reference(results, reference)
    whole = [datasets_table(results, store), *across_tables(results), *folds_tables(results)]
    found = list(_in("data", whole))
    for group in results.groups:
        found += _of_group(group, store, reference)
    found += _in("provenance", constants_table(results))
    names = unique(spec.name for spec in found)  # attributes may differ in signs alone
    return [replace(spec, name=name) for spec, name in zip(found, names, strict=True)]


def _of_group(group: ResultSet, store: Store, reference: str | None) -> Iterator[TableSpec]:
    swept, names = sweeps(group), group.perturbations("corruption")
    if group.perturbations("clean"):
        yield from _in("clean", [clean_table(group)])
    if names:
        unit = reference_of(group, swept, reference)
        yield from _in("corruptions", [grid_table(group, swept)] if len(names) > 1 else [])
        yield from _in("corruptions", [] if unit is None else [errors_table(group, swept, unit)])
        yield from _in("corruptions", [curves_table(group, swept)])
        failure = failure_table(group, swept)
        yield from _in("corruptions", [] if failure is None else [failure])
        yield from _in("corruptions", [corruption_table(group, name) for name in names])
    yield from _in("corruptions", [levels_table(group)] if group.levels else [])
    sequences = sequences_table(group, reference)
    yield from _in("corruptions", [] if sequences is None else [sequences])
    attacks = group.perturbations("attack")
    yield from _in("attacks", [attack_table(group, name) for name in attacks])
    made = (worst_case_table, smallest_table, fresh_table, certified_table)
    over = [own(group) for own in made]
    yield from _in("attacks", [spec for spec in over if spec is not None])
    yield from _in("confidence", [calibration_table(group, swept)] if swept else [])
    yield from _in("confidence", consistency_tables(group, swept))
    yield from _in("groups", group_tables(group, swept, store))
    cost = cost_table(group, store)
    attacked = attacked_decisions_table(group, store)
    yield from _in("emodc", [own for own in (cost, attacked) if own is not None])
    yield from _in("provenance", [provenance_table(group)])


def _in(chapter: Chapter, specs: Iterable[TableSpec]) -> Iterator[TableSpec]:
    return (replace(spec, chapter=chapter) for spec in specs)
