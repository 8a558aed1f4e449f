"""The tables of a report: what stands in them; `bench.report.render` writes them.

- `clean`: everything measured on clean pictures
- `sweeps`: accuracy by severity of a corruption, by budget of an attack
- `provenance`: what stands behind the numbers
- `captions`: what captions say alike
"""

from bench.report.results import Results
from bench.report.spec import TableSpec
from bench.report.tables.captions import DRAWN, SEEDS, interval_name, seeds_text, setting, sizes
from bench.report.tables.clean import clean_table
from bench.report.tables.provenance import provenance_table
from bench.report.tables.sweeps import attack_table, corruption_table

__all__ = ["DRAWN", "SEEDS", "interval_name", "seeds_text", "setting", "sizes", "tables"]


def tables(results: Results) -> list[TableSpec]:
    """All tables: per group the clean one, one per corruption, one per attack, the provenance."""
    specs = []
    for group in results.groups:
        if group.perturbations("clean"):
            specs.append(clean_table(group))
        specs += [corruption_table(group, name) for name in group.perturbations("corruption")]
        specs += [attack_table(group, name) for name in group.perturbations("attack")]
        specs.append(provenance_table(group))
    return specs
