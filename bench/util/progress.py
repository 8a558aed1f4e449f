"""Progress of long work: a bar with an estimate on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

#: Seconds between two lines of one task when the output is not a terminal.
LINE_EVERY = 15.0


class Task:
    """One piece of long work with a known total."""

    def __init__(self, reporter: "Reporter", label: str, total: int, done: int) -> None:
        self._reporter, self._label, self._total, self._done = reporter, label, total, done
        self._at_start, self._start = done, time.monotonic()
        self._last_line = self._start
        self._bar: TaskID | None = None
        if reporter.bars is not None:
            self._bar = reporter.bars.add_task(label, total=total, completed=done, note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        """Report `count` more units done; `note` is shown beside them."""
        self._done += count
        if self._reporter.bars is not None and self._bar is not None:
            self._reporter.bars.update(self._bar, advance=count, note=note)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY or self._done >= self._total:
            self._last_line = now
            self._reporter.say(f"{self._label}: {self._done}/{self._total}{self._eta(now)}  {note}")

    def _eta(self, now: float) -> str:
        finished = self._done - self._at_start
        if finished <= 0 or self._done >= self._total:
            return f" in {duration(now - self._start)}"
        left = (now - self._start) / finished * (self._total - self._done)
        return f", about {duration(left)} left"


class Reporter:
    """Tells a person how the work goes, on stderr, so that stdout stays clean for results.

    Args:
        quiet: Say nothing: another process of the same work speaks.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, quiet=quiet)
        self.bars: Progress | None = None

    def say(self, line: str) -> None:
        """One line of news."""
        self.console.print(line.rstrip(), soft_wrap=True, markup=False)

    @contextlib.contextmanager
    def task(self, label: str, total: int, done: int = 0) -> Iterator[Task]:
        """A task's progress, shown while the block runs."""
        if not self.console.is_terminal:
            yield Task(self, label, total, done)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console) as self.bars:
            try:
                yield Task(self, label, total, done)
            finally:
                self.bars.stop()
        self.bars = None


def duration(seconds: float) -> str:
    """Seconds in words: "8 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
