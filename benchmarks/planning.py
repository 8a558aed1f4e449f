"""How long, and in how much memory, is a sweep of a million shards planned?

    python -m benchmarks.planning [--shards 1000000] [--cells 100]

It counts CPU seconds of all that `bench run` does before the first shard, its data and networks
apart. And how soon is a finished run found? Bars: 10 s and 1 GB for a million shards; 2 s for a
finished run of 100 cells, whose files are read and compared with their checksums.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.config import parse
from bench.data.open import open_dataset
from bench.store.cells import Manifest
from bench.store.store import Store
from bench.sweep.plan import PlannedCell, Shard, make_plan, pending
from bench.sweep.together import Together, WorkPart
from bench.sweep.worker import Sharing
from bench.util.progress import Reporter

CORRUPTIONS = ["gaussian_noise", "gaussian_blur", "imagecorruptions.fog", "imagecorruptions.snow"]


def content(classifiers: int) -> dict[str, object]:
    """A run of 21 cells per classifier, on as many pictures as the test split of RAF-DB has."""
    net = {"kind": "baseline", "architecture": "resnet18"}
    return {
        "validation": False,
        "data": {"kind": "faces", "train": 14, "val": 7, "test": 3066},
        "classifiers": {f"net{number}": net for number in range(classifiers)},
        "perturbations": {"corruptions": {name: [1, 2, 3, 4, 5] for name in CORRUPTIONS}},
    }


def store_cell(store: Store, planned: PlannedCell, classes: tuple[str, ...]) -> None:
    """Write a complete cell with made-up rows."""
    names, count = planned.sample_ids, len(planned.sample_ids)
    logits = np.random.default_rng(0).normal(size=(count, len(classes))).astype(np.float32)
    said = [classes[k] for k in logits.argmax(axis=1)]
    columns = {"sample_id": names, "label": said, "prediction": said, "logits": list(logits)}
    rows = pd.DataFrame(columns | {"d_p": None, "evaluations": 1, "seconds": 0.0})
    for shard in range(2):
        own = rows.iloc[shard::2]
        store.write_part(planned.cell, shard, own, shards=2, classes=classes)
    empty: dict[str, Any] = {key: {} for key in ("validation", "training", "environment")}
    manifest = Manifest(
        cell=planned.cell,
        classes=list(classes),
        n=count,
        shards=2,
        checkpoint="made up",
        gate=None,
        timesteps=[],
        inputs=planned.inputs,
        **empty,
    )
    store.write_manifest(manifest)


def opened(planned: PlannedCell, count: int, store: Store) -> list[Shard]:
    """The shards of a cell that are to be done, as a run prepares them."""
    todo = pending(planned, count, store)
    shards = [(shard.number, shard.count, shard.sample_ids) for shard in todo]
    store.reopen(planned.cell, planned.inputs, shards)
    return todo


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=int, default=1_000_000)
    parser.add_argument("--cells", type=int, default=100)
    given = parser.parse_args()
    config = parse(content(50), "made up")
    dataset = open_dataset(config.data, 0)
    weights = {(name, 0): name for name in config.classifiers}
    with tempfile.TemporaryDirectory() as folder:
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        store = Store(Path(folder))
        plan = make_plan(config, dataset, weights)
        planned = time.process_time()
        count = -(-given.shards // len(plan))
        todo = [shard for cell in plan for shard in opened(cell, count, store)]
        asked = time.process_time()
        todo = Sharing(Path(folder), todo, dataset, 2 * 10**9).todo
        together = Together(Path(folder), Reporter(quiet=True), WorkPart(1, 2))
        todo = together.ordered(plan, count, todo)
        end = time.process_time()
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
        print(
            f"{len(todo):,} shards of {len(plan):,} cells: {end - start:.1f} s (cells "
            f"{planned - start:.1f}, shards {asked - planned:.1f}, shared files and order "
            f"{end - asked:.1f}), {memory:.2f} GB"
        )
        chosen = plan[: given.cells]
        for cell in chosen:
            store_cell(store, cell, dataset.classes)
        start = time.perf_counter()
        left = [shard for cell in chosen for shard in pending(cell, 2, Store(Path(folder)))]
        spent = time.perf_counter() - start
        print(f"{len(chosen)} finished cells recognised in {spent:.2f} s, {len(left)} shards left")


if __name__ == "__main__":
    main()
