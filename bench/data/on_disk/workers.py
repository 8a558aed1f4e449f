"""Long lists of pictures, worked through by processes, with results in the list's order."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from bench import runtime
from bench.errors import UserError

_FEW = 3000  # pictures that this process reads faster than others would start
_AHEAD = 3  # chunks per process that wait, or whose results do

_Chunk = TypeVar("_Chunk")
_Result = TypeVar("_Result")


def available() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def for_pictures(count: int, processes: int | None) -> int:
    """How many processes read `count` pictures: those asked for, or as many as it is worth."""
    if processes is not None:
        return processes
    return available() if count > _FEW else 1


def in_order(
    function: Callable[[_Chunk], _Result], chunks: Sequence[_Chunk], processes: int
) -> Generator[_Result, None, None]:
    """`function` of each chunk; with `processes` of 1 in this process.

    Only a few chunks are handed out ahead of what was taken, so that results never pile up.

    Raises:
        UserError: If a process dies.
    """
    if processes == 1:
        yield from map(function, chunks)
        return
    pool = ProcessPoolExecutor(
        max_workers=min(processes, len(chunks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
    )
    try:
        rest = iter(chunks)
        waiting: deque[Future[_Result]] = deque()
        for chunk in islice(rest, _AHEAD * processes):
            waiting.append(pool.submit(function, chunk))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, chunk) for chunk in islice(rest, 1))
    except BrokenProcessPool as error:
        raise UserError(
            "A process that reads pictures was ended from outside; the usual cause is a lack of "
            "memory for very large pictures. What was finished is kept; the same command goes on.",
            exit_code=1,
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """An interruption is for the process that asked for the work, which then ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runtime.die_with_parent()
