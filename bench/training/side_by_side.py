"""Independent trainings at the same time: one per core, or one per GPU.

A small network leaves most of a second core idle, so two trainings with a thread each end long
before one after the other with two threads each. A stage waits for the stage that it starts from.

How many threads a training has depends on the config and the machine alone, not on what is left to
train: a run that was killed ends with the weights of one that was not.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.queues import Queue
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.store.checkpoints import Card
from bench.store.leases import POLL, Leases
from bench.training.loop import Loop, Training, TrainingData, TrainingJob
from bench.util import runtime
from bench.util.progress import Relay, Reporter, shown

if TYPE_CHECKING:
    from bench.config import Config
    from bench.data.base import DataSet

#: Trainings that take less than this, in seconds on one core, are not worth starting processes for.
WORTHWHILE = 120.0

#: How long an interrupted training may take to save what it has, in seconds.
_PATIENCE = 30.0


def process_count(config: "Config", dataset: "DataSet", chains: int, seconds: float) -> int:
    """How many trainings of a run go on at the same time.

    Args:
        config: The run.
        dataset: Of which every training holds the training split, at most half the memory in all.
        chains: Classifiers with trainings of their own, of the config: not of what is left.
        seconds: What they take on one core, of the config, too.
    """
    from baselines.networks import INPUT_SIZE

    device = runtime.pick_device(config.execution.device)
    places = len(_devices(device.type)) if device.index is None else 1
    asked = config.execution.workers
    if seconds < WORTHWHILE or chains < 2 or asked == 1:
        return 1
    pictures = len(dataset.samples("train")) * 3 * INPUT_SIZE**2
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(places, asked or places, chains, memory // 2 // (2 * pictures + 10**9)))


class Claimed:
    """Trainings still to be done, by this run or by others at the same folder.

    Args:
        jobs: All of them; what starts from another one of them stands behind it, or may wait.
        out: Folder of the run.
        reporter: Says whom is waited for.
    """

    def __init__(self, jobs: Sequence[Training], out: Path, reporter: Reporter) -> None:
        self.left, self._leases, self._reporter = list(jobs), Leases(out), reporter
        self._told: set[str] = set()

    def take(self) -> Training | None:
        """One that can begin now and that no other process is at; None if there is none.

        It is this run's until `release`.
        """
        for job in list(self.left):
            if job.after is not None and not job.after.exists():
                continue
            if not job.folder.exists() and self._leases.claim(job.folder.name):
                if not job.folder.exists():
                    self.left.remove(job)
                    return job
                self._leases.release(job.folder.name)
            if job.folder.exists():  # another run has trained it
                Card.verified(job.folder, job.recipe)
                self.left.remove(job)
        return None

    def next(self) -> Training | None:
        """One like that, after whatever has to be waited for; None if all are done."""
        while self.left:
            job = self.take()
            if job is not None:
                return job
            self.wait()
        return None

    def wait(self) -> None:
        """Wait a little for other runs, and say for which."""
        for job in self.left:
            holder = self._leases.holder(job.folder.name)
            if holder is not None and job.folder.name not in self._told:
                self._told.add(job.folder.name)
                self._reporter.say(f"waiting for {job.label}, which {holder} trains")
        time.sleep(POLL)

    def release(self, job: Training) -> None:
        """Let others have a training that ended, however it did."""
        self._leases.release(job.folder.name)

    @contextlib.contextmanager
    def held(self, job: Training) -> Iterator[None]:
        """Release a training after the block."""
        try:
            yield
        finally:
            self.release(job)


def train(
    claimed: Claimed,
    processes: int,
    config: "Config",
    dataset: "DataSet",
    out: Path,
    reporter: Reporter,
) -> None:
    """Train all that is left; those that start from another one of them come after it.

    Raises:
        UserError: If a training fails, or its process dies. What the others have is saved.
    """
    for sample in (*dataset.samples("train")[:1], *dataset.samples("val")[:1]):
        dataset.picture(sample)  # drawn faces are drawn once for all
    device = runtime.pick_device(config.execution.device).type
    places: Queue[str] = runtime.SPAWN.Queue()
    for place in _devices(device)[:processes]:
        places.put(place)
    news: Queue[Any] = runtime.SPAWN.Queue()
    threads = max(1, (os.cpu_count() or 1) // processes) if device == "cpu" else None
    died = (
        "a training's process died (out of memory?). What was saved is there; run the same "
        "command again, with fewer `execution.workers` if it happens again."
    )
    arguments = (places, news, threads, config, dataset, out)
    running = dict[Future[None], Training]()
    with runtime.pool(processes, died, _start, *arguments) as pool:
        try:
            with shown(reporter, news):
                while claimed.left or running:
                    while len(running) < processes and (job := claimed.take()) is not None:
                        running[pool.submit(_run, job)] = job
                    if not running:
                        if claimed.left:
                            claimed.wait()
                        continue
                    patience = POLL if claimed.left and len(running) < processes else None
                    for future in wait(running, patience, FIRST_COMPLETED).done:
                        future.result()
                        claimed.release(running.pop(future))
        finally:
            if running:
                _interrupt(pool)
                wait(running, timeout=_PATIENCE)
            for job in running.values():
                claimed.release(job)
            for queue in (places, news):
                queue.close()


def _interrupt(pool: ProcessPoolExecutor) -> None:
    """Let trainings save what they have, and stop."""
    for child in list((pool._processes or {}).values()):
        if child.is_alive() and child.pid is not None:
            os.kill(child.pid, signal.SIGINT)


def _devices(kind: str) -> list[str]:
    """Where trainings can be: the GPUs, or as often the CPU as it has cores."""
    if kind == "cuda":
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [kind] * (os.cpu_count() or 1)


_run_one: Any = None


def _start(
    places: "Queue[str]",
    news: "Queue[Any]",
    threads: int | None,
    config: "Config",
    dataset: "DataSet",
    out: Path,
) -> None:
    global _run_one
    import torch
    from accelerate import Accelerator

    runtime.keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    device = torch.device(places.get())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    accelerator = Accelerator(cpu=device.type == "cpu")
    loop = Loop(accelerator, device, Relay(news), config.execution.save_every)
    data = TrainingData(dataset)

    def run(job: Training) -> None:
        config.classifiers[job.classifier].train(
            TrainingJob(job, out, data, loop, config.execution.trackers)
        )

    _run_one = run


def _run(job: Training) -> None:
    _run_one(job)
