"""The numbers of a small report, byte for byte: words may change on purpose, numbers may not."""

import os
from pathlib import Path

from bench.report.present import csv_text
from bench.report.results import read
from bench.report.tables import tables
from bench.report.write import summary_csv, summary_frame
from bench.store.store import Store

PINNED = Path(__file__).with_name("pinned_numbers.csv")


def test_the_numbers_of_a_small_report_are_those_pinned(out: Path) -> None:
    """To pin them anew after a change on purpose, run with BENCH_PIN=1 and read the diff."""
    results = read(out)
    parts = [f"# summary\n{summary_csv(summary_frame(results.complete))}"]
    parts += [f"# {spec.name}\n{csv_text(spec)}" for spec in tables(results, Store(out))]
    found = "\n".join(parts)
    if os.environ.get("BENCH_PIN"):
        PINNED.write_text(found, encoding="utf-8")
    assert found == PINNED.read_text(encoding="utf-8")
