"""Which shards share their corrupted pictures, in which order they are computed, and until when."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.data.base import DataSet
from bench.files import digest
from bench.sweep.corrupted import bytes_of
from bench.sweep.plan import Shard, SharedFile

FOLDER = ".corrupted"

#: Of the budget; the rest is for shards that other workers have not finished when a block ends.
_BLOCK = 0.75


class Sharing:
    """The shared files of one sweep.

    A file is named by all that determines its pixels, so a run that was killed goes on with what it
    left behind. It is removed when the last shard that reads it is stored. Shards come in blocks
    whose files fit on the disk together, each block with all its classifiers.

    Args:
        out: Folder of the store.
        todo: The shards to be computed.
        dataset: Their data.
        budget: Bytes that the files may take together; 0: there are none.
    """

    def __init__(self, out: Path, todo: Sequence[Shard], dataset: DataSet, budget: int) -> None:
        self.folder = out / FOLDER
        names = [_name(shard) if budget else None for shard in todo]
        uses = Counter(name for name in names if name is not None)
        self._left = {
            name: count
            for name, count in uses.items()
            if count > 1 or (self.folder / name).exists()
        }
        shared = [name if name in self._left else None for name in names]
        self.todo = _in_blocks(_with_files(todo, shared, dataset), budget * _BLOCK)
        self._clear()

    def done(self, shard: Shard) -> None:
        """Remove the shard's file if no other shard will read it."""
        if shard.file is not None:
            self._left[shard.file.name] -= 1
            if not self._left[shard.file.name]:
                (self.folder / shard.file.name).unlink(missing_ok=True)

    def end(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clear(self) -> None:
        """Remove what an earlier run left and this one does not read."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.name not in self._left:
                    path.unlink(missing_ok=True)


def _name(shard: Shard) -> str | None:
    """A digest of what determines the corrupted pictures; None for other families."""
    cell, inputs = shard.planned.cell, shard.planned.inputs
    if cell.family not in ("corruption", "level"):
        return None
    what = [inputs[field] for field in ("data", "perturbation", "seed")]
    return digest([cell.dataset, *what, list(shard.sample_ids)])


def _with_files(
    todo: Sequence[Shard], names: Sequence[str | None], dataset: DataSet
) -> list[Shard]:
    if not any(names):
        return list(todo)
    sizes = {sample.id: bytes_of(*dataset.size(sample)) for sample in dataset.samples("test")}
    return [
        shard
        if name is None
        else replace(shard, file=SharedFile(name, sum(map(sizes.__getitem__, shard.sample_ids))))
        for shard, name in zip(todo, names, strict=True)
    ]


def _in_blocks(todo: Sequence[Shard], size: float) -> list[Shard]:
    """Ordered so that the files needed at a time fit; as they were where all fit together."""
    block: dict[str, int] = {}
    number, taken = 0, 0
    for file in dict.fromkeys(shard.file for shard in todo):
        if file is None:
            continue
        if taken and taken + file.size > size:
            number, taken = number + 1, 0
        block[file.name] = number
        taken += file.size
    return sorted(todo, key=lambda s: 0 if s.file is None else block[s.file.name])
