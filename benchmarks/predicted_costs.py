"""How near does the estimate of costs come to what a finished run has recorded?

    python -m benchmarks.predicted_costs RUN

Compared are seconds of verdicts, of which each row has its own, and of trainings, which their cards
have. Both were measured while the run's other processes computed, the estimate while this one did.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from bench.config import parse
from bench.data.open import open_dataset
from bench.store.store import Store
from bench.sweep import costs
from bench.sweep.plan import make_plan
from bench.util.progress import Reporter

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    out = parser.parse_args().run
    config = parse(json.loads((out / "plan.json").read_text())["config"], "plan.json")
    dataset, store = open_dataset(config.data, config.seed), Store(out)
    known = costs.Costs(config, Store(Path("nowhere")), costs.speeds(config, dataset, Reporter()))
    cells = {(c.classifier, c.perturbation, c.family, c.severity): c for c in store.planned()}
    manifests = {key: store.manifest(cell) for key, cell in cells.items()}
    weights = {(m.cell.classifier, m.cell.seed): m.checkpoint for m in manifests.values() if m}
    total: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    trained = {}
    for planned in make_plan(config, dataset, weights):
        cell = planned.cell
        found = manifests.get((cell.classifier, cell.perturbation, cell.family, cell.severity))
        if found is None or planned.perturbation.queries:  # a row's seconds have no gradients
            continue
        pair = total[cell.classifier, cell.family]
        pair[0] += known.seconds(planned)
        pair[1] += float(store.rows(found)["seconds"].sum())
        trained[cell.classifier] = found.training.get("seconds", 0.0)
    for name, seconds in trained.items():
        spec = config.classifiers[name]
        steps = sum(one.steps for one in getattr(spec, "stages", ())) or getattr(spec, "steps", 0)
        total[name, "training"] = [known.trained(name, steps).seconds, seconds]
    for what in ("verdicts", "training"):
        chosen = {k: v for k, v in total.items() if (k[1] == "training") == (what == "training")}
        for (name, family), (guess, spent) in chosen.items():
            ratio = guess / spent if spent else float("nan")
            print(
                f"{name:24} {family:12} predicted {guess:7.0f} s  took {spent:7.0f} s  {ratio:.2f}"
            )
        guess, spent = (sum(pair[k] for pair in chosen.values()) for k in (0, 1))
        print(f"{what}: predicted {guess:.0f} s, took {spent:.0f} s, ratio {guess / spent:.2f}\n")
