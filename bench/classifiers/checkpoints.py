"""The checkpoints that the classifiers of a config need: their recipes, folders, and trainings.

A recipe is everything that determines a checkpoint's weights; its digest names the folder. An EmoDC
is a chain of stages, each with a folder of its own, so variants that begin alike (Base, and AMDiT
from Base) share what they have in common.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from datetime import timedelta
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.classifiers.kinds.base import kind_of
from bench.data.base import DataSet
from bench.data.images import UnreadablePicture
from bench.store.checkpoints import Card
from bench.store.leases import POLL, Leases
from bench.util import runtime
from bench.util.errors import UserError
from bench.util.files import digest
from bench.util.progress import Relay, Reporter, shown

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from bench.config import Config
    from bench.training.loop import Training


#: Raise when training gives other weights for the same config.
RECIPE_VERSION = 2


def recipes(config: "Config", dataset: DataSet) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """For each (classifier, training seed): the recipe of each of its checkpoints, in order.

    Raises:
        UserError: If a classifier is to be trained on a data set of test pictures alone.
    """
    common = {
        "version": RECIPE_VERSION,
        "data": dataset.training_digest,
        "classes": list(dataset.classes),
        "precision": resolved_precision(config),
    }
    chains: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for name, spec in config.classifiers.items():
        for seed in config.seeds:
            if chain := spec.recipes(common | {"seed": seed}):
                chains[name, seed] = chain
    if chains and not dataset.samples("train"):
        names = ", ".join(dict.fromkeys(name for name, _ in chains))
        raise UserError(
            f"{dataset.name} has no train pictures, and these classifiers are to be trained: "
            f"{names}. Measure those that are trained already, such as --model checkpoint:FOLDER "
            "or hf:FOLDER, or train on another data set (`data: {kind: cross, ...}`)."
        )
    return chains


def resolved_precision(config: "Config") -> str:
    """What networks compute in on the device of a run: "float32" or "bfloat16"."""
    from emodc.diffusion.measuring import resolve_precision

    dtype = resolve_precision(config.precision, runtime.pick_device(config.execution.device))
    return str(dtype).removeprefix("torch.")


def checkpoint_folder(out: Path, recipe: dict[str, Any]) -> Path:
    """Where the checkpoint of a recipe is, or will be."""
    stem = kind_of(recipe).stem(recipe)
    return out / "checkpoints" / f"{stem}-{digest(recipe)}"


def train_missing(
    config: "Config",
    dataset: DataSet,
    out: Path,
    reporter: Reporter,
    distance: Callable[[int], int] = lambda place: 0,
    elsewhere: "TrainsAtOnce | None" = None,
) -> dict[tuple[str, int], Path]:
    """Train every (classifier, training seed) of `config` that has no checkpoint yet.

    Long trainings that do not need each other go on at once.
    Under `accelerate launch` the processes work together, as the kind of the classifier says. What
    another run at the same folder trains is waited for.

    Args:
        config: The run.
        dataset: Its data.
        out: Folder of the run.
        reporter: Shows progress.
        distance: How late this run comes to the training of a number; the least are the first.
        elsewhere: Has them trained, instead of this process and others on this machine.

    Returns:
        The checkpoint folder of each.

    Raises:
        UserError: If an existing checkpoint is damaged.
    """
    from accelerate.utils import broadcast_object_list

    from bench.training.loop import Loop, TrainingData, TrainingJob

    accelerator, device = _processes(runtime.pick_device(config.execution.device))
    data = TrainingData(dataset)
    loop = Loop(accelerator, device, reporter, config.execution.save_every)
    chains = recipes(config, dataset)
    # All processes look before any of them writes, and so go through the same list.
    jobs = untrained(config, out, chains)
    accelerator.wait_for_everyone()
    places = {job.folder: place for place, job in enumerate(jobs)}
    order = longest_first(config, jobs)
    order.sort(key=lambda job: distance(places[job.folder]))
    claimed = Claimed(order, out, reporter)
    processes = concurrent_trainings(config, dataset, chains)
    if (processes > 1 or elsewhere) and accelerator.num_processes == 1 and jobs:
        for sample in (*dataset.samples("train")[:1], *dataset.samples("val")[:1]):
            with contextlib.suppress(UnreadablePicture):  # the training names it
                dataset.picture(sample)  # drawn faces are drawn once for all
        threads = training_threads(device.type, processes)
        at_once = elsewhere or partial(train_at_once, processes=processes)
        at_once(claimed, threads, config, dataset, out, reporter)
        jobs = []
    while jobs:
        [job] = broadcast_object_list([claimed.next() if accelerator.is_main_process else None])
        if job is None:
            break
        with claimed.held(job):
            config.classifiers[job.classifier].train(
                TrainingJob(job, out, data, loop, config.execution.trackers)
            )
    return {key: checkpoint_folder(out, chain[-1]) for key, chain in chains.items()}


def untrained(
    config: "Config", out: Path, chains: dict[tuple[str, int], list[dict[str, Any]]]
) -> "list[Training]":
    """What has no checkpoint yet, each behind the one that it starts from.

    Args:
        config: The run.
        out: Its folder.
        chains: As of `recipes`. A stage that several classifiers share is trained once.

    Raises:
        UserError: If an existing checkpoint is damaged.
    """
    from bench.training.loop import Training

    there = {
        folder
        for chain in chains.values()
        for folder in (checkpoint_folder(out, recipe) for recipe in chain)
        if folder.exists()
    }
    jobs: dict[Path, Training] = {}
    for (name, seed), chain in chains.items():
        label = name if len(config.seeds) == 1 else f"{name} seed {seed}"
        after: Path | None = None
        for number, recipe in enumerate(chain):
            folder = checkpoint_folder(out, recipe)
            if folder in there:
                Card.verified(folder, recipe)
            elif folder not in jobs:
                jobs[folder] = Training(label, name, recipe, number, folder, after)
            after = folder
    return list(jobs.values())


def longest_first(config: "Config", jobs: "Sequence[Training]") -> "list[Training]":
    """Trainings by what they and those that wait for them take, the longest chain first.

    Else the longest one begins when all others end, and the other cores wait for it.

    Args:
        config: The run.
        jobs: Each behind the one that it starts from.
    """
    ahead: dict[Path, float] = {}  # from the beginning of a training to the end of its chain
    waiting: dict[Path, float] = {}
    for job in reversed(jobs):
        own = config.classifiers[job.classifier].training_seconds(job.recipe)
        ahead[job.folder] = own + waiting.get(job.folder, 0.0)
        if job.after is not None:
            waiting[job.after] = max(waiting.get(job.after, 0.0), ahead[job.folder])
    return sorted(jobs, key=lambda job: -ahead[job.folder])


def concurrent_trainings(
    config: "Config", dataset: DataSet, chains: dict[tuple[str, int], list[dict[str, Any]]]
) -> int:
    """How many trainings of a run go on at the same time; `chains` as of `recipes`."""
    steps = {
        digest(recipe): kind_of(recipe).training_steps(recipe)
        * config.classifiers[name].train_step_seconds
        for (name, _), chain in chains.items()
        for recipe in chain
    }
    ends = {digest(chain[-1]) for chain in chains.values()}
    return process_count(config, dataset, len(ends), sum(steps.values()))


def _processes(device: "torch.device") -> "tuple[Accelerator, torch.device]":
    """The processes that train together, and where this one computes."""
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs

    if device.index is not None:
        torch.cuda.set_device(device)  # accelerate asks torch which GPU is the current one
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=12))  # while the main one works alone
    accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[patience])
    return accelerator, accelerator.device if accelerator.num_processes > 1 else device


# ------------------------------------------------------------------------------------------------
# Independent trainings at the same time: one per core, or one per GPU.
#
# A small network leaves most of a second core idle, so two trainings with a thread each end long
# before one after the other with two threads each. A stage waits for the stage that it starts from.
#
# How many threads a training has depends on the config and the machine alone, not on what is left
# to train: a run that was killed ends with the weights of one that was not.


#: Trainings that take less than this, in seconds on one core, are not worth starting processes for.
WORTHWHILE = 120.0

#: How long an interrupted training may take to save what it has, in seconds.
PATIENCE = 30.0


def process_count(config: "Config", dataset: DataSet, chains: int, seconds: float) -> int:
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
    sides = (
        getattr(spec, "image_size", None) or INPUT_SIZE for spec in config.classifiers.values()
    )
    pictures = len(dataset.samples("train")) * 3 * max(sides) ** 2
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(places, asked or places, chains, memory // 2 // (2 * pictures + 10**9)))


def training_threads(device: str, processes: int) -> int | None:
    """How many threads each training has, wherever it is computed; None: it does not matter.

    Args:
        device: "cpu" or "cuda".
        processes: As of `process_count`; one has all threads.
    """
    import torch

    if device != "cpu":
        return None
    return torch.get_num_threads() if processes == 1 else max(1, (os.cpu_count() or 1) // processes)


class Claimed:
    """Trainings still to be done, by this run or by others at the same folder.

    Args:
        jobs: All of them; what starts from another one of them stands behind it, or may wait.
        out: Folder of the run.
        reporter: Says whom is waited for.
    """

    def __init__(self, jobs: "Sequence[Training]", out: Path, reporter: Reporter) -> None:
        self.left, self._leases, self._reporter = list(jobs), Leases(out), reporter
        self._told: set[str] = set()

    def take(self) -> "Training | None":
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

    def next(self) -> "Training | None":
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

    def release(self, job: "Training") -> None:
        """Let others have a training that ended, however it did."""
        self._leases.release(job.folder.name)

    def release_all(self) -> None:
        """The same of all that this run holds, also if it was interrupted while it took one."""
        self._leases.release_all()

    def again(self, job: "Training") -> None:
        """Put back a training that has lost its process: it is the next one."""
        self.release(job)
        self.left.insert(0, job)

    @contextlib.contextmanager
    def held(self, job: "Training") -> Iterator[None]:
        """Release a training after the block."""
        try:
            yield
        finally:
            self.release(job)


TrainsAtOnce = Callable[[Claimed, int | None, "Config", DataSet, Path, Reporter], None]
"""Trains all that is left; see `train_at_once`."""


def train_at_once(
    claimed: Claimed,
    threads: int | None,
    config: "Config",
    dataset: DataSet,
    out: Path,
    reporter: Reporter,
    *,
    processes: int,
) -> None:
    """Train all that is left; those that start from another one of them come after it.

    Args:
        claimed: What that is.
        threads: Of each training, as of `training_threads`.
        config: The run.
        dataset: Its data.
        out: Its folder.
        reporter: Shows progress.
        processes: Trainings at the same time.

    Raises:
        UserError: If a training fails, or its process dies. What the others have is saved.
    """
    device = runtime.pick_device(config.execution.device).type
    places: Queue[str] = runtime.PROCESSES.Queue()
    for place in _devices(device)[:processes]:
        places.put(place)
    news: Queue[Any] = runtime.PROCESSES.Queue()
    died = (
        "a training's process died (out of memory?). What was saved is there; run the same "
        "command again, with fewer `execution.workers` if it happens again."
    )
    arguments = (places, news, threads, config, dataset, out)
    running: dict[Future[None], Training] = {}
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
                wait(running, timeout=PATIENCE)
            claimed.release_all()
            for queue in (places, news):
                queue.close()


def _interrupt(pool: ProcessPoolExecutor) -> None:
    """Let trainings save what they have, and stop."""
    for child in list((pool._processes or {}).values()):
        if child.is_alive() and child.pid is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(child.pid, signal.SIGINT)


def _devices(kind: str) -> list[str]:
    """Where trainings can be: the GPUs, or as often the CPU as it has cores."""
    if kind == "cuda":
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [kind] * (os.cpu_count() or 1)


def trainer(
    place: str,
    reporter: Reporter,
    threads: int | None,
    config: "Config",
    dataset: DataSet,
    out: Path,
) -> "Callable[[Training], None]":
    """What trains, in a process of its own.

    Args:
        place: The device.
        reporter: Is told of progress.
        threads: As of `training_threads`.
        config: The run.
        dataset: Its data.
        out: Its folder.
    """
    import torch
    from accelerate import Accelerator

    from bench.training.loop import Loop, TrainingData, TrainingJob

    runtime.keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    device = torch.device(place)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    accelerator = Accelerator(cpu=device.type == "cpu")
    loop = Loop(accelerator, device, reporter, config.execution.save_every)
    data = TrainingData(dataset)

    def train(job: "Training") -> None:
        config.classifiers[job.classifier].train(
            TrainingJob(job, out, data, loop, config.execution.trackers)
        )

    return train


_run_one: Any = None


def _start(
    places: "Queue[str]",
    news: "Queue[Any]",
    threads: int | None,
    config: "Config",
    dataset: DataSet,
    out: Path,
) -> None:
    global _run_one
    _run_one = trainer(places.get(), Relay(news), threads, config, dataset, out)


def _run(job: "Training") -> None:
    _run_one(job)
