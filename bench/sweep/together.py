"""Several runs at one output folder: they share the work, shard by shard.

    bench run robustness --out OUT                  # on one machine
    bench run robustness --out OUT                  # on another, at the same time: it joins in
    bench run robustness --out OUT --worker 3/8     # the fourth of eight, of any batch system

Whoever computes a shard has its lease (`bench.store.leases`) and others pass it over. A run ends
when all its shards are stored, whoever measured them; a worker of several ends when nobody needs
its help, and leaves what others are at to them.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.store.leases import POLL, Leases
from bench.store.store import Store
from bench.sweep.plan import PlannedCell, Shard, shards_of
from bench.util.errors import UserError
from bench.util.progress import Reporter

#: Failed shards that a run lists; the folder has all of them.
_LISTED = 20

Execute = Callable[[Sequence[Shard], tuple[Any, ...], int], Iterator[Shard]]
"""An executor; see `bench.sweep.worker.execute`."""


@dataclass(frozen=True)
class WorkPart:
    """Worker `number` of `count`, numbered from 0, which begins with its own part of the work."""

    number: int
    count: int

    @classmethod
    def parsed(cls, text: str) -> "WorkPart":
        """Of "3/8".

        Raises:
            UserError: If it is no such thing.
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            last = f"0/{count} to {int(count) - 1}/{count}" if count.isdecimal() else "0/8 to 7/8"
            raise UserError(f"--worker {text}: write I/N with I from 0 to N - 1, such as {last}.")
        return cls(int(number), int(count))

    def distance(self, place: int) -> int:
        """How late it comes to what stands at `place` of the plan; 0 is its own part."""
        return (place - self.number) % self.count


@dataclass
class Left:
    """What a run leaves undone.

    Attributes:
        held: Who computes what is left.
        shards: How much that is.
        failed: Why shards have no rows, one sentence each.
    """

    held: set[str] = field(default_factory=set)
    shards: int = 0
    failed: list[str] = field(default_factory=list)

    def tell(self) -> None:
        """Say so.

        Raises:
            UserError: If anything is left; with exit code 3 if it failed, else 0.
        """
        if self.failed:
            few = "\n".join(f"  {line}" for line in self.failed[:_LISTED])
            more = len(self.failed) - _LISTED
            rest = f"\n  and {more} more" if more > 0 else ""
            raise UserError(
                f"{len(self.failed)} shards could not be computed; all others are stored:\n{few}"
                f"{rest}\nOUT/failed has their tracebacks. --retry-failed tries them again.",
                3,
            )
        if self.shards:
            raise UserError(
                f"{self.shards} shards are left, which {', '.join(sorted(self.held))} computes. "
                "The worker that ends last reports; so does the same command without --worker.",
                0,
            )


class Together:
    """This run among those at one output folder.

    Args:
        out: The folder.
        reporter: Says what is waited for.
        part: Of the work that it begins with; None: it ends when all of it is done.
        records: Whether a shard that cannot be computed is recorded, and the run goes on.

    Attributes:
        leases: Those of the folder.
        left: What is not done when the run ends.
        planned: Ids of the cells of this run.
    """

    def __init__(
        self,
        out: Path,
        reporter: Reporter,
        part: WorkPart | None = None,
        records: bool = False,
    ) -> None:
        self.leases, self.reporter, self.part = Leases(out), reporter, part
        self.records = records
        self.left = Left()
        self.planned: set[str] = set()

    @contextlib.contextmanager
    def present(self) -> Iterator[None]:
        """Let other runs see this one while the block runs."""
        others = self.others()
        if others:
            where = self.leases.folder.parent
            self.reporter.say(f"joining in at {where}: at work there is {', '.join(others)}")
        try:
            with self.leases.held(f"run-{self.leases.token}"):
                yield
        finally:
            self.leases.tidy()

    def others(self) -> list[str]:
        """Other runs at the folder, in words."""
        return self.leases.others("run-")

    def distance(self, place: int) -> int:
        """How late this run comes to what stands at `place` of a plan."""
        return 0 if self.part is None else self.part.distance(place)

    def tell_plans(self, store: Store) -> None:
        """Say where the plan of the folder, which reports show, is not that of this run."""
        shown = {cell.id for cell in store.planned()}
        where, replaced = self.leases.folder.parent, len(self.planned - shown)
        if shown - self.planned:
            count = len(shown - self.planned)
            self.reporter.say(f"{count} cells of other runs at {where} are in its report, too")
        if replaced:
            self.reporter.say(
                f"{replaced} cells of this run are not in the report of {where}: another run there "
                "has planned them with other settings. To see these, run this command again, "
                "which measures nothing twice, or take an --out for each config."
            )

    def ordered(
        self, plan: Sequence[PlannedCell], count: int, todo: Sequence[Shard]
    ) -> list[Shard]:
        """What is to be done, the own part first, then that of the next worker, and so on.

        Args:
            plan: All cells of the run, done or not: all workers count their shards alike.
            count: Shards of a cell.
            todo: Those that are to be done.
        """
        if self.part is None:
            return list(todo)
        first, place = {}, 0  # where the shards of each cell begin
        for planned in plan:
            first[planned.cell.id] = place
            place += len(shards_of(planned, count))
        return sorted(todo, key=lambda s: self.distance(first[s.planned.cell.id] + s.number))

    def stored(
        self,
        todo: Sequence[Shard],
        execute: Execute,
        arguments: tuple[Any, ...],
        workers: int,
        store: Store,
        needed: bool = True,
    ) -> Iterator[Shard]:
        """Compute shards, or wait for whoever does; yield each as its rows are stored.

        Args:
            todo: The shards.
            execute: The executor.
            arguments: What a `bench.sweep.worker.Worker` is made of.
            workers: How many to start.
            store: Where rows are.
            needed: Whether even a worker of several waits for all: more work rests on them.
        """
        left, told = {shard.name: shard for shard in todo}, set[str]()
        self._without_failed(left, store)  # those of an earlier run, or of another one
        while left:
            alone = not self.others()
            free = [s for s in left.values() if alone or self.leases.holder(s.name) is None]
            for shard in execute(free, arguments, workers) if free else ():
                if self._settled(shard, store):
                    del left[shard.name]
                    yield shard
            self._without_failed(left, store)
            for shard in [shard for shard in left.values() if self._settled(shard, store)]:
                del left[shard.name]
                yield shard
            holders = {name: self.leases.holder(name) for name in left}
            if not left or None in holders.values():
                continue
            busy = {str(holder) for holder in holders.values()}
            if self.part is not None and not needed:
                self.left.held |= busy
                self.left.shards += len(left)
                return
            if busy - told:
                told |= busy
                self.reporter.say(f"waiting for {len(left)} shards of {', '.join(sorted(busy))}")
            time.sleep(POLL)

    def _without_failed(self, left: dict[str, Shard], store: Store) -> None:
        """Take out what could not be computed, and remember why."""
        known = store.failed() if self.records else ()
        for name, shard in [(name, left[name]) for name in known if name in left]:
            cell = shard.planned.cell
            reason = store.failure(cell, shard.number, shard.count)
            if reason is not None and not self._settled(shard, store):
                del left[name]
                self.left.failed.append(
                    f"{cell.classifier}, {cell.condition} {cell.severity}, shard {shard.number} "
                    f"of {shard.count}: {reason}"
                )

    def _settled(self, shard: Shard, store: Store) -> bool:
        return store.has(shard.planned.cell, shard.number, shard.count)
