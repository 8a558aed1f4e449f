"""How long, and in how much memory, is a sweep of a million shards planned?

    python -m benchmarks.planning [--shards 1000000] [--cells 100]

It counts CPU seconds of all that `bench run` does before the first shard, its data and networks
apart. And how soon is a finished run found? And what do workers of a cluster lose to being given
their work, at shards of some three minutes on a simulated clock? Bars: 10 s and 1 GB for a million
shards; 2 s for a finished run of 100 cells, whose files are read and compared with their checksums;
2 % lost.
"""

import argparse
import heapq
import itertools
import resource
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from bench.config import parse
from bench.data.open import open_dataset
from bench.store.cells import Manifest
from bench.store.store import Store
from bench.sweep import on_ray
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


class SimulatedCluster:
    """What the driver asks of Ray, on a clock of its own; what the driver takes goes by on it.

    Args:
        workers: Of the cluster.
        seconds: Of each shard, by name.
        opens: Seconds of an actor's start, and of opening another classifier.
    """

    exceptions = SimpleNamespace(RayError=ConnectionError, RayTaskError=TimeoutError)

    def __init__(self, workers: int, seconds: dict[str, float], opens: float) -> None:
        self.workers, self.seconds, self.opens = workers, seconds, opens
        self.now, self.seen = 0.0, time.process_time()
        self.ends: list[tuple[float, int]] = []
        self.calls = itertools.count()

    def call(self, seconds: float) -> int:
        """Begin something; its reference."""
        self.go_on()
        reference = next(self.calls)
        heapq.heappush(self.ends, (self.now + seconds, reference))
        return reference

    def go_on(self) -> None:
        """The driver's own seconds."""
        spent = time.process_time()
        self.now, self.seen = self.now + spent - self.seen, spent

    def wait(self, pending: list[int], timeout: float) -> tuple[list[int], list[int]]:
        """Until the first of what goes on ends."""
        self.go_on()
        end, reference = heapq.heappop(self.ends)
        self.now = max(self.now, end)
        return [reference], []

    def get(self, reference: int) -> None:
        """It did its work."""

    def kill(self, actor: Any) -> None:
        """It has no more to do."""

    def cluster_resources(self) -> dict[str, float]:
        """Of all nodes."""
        return {"CPU": float(self.workers)}


class SimulatedActor:
    """A worker of a simulated cluster."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self.held: tuple[str, int] | None = None  # the classifier that it has open
        self.ready = SimpleNamespace(remote=lambda: cluster.call(cluster.opens))
        self.run = SimpleNamespace(remote=self._run)

    def _run(self, shard: Shard) -> int:
        group = on_ray.group_of(shard)
        opens = self.cluster.opens if self.held != group else 0.0
        self.held = group
        return self.cluster.call(opens + self.cluster.seconds[shard.name])


def lost_share(shards: list[Shard], workers: int, config: Any, folder: Path) -> float:
    """Share of the workers' time in which they compute no shard: starts, openings, waiting."""
    lengths = np.random.default_rng(0).uniform(90, 270, len(shards))
    seconds = {shard.name: float(own) for shard, own in zip(shards, lengths, strict=True)}
    cluster = SimulatedCluster(workers, seconds, 5.0)
    queue = on_ray._Queue(shards, seconds)
    driver = on_ray._Driver(cluster, lambda: SimulatedActor(cluster), queue, 0.0, config, folder)
    assert sum(1 for _ in driver.run(len(shards))) == len(shards)
    cluster.go_on()
    return 1 - sum(seconds.values()) / (workers * cluster.now)


def main() -> None:
    """Measure all three."""
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
        for workers in (8, 64):
            some = todo[:: max(1, len(todo) // (100 * workers))]
            share = lost_share(some, workers, config, Path(folder))
            print(f"{workers} workers lose {share:.2%} at {len(some):,} shards of 3 minutes")


if __name__ == "__main__":
    main()
