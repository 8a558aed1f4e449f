"""Progress of long work: a bar with an estimate on a terminal, plain lines elsewhere."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from typing_extensions import override

from bench.util.errors import printable

#: Seconds between two lines of one task when the output is not a terminal.
LINE_EVERY = 15.0

#: Share of a task that has to be done before the time left is told.
_LEAST_SHARE = 0.02

#: Seconds between two messages about a task of another process.
_RELAY_EVERY = 0.5


class Task:
    """One piece of long work with a known total."""

    def __init__(
        self, reporter: "Reporter", label: str, total: int, done: int, work: float = 0.0
    ) -> None:
        self._work, self._worked = work, 0.0
        self._reporter, self._label, self._total, self._done = reporter, label, total, done
        self._at_start, self._start = done, time.monotonic()
        self._last_line = self._start
        self._bar: TaskID | None = None
        if reporter.bars is not None:
            self._bar = reporter.bars.add_task(
                printable(label), total=total, completed=done, note="", left=""
            )

    def advance(self, count: int = 1, note: str = "", work: float = 0.0) -> None:
        """Report `count` more units done, of the expected `work`; `note` is shown beside them."""
        self._done += count
        self._worked += work
        now = time.monotonic()
        if self._reporter.bars is not None and self._bar is not None:
            left = self._left(now)
            self._reporter.bars.update(
                self._bar,
                advance=count,
                note=printable(note),
                left="" if left is None else duration(left),
            )
        if now - self._last_line >= LINE_EVERY or self._done >= self._total:
            self._last_line = now
            tell = self._reporter.say if self._bar is None else self._reporter.note_down
            tell(f"{self._label}: {self._done}/{self._total}{self._eta(now)}  {note}")

    def _eta(self, now: float) -> str:
        if self._done >= self._total:
            return f" in {duration(now - self._start)}"
        left = self._left(now)
        return "" if left is None else f", about {duration(left)} left"

    def _left(self, now: float) -> float | None:
        """Seconds until the end, from the work done so far; None if that says nothing.

        Before the first of it is done, most of the time goes to the start of processes.
        """
        finished, left = float(self._done - self._at_start), float(self._total - self._done)
        if self._work > 0:
            finished, left = self._worked, self._work - self._worked
        if finished < _LEAST_SHARE * (finished + left) or self._done >= self._total:
            return None
        return (now - self._start) / finished * max(left, 0.0)


class RelayedTask(Task):
    """A task of another process: every half a second it sends how far it is."""

    def __init__(self, send: Callable[[Any], None], number: int) -> None:
        self._send, self._number, self._count = send, number, 0
        self._last_line = 0.0

    def advance(self, count: int = 1, note: str = "", work: float = 0.0) -> None:
        """Report `count` more units done."""
        self._count += count
        self.note, now = note, time.monotonic()
        if now - self._last_line >= _RELAY_EVERY:
            self._last_line = now
            self.flush()

    def flush(self) -> None:
        """Send what was not sent yet."""
        if self._count:
            self._send(("advance", os.getpid(), self._number, self._count, self.note))
            self._count = 0


class Reporter:
    """Tells a person how the work goes, on stderr, so that stdout stays clean for results.

    Args:
        quiet: Say nothing: another process of the same work speaks.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, quiet=quiet)
        self.bars: Progress | None = None
        self._log: IO[str] | None = None

    def say(self, line: str) -> None:
        """One line of news."""
        self.console.print(printable(line.rstrip()), soft_wrap=True, markup=False)
        self.note_down(line)

    def note_down(self, line: str) -> None:
        """One line for the log alone, if there is one; a full disk ends no work."""
        if self._log is not None:
            with contextlib.suppress(OSError):
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                self._log.write(f"{now} {printable(line.rstrip())}\n")
                self._log.flush()

    @contextlib.contextmanager
    def logged(self, path: Path, beginning: str) -> Iterator[None]:
        """Append what is said within the block to a file, whatever the terminal shows.

        Args:
            path: The file; other processes may append to it, too.
            beginning: Its first line.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as self._log:
            self.note_down(beginning)
            try:
                yield
            except BaseException as error:
                self.note_down(f"ended by {type(error).__name__}: {error}")
                raise
            else:
                self.note_down("finished")
            finally:
                self._log = None

    @contextlib.contextmanager
    def task(self, label: str, total: int, done: int = 0, work: float = 0.0) -> Iterator[Task]:
        """A task's progress, shown while the block runs.

        Args:
            label: What it is.
            total: Units of it.
            done: Those that are done already.
            work: What the others will cost, where units cost unlike amounts; 0: alike.
        """
        with self.several():
            yield Task(self, label, total, done, work)

    @contextlib.contextmanager
    def several(self) -> Iterator[None]:
        """Show the tasks that run at the same time within the block together."""
        if not self.console.is_terminal or self.bars is not None:
            yield
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.console) as self.bars:
            try:
                yield
            finally:
                self.bars.stop()
                self.bars = None


class Relay(Reporter):
    """Sends what a process has to tell to the one that shows it, which calls `shown`.

    Args:
        news: The way there.
    """

    def __init__(self, news: "Queue[Any]") -> None:
        super().__init__(quiet=True)
        self._news, self._tasks = news, 0

    @override
    def say(self, line: str) -> None:
        self._news.put(("say", line))

    @override
    @contextlib.contextmanager
    def task(self, label: str, total: int, done: int = 0, work: float = 0.0) -> Iterator[Task]:
        self._tasks += 1
        number = self._tasks
        self._news.put(("begin", os.getpid(), number, label, total, done))
        task = RelayedTask(self._news.put, number)
        try:
            yield task
        finally:
            task.flush()
            self._news.put(("end", os.getpid(), number))


@contextlib.contextmanager
def shown(reporter: Reporter, news: "Queue[Any]") -> Iterator[None]:
    """Show what the `Relay`s of other processes send, while the block runs."""

    def show() -> None:
        with contextlib.ExitStack() as everything:
            everything.enter_context(reporter.several())
            open_tasks: dict[tuple[int, int], tuple[contextlib.ExitStack, Task]] = {}
            while (item := news.get()) is not None:
                what, *rest = item
                if what == "say":
                    reporter.say(rest[0])
                    continue
                key = (rest[0], rest[1])
                if what == "begin":
                    own = everything.enter_context(contextlib.ExitStack())
                    open_tasks[key] = own, own.enter_context(reporter.task(*rest[2:]))
                elif what == "advance" and key in open_tasks:
                    open_tasks[key][1].advance(*rest[2:])
                elif what == "end" and key in open_tasks:
                    open_tasks.pop(key)[0].close()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        news.put(None)
        thread.join()


def duration(seconds: float) -> str:
    """Seconds in words: "8 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
