"""Calling the command line in this process, or in one that may be killed, for tests."""

import gc
import os
import runpy
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import ModuleType
from typing import IO, Any, Self

import pytest

from bench.cli import main
from bench.sweep.run import IMPORTED
from bench.util.runtime import PROCESSES, prepare_workers


def call_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """Run `bench ARGUMENTS`: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


def assert_refused(outcome: tuple[int, str], *words: str, code: int = 2) -> None:
    """The call ended with this exit code and a sentence that has these words."""
    exit_code, text = outcome
    assert exit_code == code, text
    assert "Traceback" not in text
    for word in words:
        assert word in text


class Copied:
    """`python ARGUMENTS`, such as `-m bench run`, in a copy of a process that imported the bench.

    It does what `subprocess.Popen` does, without the seconds of a core that the imports take.

    Attributes:
        stdin: Its standard input, text.
        stdout: Its standard output, text.
        stderr: Its standard error, text.
    """

    def __init__(self, *arguments: object, own_session: bool = False) -> None:
        prepare_workers(*IMPORTED, "bench.report.write", "bench.cli")
        given, write = PROCESSES.Pipe(duplex=False)
        (read, told), (errors, complained) = (PROCESSES.Pipe(duplex=False) for _ in range(2))
        ends = given, told, complained
        self._process: Any = PROCESSES.Process(
            target=_become, args=(list(map(str, arguments)), own_session, *ends), daemon=False
        )
        self._process.start()
        for end in ends:
            end.close()
        self.pid: int = self._process.pid
        self.stdin: IO[str] = os.fdopen(os.dup(write.fileno()), "w")
        self.stdout: IO[str] = os.fdopen(os.dup(read.fileno()))
        self.stderr: IO[str] = os.fdopen(os.dup(errors.fileno()))
        for end in (write, read, errors):
            end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.poll() is None:
            self.kill()
        self._close()

    def poll(self) -> int | None:
        """Its exit code, or None."""
        return self._process.exitcode

    @property
    def returncode(self) -> int:
        """Its exit code, waited for."""
        return self.wait()

    def wait(self) -> int:
        """Wait for its end: its exit code, negative after a signal."""
        self._process.join(600)
        assert self._process.exitcode is not None, "ten minutes have passed"
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As `kill -9` does."""
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """What it has said since, on standard output and on standard error."""
        with ThreadPoolExecutor(1) as other:
            errors = other.submit(self.stderr.read)
            told = self.stdout.read(), errors.result()
        self._close()
        return told

    def _close(self) -> None:
        self.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()


def _become(arguments: list[str], own_session: bool, *ends: Connection) -> None:
    """Be the process that `python ARGUMENTS` would be."""
    gc.freeze()  # runs collect garbage; to look through what is imported takes longest
    os.cpu_count = lambda: 1  # as in tests: what asks for no number of processes starts none
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in jobs of a shell
    if own_session:
        os.setsid()
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww", (-1, 1, 1))
    match arguments:
        case ["-c", code, *rest]:
            sys.argv = ["-c", *rest]
            sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(code, "<code>", "exec"), sys.modules["__main__"].__dict__)
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [path, *_]:
            sys.argv = arguments
            runpy.run_path(path, run_name="__main__")
