"""Make a run small enough for git: some cells, the tables and the README's figure.

    bench run robustness --out RUN -c CONFIG       # with `execution: {traces: float16}`
    bench report --out RUN
    python -m benchmarks.keep_results RUN results/default emodc_amdit resnet18

Kept are the clean and validation cells of the named classifiers, with their traces: what `bench
decide` replays rules on. Everything else is in the tables, which are kept of the whole run.
"""

import argparse
import json
import shutil
from pathlib import Path

from bench.store.cells import Cell
from bench.store.store import Store

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
    if kept.exists() or not cells:
        raise SystemExit(f"{kept} exists, or {run} has no clean cell of {', '.join(classifiers)}")
    for cell in cells:
        shutil.copytree(store.folder(cell), kept / store.folder(cell).relative_to(run))
    if (run / "datasets").exists():
        shutil.copytree(run / "datasets", kept / "datasets")
    config = json.loads((run / "plan.json").read_text(encoding="utf-8"))["config"]
    Store(kept).write_plan(cells, config)
    for name in REPORT:
        if (run / "report" / name).exists():
            (kept / "report" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(run / "report" / name, kept / "report" / name)
    return cells


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("kept", type=Path)
    parser.add_argument("classifiers", nargs="+")
    given = parser.parse_args()
    found = keep(given.run, given.kept, given.classifiers)
    size = sum(file.stat().st_size for file in given.kept.rglob("*") if file.is_file())
    print(f"{given.kept}: {len(found)} cells, {size / 1e6:.1f} MB")
