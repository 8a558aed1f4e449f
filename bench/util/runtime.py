"""Processes and devices: memory settings, orphaned workers, where to compute."""

import contextlib
import ctypes
import gc
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.util.errors import UserError

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # <malloc.h>


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of giving it back to the kernel at once.

    A network allocates and frees the same large tensors at every step; fetching them anew from
    the kernel each time costs up to ten times the arithmetic on virtual machines. Elsewhere than
    on Linux with glibc this does nothing.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_TOP_PAD, 64 << 20)


def release_freed_memory() -> None:
    """Give back what `keep_freed_memory` kept, between two phases of work."""
    gc.collect()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def die_with_parent() -> None:
    """End this worker process when the process that started it is gone (`kill -9` included)."""
    starter = multiprocessing.parent_process()
    assert starter is not None, "this is no worker"

    def watch() -> None:
        starter.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_ENDING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):
    _ENDING.append(signal.SIGHUP)


@contextlib.contextmanager
def ended_once() -> Iterator[None]:
    """Let the first of Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt; ignore further ones.

    Files are then cleaned up and workers stopped in peace. Afterwards the signals stay ignored: all
    that is left to do is to say so and to exit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is ignored stays ignored, as `nohup` and background jobs want it.
    before = {number: signal.getsignal(number) for number in _ENDING}
    before = {n: h for n, h in before.items() if h not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, _end)
    try:
        yield
    except KeyboardInterrupt:
        for number in before:  # also while the interpreter ends, when handlers are gone
            signal.signal(number, signal.SIG_IGN)
        raise
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _end:
                signal.signal(number, handler)


def _end(*_: object) -> None:
    for number in _ENDING:
        signal.signal(number, _nothing)
    raise KeyboardInterrupt


def _nothing(*_: object) -> None:
    """Takes what came at the same time: Python reports a signal that is ignored when it is due."""


# To import torch and what stands on it takes seconds of a core. On Linux a process that imported
# it, and has done nothing else, is copied for every worker. It listens at a socket in the folder of
# temporary files, whose name may be too long for one.
_LONGEST = 70
_COPIES = sys.platform == "linux" and len(tempfile.gettempdir()) <= _LONGEST
_METHOD = "forkserver" if _COPIES else "spawn"
_Base: Any = type(multiprocessing.get_context(_METHOD))


class _Process(_Base.Process):
    """A started process that does not import the calling script.

    By default it does, and runs a script that has no `if __name__ == "__main__":` again. Workers
    only need modules, which they import by name.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        main = sys.modules["__main__"]
        file, spec = main.__dict__.pop("__file__", None), main.__spec__
        main.__spec__ = None
        try:
            with _alike():
                return _Base.Process._Popen(process_obj)
        finally:
            main.__spec__ = spec
            if file is not None:
                main.__file__ = file


@contextlib.contextmanager
def _alike() -> Iterator[None]:
    """Let a process that is started find the modules that this one finds, and ignore Ctrl-C.

    By itself it looks for them in the working folder first, where another version may lie.
    """
    path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
    given = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in given}
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


class _Context(_Base):
    Process = _Process


#: How all worker processes are started.
PROCESSES = _Context()


def prepare_workers(*modules: str) -> None:
    """Begin to import `modules` for the workers of this process, while it does something else.

    Of several calls the first counts. Workers import what is missing themselves.
    """
    if _METHOD == "forkserver":
        from multiprocessing import forkserver

        PROCESSES.set_forkserver_preload(list(modules))
        with _alike():
            forkserver.ensure_running()


@contextlib.contextmanager
def pool(
    workers: int, died: str, start: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that end with the block, and with this process, whatever ends it.

    Ctrl-C is this process's business: workers ignore it. After an error nobody waits for the work
    in flight.

    Args:
        workers: How many.
        died: The sentence for the case that one is ended from outside.
        start: Called in each, first.
        *arguments: Of `start`.

    Raises:
        UserError: If a worker dies.
    """
    if start is not None:
        prepare_workers(start.__module__)
    made = ProcessPoolExecutor(workers, PROCESSES, _begin, (dict(os.environ), start, arguments))
    try:
        yield made
    except BrokenProcessPool as error:
        raise UserError(died, 1) from error
    finally:
        processes = list((made._processes or {}).values())
        made.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _begin(
    environment: dict[str, str], start: Callable[..., None] | None, arguments: tuple[Any, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    os.environ.clear()
    os.environ.update(environment)  # of now, and not of when the first worker was started
    if start is not None:
        start(*arguments)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: processes are the parallel unit, and sums keep their order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def known_device(name: str) -> str:
    """`name`, if it is that of a device that results are tested on; torch is not asked.

    Raises:
        UserError: For other devices, such as "mps".
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UserError(
            f"There is no device {name!r} for the bench: --device, or execution.device in a "
            "config, is auto, cpu, cuda or cuda:N. On other devices, such as Apple's mps, results "
            "are not tested; take cpu there."
        )
    return name


def pick_device(name: str) -> "torch.device":
    """The device called `name`; "auto" is the GPU if there is one.

    Raises:
        UserError: If there is no such device.
    """
    import torch

    if known_device(name) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device, count = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        found = f"cuda:0 to cuda:{count - 1}" if count else "no CUDA device"
        raise UserError(f"--device {name}: torch finds {found} here; use auto or cpu.")
    return device
