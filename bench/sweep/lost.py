"""Samples whose pictures could be read when a run began and could not when they were measured.

They have no rows. The run goes on, tells of them and lists them with the files that were skipped
from the beginning; the same command measures them again, should their files be back.
"""

from pathlib import Path

from bench.data.base import DataSet, Skipped
from bench.data.reading.images import UnreadablePicture
from bench.errors import UserError
from bench.files import write_json
from bench.perturb.sequences import of_frame
from bench.progress import Reporter
from bench.store import Store
from bench.sweep.plan import PlannedCell, shards_of


class Lost:
    """Those of one run, cell by cell.

    Args:
        dataset: Its data.
        store: Where its rows are.
        shards: How many parts a cell has.
        reporter: Says what happens.
    """

    def __init__(self, dataset: DataSet, store: Store, shards: int, reporter: Reporter) -> None:
        self.dataset, self.store, self.shards, self.reporter = dataset, store, shards, reporter
        self.found: dict[str, Skipped] = {}

    def of(self, planned: PlannedCell) -> list[str]:
        """Ids of the samples that a cell has no rows of, once all its shards are stored.

        Raises:
            UserError: If they are more than half: the disk is gone and not some files.
        """
        measured: set[str] = set()
        for shard in shards_of(planned, self.shards):
            rows = self.store.part(planned.cell, shard.number)
            measured |= set() if rows is None else set(rows["sample_id"])
        lost = [name for name in planned.sample_ids if name not in measured]
        new = [name for name in lost if name not in self.found]
        for name in new:
            self.found[name] = Skipped(name, self._reason(name))
            self.reporter.say(f"not measured: {name}: {self.found[name].reason}")
        if new:
            write_json(_listing(self.store), [vars(one) for one in self.all])
        if len(lost) > len(planned.sample_ids) // 2:
            raise UserError(
                f"{len(lost)} of {len(planned.sample_ids)} pictures can no longer be read, such as "
                f"{lost[0]}: {self.found[lost[0]].reason}. Is the disk still there? The same "
                "command continues.",
                1,
            )
        return lost

    @property
    def all(self) -> list[Skipped]:
        """What was skipped from the beginning, and since."""
        return [*self.dataset.skipped, *self.found.values()]

    def _reason(self, name: str) -> str:
        splits = self.dataset.samples("val"), self.dataset.samples("test")
        known = {one.id: one for split in splits for one in split}
        sample = known[name if name in known else of_frame(name)[0]]
        try:
            self.dataset.picture(sample)
        except UnreadablePicture as error:
            return str(error)
        return "it could not be read for a while"


def _listing(store: Store) -> Path:
    return store.root / "skipped.json"
