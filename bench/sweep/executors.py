"""Where shards run. Correctness lives in the store, so an executor only has to call the worker."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from bench.sweep.plan import Shard
from bench.sweep.worker import Worker
from bench.util import runtime
from bench.util.errors import UserError

_worker: Worker | None = None


def execute(
    shards: Sequence[Shard], worker_arguments: tuple[Any, ...], workers: int
) -> Iterator[Shard]:
    """Run all shards; yield each one as its rows are safely stored.

    Args:
        shards: The work. Shards of one classifier should stand together, so that it stays open.
        worker_arguments: What `Worker` is made of.
        workers: 1 runs in this process, more start that many processes.

    Raises:
        UserError: If a worker process dies.
    """
    if workers == 1 or len(shards) == 1:
        worker = Worker(*worker_arguments)
        for shard in shards:
            worker.run(shard)
            yield shard
        return
    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(shards)),
        mp_context=runtime.SPAWN,
        initializer=_start,
        initargs=(os.getpid(), *worker_arguments),
    )
    try:
        running = {pool.submit(_run, shard): shard for shard in shards}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                yield running.pop(future)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died (out of memory?). What it had finished is stored; run the same "
            "command again, with fewer `execution.workers` if it happens again.",
            1,
        ) from error
    finally:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:  # after an error, do not wait for shards in flight
            process.terminate()


def worker_count(requested: int | None, device: str) -> int:
    """Processes to start: as asked, else one per core on a CPU and a single one on a GPU."""
    if requested is not None:
        return requested
    return 1 if device != "cpu" else os.cpu_count() or 1


def _start(parent: int, *worker_arguments: Any) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    runtime.die_with_parent(parent)
    _worker = Worker(*worker_arguments)


def _run(shard: Shard) -> int:
    assert _worker is not None
    return _worker.run(shard)
