"""Trainings and shards on a Ray cluster: `--executor ray [--address ADDRESS]`, or one started here.

A training is a task, in a process of its own. An actor is a `Worker` that keeps a classifier open.
It gets shards of that classifier while there are any, those that take longest first, one at a time.
Checkpoints and rows go to the output folder, which all nodes must see; through Ray go descriptions
of the work. The driver may die: the same command continues.

What breaks a node, a process or a disk is tried again elsewhere; an actor that died is replaced.
What the work itself raises is not: `execution.errors` says what becomes of it in a shard, and of a
training it is the run's error.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.classifiers import checkpoints
from bench.store.leases import POLL
from bench.store.store import Store
from bench.sweep import costs
from bench.sweep.plan import Shard
from bench.sweep.worker import Worker, worker_count
from bench.util import runtime
from bench.util.errors import UserError
from bench.util.progress import Relay, Reporter, shown

if TYPE_CHECKING:
    from bench.config import Config
    from bench.data.base import DataSet
    from bench.training.loop import Training

#: How often a shard or a training may lose its process before it counts as failed.
ATTEMPTS = 3

#: Bytes of Ray's object store on a machine of our own: hardly anything goes through it.
_OBJECTS = 80 * 2**20

#: Seconds after which the driver looks whether the cluster has grown.
_LOOK = 10.0


def require() -> Any:
    """The package `ray`.

    Raises:
        UserError: If it is missing, or too old: earlier versions have known security holes.
    """
    # A driver that `uv run` started would have each worker resolve and install the project anew.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError("--executor ray needs Ray: pip install 'emodc-bench[ray]'.") from error
    if tuple(map(int, ray.__version__.split(".")[:2])) < (2, 56):
        raise UserError(f"--executor ray needs Ray 2.56 or later, this is {ray.__version__}.")
    return ray


def _arrive(config: "Config", out: Path, home: str) -> None:
    """Prepare a process on some node.

    Raises:
        UserError: If the node does not see the output folder.
    """
    if not out.is_dir():
        raise UserError(
            f"the node {os.uname().nodename} does not see {out}: with --executor ray, --out "
            "must lie on a file system that all nodes share.",
            1,
        )
    if Path(home).is_dir():
        os.chdir(home)  # a config's paths may be relative
    if config.execution.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


# ------------------------------------------------------------------------------------------------
# Trainings.


def _train(given: tuple[Any, ...], home: str, job: "Training") -> None:
    threads, config, dataset, out, news = given
    _arrive(config, out, home)
    place = "cuda:0" if runtime.pick_device(config.execution.device).type == "cuda" else "cpu"
    checkpoints.trainer(place, Relay(news), threads, config, dataset, out)(job)


def train(
    claimed: checkpoints.Claimed,
    threads: int | None,
    config: "Config",
    dataset: "DataSet",
    out: Path,
    reporter: Reporter,
) -> None:
    """Train all that is left on a cluster; see `checkpoints.train_at_once`.

    A training has as many cores as threads, or a GPU. One that loses its process or its node goes
    on elsewhere from what it had saved.

    Raises:
        UserError: If a training fails. What the others have is saved.
    """
    ray = require()
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    device = runtime.pick_device(config.execution.device).type
    running, lost = dict[Any, "Training"](), Counter[str]()
    with _connected(ray, config, worker_count(config.execution.workers, device)):
        # Here, as this process shows them: it ends with no other node.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        news = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        made = ray.remote(max_retries=0, max_calls=1)(_train)  # each in a process of its own
        given = ray.put((threads, config, dataset, out.resolve(), news))
        try:
            with shown(reporter, news):
                while claimed.left or running:
                    cores, places = _room(ray, threads, device, config.execution.workers)
                    needs = {"num_cpus": cores, "num_gpus": int(device == "cuda")}
                    while len(running) < places and (job := claimed.take()) is not None:
                        begun = made.options(**needs).remote(given, str(Path.cwd()), _resolved(job))
                        running[begun] = job
                    if not running:
                        claimed.wait()
                        continue
                    done, _ = ray.wait([*running], timeout=POLL if claimed.left else _LOOK)
                    for reference in done:
                        failure = _failure(ray, reference)
                        job = running.pop(reference)
                        if failure is None:
                            claimed.release(job)
                            continue
                        claimed.again(job)
                        lost[job.folder.name] += 1
                        if lost[job.folder.name] == ATTEMPTS:
                            raise _given_up(job.label, failure)
                        why = str(failure).splitlines()[0]
                        reporter.say(f"train {job.label} goes on elsewhere: {why}")
        finally:
            for reference in running:
                ray.cancel(reference)  # it saves what it has, as after Ctrl-C
            if running:
                ray.wait([*running], num_returns=len(running), timeout=checkpoints.PATIENCE)
            for job in running.values():
                claimed.release(job)


def _room(ray: Any, threads: int | None, device: str, asked: int | None) -> tuple[int, int]:
    """Cores of a training, and how many trainings the nodes have room for."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    cores = max(1, min(threads or 1, max(cpus, default=1)))
    places = sum(count // cores for count in cpus)
    if device == "cuda":
        places = sum(int(node.get("GPU", 0)) for node in nodes)
    return cores, min(places, asked or places)


def _resolved(job: "Training") -> "Training":
    """For a process in another folder."""
    after = None if job.after is None else job.after.resolve()
    return replace(job, folder=job.folder.resolve(), after=after)


# ------------------------------------------------------------------------------------------------
# Shards.


class _Actor:
    """A worker on some node."""

    def __init__(self, arguments: tuple[Any, ...], home: str) -> None:
        config, _, out, _ = arguments
        _arrive(config, out, home)
        self._worker = Worker(*arguments)

    def ready(self) -> None:
        """Return when it can work."""

    def run(self, shard: Shard) -> None:
        """Measure a shard and store its rows."""
        self._worker.run(shard)


class _Queue:
    """Shards by classifier and training seed, those that take longest first."""

    def __init__(self, shards: Sequence[Shard], seconds: "dict[str, float]") -> None:
        self._seconds = seconds
        self._groups: dict[tuple[str, int], list[Shard]] = {}
        for shard in sorted(shards, key=lambda s: seconds[s.name]):
            self.put(shard)

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def put(self, shard: Shard) -> None:
        """Add one; it is the next of its group."""
        self._groups.setdefault(group_of(shard), []).append(shard)

    def take(self, held: tuple[str, int] | None, at_work: Counter[tuple[str, int]]) -> Shard:
        """The next for an actor with an open classifier.

        Args:
            held: Which; another group is taken when its own has nothing left.
            at_work: How many actors have each one open.
        """
        if held not in self._groups:
            left = {k: sum(self._seconds[s.name] for s in g) for k, g in self._groups.items()}
            held = max(left, key=lambda key: left[key] / (1 + at_work[key]))
        group = self._groups[held]
        shard = group.pop()
        if not group:
            del self._groups[held]
        return shard


def group_of(shard: Shard) -> tuple[str, int]:
    """What an actor has to open for a shard."""
    return shard.planned.cell.classifier, shard.planned.cell.seed


def execute(
    shards: Sequence[Shard], worker_arguments: tuple[Any, ...], workers: int
) -> Iterator[Shard]:
    """Run all shards on a cluster; see `bench.sweep.worker.execute`.

    Raises:
        UserError: If a node does not see the output folder, or processes die again and again.
    """
    ray = require()
    config, dataset, out, folders = worker_arguments
    absolute = {key: Path(folder).resolve() for key, folder in folders.items()}
    arguments = (config, dataset, Path(out).resolve(), absolute)
    device = runtime.pick_device(config.execution.device).type
    share = config.execution.gpu_share if device == "cuda" else 0.0
    with _connected(ray, config, workers):
        made = ray.remote(_Actor).options(num_cpus=1, num_gpus=share, max_task_retries=0)
        packed = ray.put(arguments)
        home = str(Path.cwd())
        queue = _Queue(shards, _seconds(shards, config, dataset, Path(out)))
        driver = _Driver(ray, lambda: made.remote(packed, home), queue, share, config, Path(out))
        try:
            yield from driver.run(len(shards))
        finally:
            driver.end()


class _Driver:
    """Gives shards to actors, and replaces those that die."""

    def __init__(
        self, ray: Any, make: Any, queue: _Queue, share: float, config: "Config", out: Path
    ) -> None:
        self.ray, self.make, self.queue, self.share = ray, make, queue, share
        self.config, self.store = config, Store(out)
        self.starting: dict[Any, Any] = {}  # reference -> actor
        self.running: dict[Any, tuple[Any, Shard]] = {}
        self.opened: dict[Any, tuple[str, int]] = {}  # what actors have open
        self.lost: Counter[str] = Counter()
        self.deaths = 0

    def run(self, count: int) -> Iterator[Shard]:
        """Yield each shard when it was run."""
        while self.queue or self.running:
            self._grow(count)
            pending = [*self.starting, *self.running]
            if not pending:  # no node is left: more may come
                time.sleep(1.0)
                continue
            done, _ = self.ray.wait(pending, timeout=_LOOK)
            for reference in done:
                if reference in self.starting:
                    self._started(reference)
                    continue
                shard = self._finished(reference)
                if shard is not None:
                    yield shard

    def end(self) -> None:
        """Stop all actors."""
        for actor in [*self.starting.values(), *(actor for actor, _ in self.running.values())]:
            self.ray.kill(actor)

    def _grow(self, count: int) -> None:
        """As many actors as the cluster has places for, or as were asked for."""
        has = self.ray.cluster_resources()
        places = has.get("GPU", 0.0) / self.share if self.share else has.get("CPU", 1.0)
        wanted = min(self.config.execution.workers or int(places), int(places), count)
        missing = wanted - len(self.starting) - len(self.running)
        for _ in range(min(missing, len(self.queue))):
            actor = self.make()
            self.starting[actor.ready.remote()] = actor

    def _started(self, reference: Any) -> None:
        actor = self.starting.pop(reference)
        try:
            self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            cause = _cause(error)
            self.deaths += 1
            if isinstance(cause, UserError):
                raise cause from error
            if self.deaths > 10 * ATTEMPTS:
                raise UserError(f"workers on Ray cannot start: {error}", 1) from error
            return
        self._give(actor)

    def _give(self, actor: Any) -> None:
        if not self.queue:
            self.opened.pop(actor, None)
            self.ray.kill(actor)
            return
        shard = self.queue.take(self.opened.get(actor), Counter(self.opened.values()))
        self.opened[actor] = group_of(shard)
        self.running[actor.run.remote(shard)] = (actor, shard)

    def _finished(self, reference: Any) -> Shard | None:
        """The shard of a call that ended; None if it is tried again."""
        actor, shard = self.running.pop(reference)
        failure = _failure(self.ray, reference)
        if isinstance(failure, self.ray.exceptions.RayError):  # its process or its node is gone
            self.opened.pop(actor, None)
        else:
            self._give(actor)
        return shard if failure is None else self._again(shard, failure)

    def _again(self, shard: Shard, failure: Exception) -> Shard | None:
        self.lost[shard.name] += 1
        if self.lost[shard.name] < ATTEMPTS:
            self.queue.put(shard)
            return None
        cell = shard.planned.cell
        if self.config.execution.errors == "stop":
            raise _given_up(f"{cell.classifier}, {cell.condition} {cell.severity}", failure)
        self.store.fail(cell, shard.number, shard.count, failure)
        return shard


def _failure(ray: Any, reference: Any) -> Exception | None:
    """What broke the process, the node or a disk of a call that ended; None: it did its work.

    Raises:
        Exception: What the work itself raised.
    """
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = _cause(error)
        if isinstance(cause, OSError | MemoryError):
            return cause
        raise cause from error
    except ray.exceptions.RayError as error:
        return error
    return None


def _given_up(what: str, failure: Exception) -> UserError:
    return UserError(f"{what}: {ATTEMPTS} workers failed one after the other: {failure}", 1)


def _cause(error: Exception) -> Exception:
    """What an actor's own code raised."""
    found = getattr(error, "cause", None)
    return found if isinstance(found, Exception) else error


def _seconds(
    shards: Sequence[Shard], config: "Config", dataset: Any, out: Path
) -> dict[str, float]:
    """Expected, by name of the shard."""
    known = costs.Costs(config, Store(out), costs.speeds(config, dataset))
    cells = {shard.planned.cell.id: shard.planned for shard in shards}
    each = {name: known.seconds(p) / max(1, len(p.sample_ids)) for name, p in cells.items()}
    return {s.name: s.size * each[s.planned.cell.id] for s in shards}


@contextmanager
def _connected(ray: Any, config: "Config", workers: int) -> Iterator[None]:
    """A connection to the cluster, or a cluster of this machine alone while the block runs."""
    if ray.is_initialized():
        yield
        return
    address = config.execution.address or os.environ.get("RAY_ADDRESS")
    own: dict[str, Any] = {"num_cpus": workers, "object_store_memory": _OBJECTS}
    own |= {"include_dashboard": False}
    try:
        ray.init(address, log_to_driver=False, **({} if address else own))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--address {address}: no Ray cluster can be reached: {error}", 1
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
