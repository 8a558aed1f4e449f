"""Does a small run end as an undisturbed one, whatever of it is killed at random moments?

    python -m benchmarks.chaos [--kills 30] [--seed 0] [--only workers runs two ray]

Killed (SIGKILL) are, half of `--kills` times each, workers of `--executor processes` and workers of
a Ray cluster of two nodes on this machine, of which one node is killed, too; a third of `--kills`
times the run itself; and one of two runs at the same folder. The same command then continues.
Compared are the summary, all rows and all traces, without times.
"""

import argparse
import contextlib
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.report.results import read
from bench.report.write import summary_frame
from bench.store.store import Store

#: Also trainings are in processes of their own, however short.
RUN = """
import sys
from pathlib import Path
from bench.classifiers import checkpoints
from bench.config import load
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter
checkpoints.WORTHWHILE = 0.0
try:
    run(load(Path(sys.argv[1])), Path(sys.argv[2]), Reporter(), retry_failed=True)
except UserError as error:
    print(f"bench: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""

NETWORK = {"block_out_channels": [8, 8, 8]}
EVALUATION = {"steps": 8, "attack_steps": 2}


def stages(*kinds: str) -> list[dict[str, Any]]:
    """Of some seconds each, so that a training, too, can be hit."""
    return [{"objective": {"kind": kind}, "steps": 40, "batch_size": 16} for kind in kinds]


CONFIG: dict[str, Any] = {
    "precision": "float32",
    "data": {"kind": "faces", "train": 56, "val": 14, "test": 28},
    "classifiers": {
        "resnet": {"kind": "baseline", "architecture": "test_resnet", "steps": 60},
        "amdit": {
            "kind": "emodc",
            **NETWORK,
            "stages": stages("base", "amdit"),
            "evaluation": EVALUATION,
        },
    },
    "perturbations": {
        "corruptions": {"gaussian_noise": [2]},
        "attacks": {"pgd": [4]},
        "attack_limit": 7,
    },
}

WHAT = ["workers", "runs", "two", "ray"]

#: How often a run is started again before the benchmark gives up.
STARTS = 100

Strike = Callable[["subprocess.Popen[bytes]"], bool]
"""Kill something of a run; whether there was something."""


class Chaos:
    """Runs below one folder, of which things are killed.

    Args:
        folder: The folder.
        seed: Of the moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.moments, self.wrong = folder, random.Random(seed), 0
        begun = time.monotonic()
        out = folder / "undisturbed"
        assert self.started(out).wait() == 0, (folder / "log").read_text()
        self.seconds, self.expected = time.monotonic() - begun, content(out)
        print(f"undisturbed: {self.seconds:.0f} s", flush=True)

    def started(self, out: Path, **execution: Any) -> "subprocess.Popen[bytes]":
        """A run, or what is left of it."""
        how = {"device": "cpu", "workers": 2, "shards": 5, "save_every": 0.5} | execution
        config = out.with_suffix(".yaml")
        config.write_text(yaml.safe_dump(CONFIG | {"execution": how}))
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", RUN, config, out], stdout=log, stderr=log
            )

    def run(self, what: str, strike: Strike, kills: int, **execution: Any) -> None:
        """Kill so often, in as many runs as that takes, and compare each."""
        number = done = 0
        while done < kills:
            number += 1
            out = self.folder / f"{what.replace(' ', '-')}-{number}"
            done += self.until_done(what, out, strike, kills - done, **execution)

    def until_done(self, what: str, out: Path, strike: Strike, kills: int, **execution: Any) -> int:
        """Start a run again until it ends by itself; how often something of it was killed."""
        done, codes = 0, list[int]()
        while (not codes or codes[-1] != 0) and len(codes) < STARTS:
            process = self.started(out, **execution)
            moment = self.moment()
            while process.poll() is None:
                time.sleep(0.05)
                if done < kills and time.monotonic() >= moment and strike(process):
                    done, moment = done + 1, self.moment()
            codes.append(process.returncode)
        same = codes[-1] == 0 and content(out) == self.expected
        self.wrong += not same
        verdict = "the same" if same else f"DIFFERENT\n{(self.folder / 'log').read_text()[-4000:]}"
        print(
            f"{what}: {done} kills, {len(codes)} starts, exit codes {codes}: {verdict}", flush=True
        )
        return done

    def moment(self) -> float:
        """When something is killed next."""
        return time.monotonic() + self.moments.uniform(0.1, 0.6) * self.seconds

    def one_of(self, found: list[psutil.Process]) -> bool:
        """Kill one of some processes."""
        if not found:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            self.moments.choice(found).kill()
        return True


def content(out: Path) -> tuple[str, str]:
    """The summary, and a digest of all rows and traces; without times."""
    store, found, results = Store(out), hashlib.sha256(), read(out)
    assert not results.missing and not results.refused
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None and store.problem(manifest) is None
        found.update(cell.id.encode())
        found.update(store.rows(manifest).drop(columns="seconds").to_csv().encode())
        traces = store.traces(manifest)
        found.update(b"" if traces is None else traces.errors.tobytes())
    summary = summary_frame(results.complete).drop(columns="seconds_per_image")
    return summary.to_csv(), found.hexdigest()


def children(parent: int, *words: str) -> list[psutil.Process]:
    """Processes that it has started whose command has one of the words."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(word in " ".join(child.cmdline()) for word in words):
                    found.append(child)
    return found


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[str, Callable[[], None]]]:
    """A Ray cluster on this machine; its address, and what ends a node and starts another."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    others = [cluster.add_node(**node)]

    def replaced() -> None:
        cluster.remove_node(others.pop(), allow_graceful=False)
        others.append(cluster.add_node(**node))

    try:
        yield cluster.address, replaced
    finally:
        cluster.shutdown()


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    what, half = arguments.only, arguments.kills // 2
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), arguments.seed)

        def run_itself(process: "subprocess.Popen[bytes]") -> bool:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True

        def worker(process: "subprocess.Popen[bytes]") -> bool:
            return chaos.one_of(children(process.pid, "spawn_main", "forkserver"))

        def two() -> None:
            out = Path(folder) / "two-runs"
            other = chaos.started(out)
            chaos.until_done("one of two runs", out, run_itself, 1)
            chaos.wrong += other.wait() != 0
            print(f"the other one ended with {other.returncode}")

        def ray() -> None:
            with two_nodes() as (address, replaced):
                own, count = psutil.Process().pid, 0

                def ray_worker(process: "subprocess.Popen[bytes]") -> bool:
                    nonlocal count
                    if not (workers := children(own, "ray::_Actor", "ray::_train")):
                        return False
                    count += 1
                    if count == (half + 1) // 2:
                        replaced()
                        return True
                    return chaos.one_of(workers)

                way = {"executor": "ray", "address": address, "errors": "record"}
                chaos.run("workers and a node of Ray", ray_worker, half, **way)

        ways: dict[str, Callable[[], None]] = {
            "workers": lambda: chaos.run("workers of processes", worker, arguments.kills - half),
            "runs": lambda: chaos.run("the run itself", run_itself, arguments.kills // 3),
            "two": two,
            "ray": ray,
        }
        for name in what:
            ways[name]()
    print("all are the same" if not chaos.wrong else f"{chaos.wrong} are DIFFERENT")
    sys.exit(1 if chaos.wrong else 0)


if __name__ == "__main__":
    main()
