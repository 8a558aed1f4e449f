"""How near does `--dry-run` come to what a finished run took?

    python -m benchmarks.predicted_costs RUN

The sweep's time between two stored parts counts for the cell of the later one, attacks included. It
says something about a run that nothing interrupted, in the folder where it was made. Trainings took
what their cards say, and all of them the time from the first line of `run.log` to the plan.
"""

import argparse
import itertools
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from bench.config import parse
from bench.store.store import Store
from bench.sweep.run import dry_run
from bench.util.progress import Reporter


def main() -> None:
    """Compare, by classifier and family."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    out = parser.parse_args().run
    store = Store(out)
    [config] = store.configs().values()
    plan = dry_run(parse(config, "plan.json"), Path("nowhere"), reporter=Reporter())

    took: dict[tuple[str, str], float] = defaultdict(float)
    parts, trained = [], dict[str, float]()
    for cell in store.planned():
        stored = store.folder(cell).glob("part-*.parquet")
        parts += [(p.stat().st_mtime, cell.classifier, cell.family) for p in stored]
        manifest = store.manifest(cell)
        if manifest is not None:
            trained[cell.classifier] = manifest.training.get("seconds", 0.0)
    begun = (out / "plan.json").stat().st_mtime
    times = [begun, *sorted(time for time, _, _ in parts)]
    for (before, after), (_, name, family) in zip(
        itertools.pairwise(times), sorted(parts), strict=True
    ):
        took[name, family] += after - before
    took |= {(name, "training"): seconds for name, seconds in trained.items()}

    for one in sorted(plan.expected, key=lambda one: (one.family == "training", one.classifier)):
        _show(f"{one.classifier:24} {one.family:12}", one.seconds, took[one.classifier, one.family])
    first = datetime.fromisoformat((out / "run.log").read_text()[:19]).timestamp()
    sweep = sum(seconds for _, _, seconds in plan.cells)
    _show("trainings, in all", plan.seconds - sweep, begun - first)
    _show("sweep, in all", sweep, times[-1] - begun)
    _show("run", plan.seconds, times[-1] - first)


def _show(what: str, guess: float, spent: float) -> None:
    ratio = guess / spent if spent else float("nan")
    print(f"{what:37} predicted {guess:7.0f} s  took {spent:7.0f} s  {ratio:.2f}")


if __name__ == "__main__":
    main()
