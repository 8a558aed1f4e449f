"""Make a run small enough for git: some cells, the tables and the README's figure.

    bench run robustness --out RUN -c CONFIG
    bench report --out RUN
    python -m benchmarks.keep_results RUN results/default emodc_amdit resnet18

Kept are the clean and validation cells of the named classifiers, of their first training seed, with
their traces: what `bench decide` replays rules on; these in 16 bits (`execution: {traces:
float16}`), in half the space. Everything else is in the tables, which are kept of the whole run.
"""

import argparse
import dataclasses
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from bench.store.cells import Cell
from bench.store.store import Store
from bench.store.traces import Traces
from bench.util.files import write_table

#: Of the report, relative to its folder.
REPORT = ("tables.md", "summary.csv", "figures/faces-corruptions.png")


def keep(run: Path, kept: Path, classifiers: list[str]) -> list[Cell]:
    """Copy what is kept of the run in `run` to `kept`, which must not exist.

    Returns:
        The cells kept.
    """
    store = Store(run)
    cells = [
        cell
        for cell in store.planned()
        if cell.classifier in classifiers and cell.family in ("clean", "validation")
    ]
    cells = [cell for cell in cells if cell.seed == min(own.seed for own in cells)]
    if kept.exists() or not cells:
        raise SystemExit(f"{kept} exists, or {run} has no clean cell of {', '.join(classifiers)}")
    for cell in cells:
        folder = kept / store.folder(cell).relative_to(run)
        shutil.copytree(store.folder(cell), folder)
        for path in folder.glob("trace-*"):
            _halve(path)
        manifest = store.manifest(cell)
        if manifest is not None:  # with the checksums of now, and no place
            command = re.sub(r" --out \S+", "", manifest.command)
            Store(kept).write_manifest(
                manifest.model_copy(update={"files": None, "command": command})
            )
    if (run / "datasets").exists():
        shutil.copytree(run / "datasets", kept / "datasets")
    for name, config in store.configs().items():
        Store(kept).write_plan([cell for cell in cells if cell.dataset == name], config)
    for name in REPORT:
        if (run / "report" / name).exists():
            (kept / "report" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(run / "report" / name, kept / "report" / name)
    return cells


def _halve(path: Path) -> None:
    """Keep a trace's errors as float16."""
    table = pq.read_table(path)
    traces = Traces.of(table)
    if traces is None:
        raise SystemExit(f"{path} is not a trace")
    info = traces.info.model_copy(update={"dtype": "float16"})
    half = dataclasses.replace(traces, info=info).table()
    metadata = {**table.schema.metadata, **half.schema.metadata}
    write_table(path, half.replace_schema_metadata(metadata), "errors.list.element")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("kept", type=Path)
    parser.add_argument("classifiers", nargs="+")
    given = parser.parse_args()
    found = keep(given.run, given.kept, given.classifiers)
    size = sum(file.stat().st_size for file in given.kept.rglob("*") if file.is_file())
    print(f"{given.kept}: {len(found)} cells, {size / 1e6:.1f} MB")
