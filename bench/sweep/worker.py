"""A shard's work, in this process or in others: read pictures, perturb them, ask the classifier.

Correctness lives in the store, so an executor only has to call the worker.

While a sweep lasts, corrupted pictures lie on disk, made once and read by every other classifier:

    OUT/.corrupted/<name>    the pictures of one shard of one corruption at one severity

`sharing` decides which shards have such a file. Every picture has a checksum: a file that is
damaged, or of which a lost machine wrote only a part, costs time and changes no result.
"""

import contextlib
import itertools
import os
import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.classifiers.around import MiddleFrame
from bench.classifiers.base import Classifier, Measurement
from bench.config import Config
from bench.data.base import DataSet, Sample
from bench.data.images import UnreadablePicture
from bench.perturb.attacks.base import packed_change
from bench.perturb.base import Address, Batch, Perturbation
from bench.store.cells import Cell
from bench.store.leases import Leases
from bench.store.store import ATTACK_SCHEMA, ROW_SCHEMA, Store
from bench.store.traces import OtherPrompts, Traces
from bench.sweep.plan import PlannedCell, Rules, Shard, SharedFile, source_seed
from bench.util import runtime
from bench.util.files import digest, scratch_name

Pictures = list[np.ndarray | None]
"""uint8 (H, W, 3) each, or clips (T, H, W, 3); None where one could not be read."""

_RECORD = struct.Struct("<IIII")  # frames, height, width, CRC-32 of the pixels that follow


def bytes_of(height: int, width: int, frames: int = 1) -> int:
    """What a picture, or a clip, takes in a file."""
    return _RECORD.size + frames * height * width * 3


@contextlib.contextmanager
def corrupted(folder: Path, file: SharedFile | None, budget: int) -> Iterator["Reader | Writer"]:
    """Read a shard's pictures from its file, or write them there as they are generated.

    Args:
        folder: Of all such files.
        file: The shard's; None if nobody else asks for these pictures.
        budget: Bytes that all files may take together. What does not fit is not kept.
    """
    handle = None if file is None else _opened(folder / file.name)
    if handle is not None:
        with handle:
            yield Reader(handle)
        return
    fits = file is not None and _taken(folder) + file.size <= budget
    writer = Writer(folder / file.name if file is not None and fits else None)
    try:
        if file is not None:
            writer.reserve(file.size)
        yield writer
        writer.keep()
    finally:
        writer.drop()


class Reader:
    """Pictures of a file, in the order in which they were written."""

    def __init__(self, handle: BufferedReader) -> None:
        self._handle, self._sound = handle, True
        self._size = os.fstat(handle.fileno()).st_size

    def batch(self, count: int, generate: Callable[[], Pictures]) -> Pictures:
        """The next `count` pictures; from the first damaged one on, what `generate` gives."""
        found: Pictures = []
        while self._sound and len(found) < count:
            picture = self._next()
            self._sound = picture is not None
            found.append(picture)
        return found if self._sound else generate()

    def _next(self) -> np.ndarray | None:
        head = self._handle.read(_RECORD.size)
        if len(head) < _RECORD.size:
            return None
        frames, height, width, checksum = _RECORD.unpack(head)
        if max(frames, 1) * height * width * 3 > self._size:
            return None
        length = (frames,) if frames else ()  # 0: a picture
        picture = np.empty((*length, height, width, 3), np.uint8)
        whole = self._handle.readinto(picture.data) == picture.size
        return picture if whole and zlib.crc32(picture.data) == checksum else None


class Writer:
    """Passes on what is generated and files it, if it has a path and as long as the disk takes it.

    Args:
        path: The file that will be there once it is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._handle = path, None
        if path is None:
            return
        self._scratch = scratch_name(path)
        with self._dispensable():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._scratch.open("wb")
            self._scratch.chmod(0o600)  # it may hold pictures of people

    def reserve(self, size: int) -> None:
        """Let other workers see how large it will be."""
        if self._handle is not None:
            with self._dispensable():
                self._handle.truncate(size)

    def batch(self, count: int, generate: Callable[[], Pictures]) -> Pictures:
        """What `generate` gives. A file lacks no picture: one that cannot be read ends it."""
        pictures = generate()
        if len(pictures) != count or any(picture is None for picture in pictures):
            self.drop()
        for picture in pictures:
            if self._handle is not None and picture is not None:
                pixels = np.ascontiguousarray(picture).data
                frames = picture.shape[0] if picture.ndim == 4 else 0
                head = _RECORD.pack(frames, *picture.shape[-3:-1], zlib.crc32(pixels))
                with self._dispensable():
                    self._handle.write(head)
                    self._handle.write(pixels)
        return pictures

    def keep(self) -> None:
        """Give the file its name."""
        if self._handle is not None and self._path is not None:
            with self._dispensable():
                self._handle.truncate()
                self._handle.close()
                self._scratch.replace(self._path)
                self._handle = None

    def drop(self) -> None:
        """Remove what was not kept."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.close()
            with contextlib.suppress(OSError):
                self._scratch.unlink()
            self._handle = None

    @contextlib.contextmanager
    def _dispensable(self) -> Iterator[None]:
        """A full disk ends the file and not the sweep."""
        try:
            yield
        except OSError:
            self.drop()


def _opened(path: Path) -> BufferedReader | None:
    try:
        return path.open("rb")
    except OSError:
        return None


def _taken(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sum(map(_size, entries))
    return 0


def _size(entry: "os.DirEntry[str]") -> int:
    with contextlib.suppress(OSError):  # it was removed meanwhile
        return entry.stat().st_size
    return 0


# ------------------------------------------------------------------------------------------------
# Which shards share their corrupted pictures, in which order they are computed, and until when.


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
        alone: Whether no other run is at work there, whose files must stay.
    """

    def __init__(
        self,
        out: Path,
        todo: Sequence[Shard],
        dataset: DataSet,
        budget: int,
        alone: bool = True,
    ) -> None:
        self.folder = out / FOLDER
        known: dict[tuple[Any, ...], str] = {}  # classifiers have them in common
        names = [_name(shard, known) if budget else None for shard in todo]
        uses = Counter(name for name in names if name is not None)
        self._left = {
            name: count
            for name, count in uses.items()
            if count > 1 or (self.folder / name).exists()
        }
        shared = [name if name in self._left else None for name in names]
        self.todo = _in_blocks(todo, _files(todo, shared, dataset), budget * _BLOCK)
        if alone:
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


def _name(shard: Shard, known: dict[tuple[Any, ...], str]) -> str | None:
    """A digest of what determines the corrupted pictures; None for those that are not shared."""
    cell, inputs = shard.planned.cell, shard.planned.inputs
    if not shard.planned.perturbation.shared or shard.planned.blocks:  # of another order
        return None
    # The digest of the samples stands for their ids, which are too many to be compared here.
    of_cell = cell.dataset, inputs["data"], cell.perturbation, cell.severity, inputs["samples"]
    key = *of_cell, shard.number, shard.count
    if key not in known:
        what = [inputs[field] for field in ("data", "perturbation", "seed")]
        known[key] = digest([cell.dataset, *what, list(shard.sample_ids)])
    return known[key]


def _files(
    todo: Sequence[Shard], names: Sequence[str | None], dataset: DataSet
) -> list[SharedFile | None]:
    """The file of each shard; shards that share one have the same object."""
    sizes: dict[str, int] = {}
    if any(names):
        for sample in dataset.samples("test"):
            sizes[sample.id] = bytes_of(*dataset.size(sample), frames=dataset.length)
    known: dict[str | None, SharedFile | None] = {None: None}
    for shard, name in zip(todo, names, strict=True):
        if name is not None and name not in known:
            known[name] = SharedFile(name, sum(map(sizes.__getitem__, shard.sample_ids)))
    return [known[name] for name in names]


def _in_blocks(
    todo: Sequence[Shard], files: Sequence[SharedFile | None], size: float
) -> list[Shard]:
    """Shards with their files, ordered so that the files needed at a time fit.

    They are in the order of `todo` where all files fit together.
    """
    blocks: list[list[Shard]] = [[]]
    block: dict[str, list[Shard]] = {}
    taken = 0
    for shard, file in zip(todo, files, strict=True):
        if file is None:
            blocks[0].append(shard)
            continue
        if file.name not in block:
            if taken and taken + file.size > size:
                blocks.append([])
                taken = 0
            block[file.name] = blocks[-1]
            taken += file.size
        block[file.name].append(Shard(shard.planned, shard.number, shard.count, file))
    return [shard for own in blocks for shard in own]


# ------------------------------------------------------------------------------------------------
# One shard
# ------------------------------------------------------------------------------------------------


class Worker:
    """Holds what shards share: data set, store and the classifiers already opened.

    Args:
        config: The run.
        dataset: Its data.
        out: Folder of the store.
        folders: Checkpoint folder of each classifier that has one, for each of its training seeds.
    """

    def __init__(
        self, config: Config, dataset: DataSet, out: Path, folders: dict[tuple[str, int], Path]
    ) -> None:
        runtime.keep_freed_memory()
        self.config, self.dataset, self.folders = config, dataset, folders
        self.store, self.leases = Store(out), Leases(out)
        self.device = runtime.pick_device(config.execution.device)
        self.batch_size = config.execution.batch_size
        known = [*dataset.samples("val"), *dataset.samples("test")]
        self._samples = {sample.id: sample for sample in known}
        self._rules = Rules(config, self.store)
        self._open: tuple[tuple[str, int], Classifier] | None = None
        self._attacked: tuple[tuple[str, int], Classifier] | None = None  # of transfers

    def classifier(self, name: str, seed: int) -> Classifier:
        """The classifier of a training seed, kept open until another one is asked for."""
        key = name, seed
        if self._open is None or self._open[0] != key:
            self._open = (key, self._loaded(name, seed))
        return self._open[1]

    def _loaded(self, name: str, seed: int) -> Classifier:
        spec = self.config.classifiers[name]
        loaded = spec.load(name, self.folders.get((name, seed)), self.config, self.device)
        loaded.shares_batches = spec.shares_batches and self.device.type == "cpu"
        loaded.require_classes(self.dataset.classes, name)
        if self.dataset.clips is not None and not loaded.takes_clips:
            loaded = MiddleFrame(loaded)
        return loaded

    def run(self, shard: Shard) -> None:
        """Compute and store one shard, unless it is there or another process is computing it.

        A sample whose picture can no longer be read has no row; `bench.sweep.run` tells of it.
        """
        with self.leases.held(shard.name) as mine, runtime.one_thread():
            if not mine or self._there(shard):
                return
            try:
                self._run_in_memory(shard)
            except (OSError, MemoryError):  # the machine's, not the shard's
                raise
            except Exception as error:
                if self.config.execution.errors == "stop":
                    raise
                self.store.fail(shard.planned.cell, shard.number, shard.count, error)

    def _run_in_memory(self, shard: Shard) -> None:
        """Compute a shard, in smaller batches if the GPU's memory is too small."""
        while True:
            try:
                return self._run(shard)
            except torch.OutOfMemoryError:
                if self.batch_size == 1 or shard.planned.blocks:
                    raise
            self.batch_size //= 2
            torch.cuda.empty_cache()

    def _run(self, shard: Shard) -> None:
        cell = shard.planned.cell
        classifier = self.classifier(cell.classifier, cell.seed)
        frames, traces, others = [], [], []
        chosen = shard.planned.other_prompts
        for batch, pictures, measured, rows in self._measured(shard, classifier):
            frames.append(rows)
            if measured.traces is None:
                continue
            traces.append(measured.traces)
            named = [(p, s.id) for p, s in zip(pictures, batch, strict=True) if s.id in chosen]
            if named:
                others.append(classifier.other_prompts(*zip(*named, strict=True)))
        if self._there(shard):  # and its manifest may name these very files
            return
        self.store.write_part(
            cell,
            shard.number,
            _joined(frames, shard.sample_ids),
            self._stamped(cell, Traces.joined(traces)) if traces else None,
            OtherPrompts.joined(others) if traces and chosen else None,
            shards=shard.count,
            classes=classifier.classes,
            notes=self._notes,
        )

    def rows(self, planned: PlannedCell, names: Sequence[str]) -> pd.DataFrame:
        """Some of a cell's rows, computed now and not stored; as of `ROW_SCHEMA`."""
        classifier = self.classifier(planned.cell.classifier, planned.cell.seed)
        some = replace(planned, sample_ids=tuple(names))
        found = self._measured(Shard(some, 0, 1), classifier)
        return _joined([rows for _, _, _, rows in found], names)

    def _measured(
        self, shard: Shard, classifier: Classifier
    ) -> Iterator[tuple[list[Sample], list[np.ndarray], Measurement, pd.DataFrame]]:
        """Samples, their perturbed pictures, what is said of these, and the rows; in batches."""
        cell, perturbation = shard.planned.cell, shard.planned.perturbation
        rule, notes = self._rules.of(cell, shard.planned.inputs), dict[str, Any]()
        for batch, pictures in self._batches(shard, classifier, notes):
            ids = [sample.id for sample in batch]
            measured = perturbation.measure(
                classifier, pictures, ids, cell.severity, _address(cell), rule
            )
            rows = _rows(batch, measured, classifier.classes, notes)
            if shard.planned.examples:
                rows = rows.assign(**self._examples(shard.planned, batch, pictures))
            yield batch, pictures, measured, rows

    def _examples(
        self, planned: PlannedCell, batch: Sequence[Sample], attacked: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        """The columns of `EXAMPLE_SCHEMA`."""
        kept: list[tuple[Any, Any]] = [(None, None)] * len(batch)
        for place, (sample, picture) in enumerate(zip(batch, attacked, strict=True)):
            clean = self._read(planned, sample) if sample.id in planned.examples else None
            if clean is not None:
                kept[place] = packed_change(clean, picture)
        changes, largest = zip(*kept, strict=True)
        return {"change": list(changes), "largest": pd.array(largest, "Float32")}

    @property
    def _notes(self) -> dict[str, str]:
        asked = self.config.execution.batch_size
        if self.batch_size == asked:
            return {}
        return {"batch_size": f"{self.batch_size} of {asked}: out of memory"}

    def _there(self, shard: Shard) -> bool:
        """Whether another run at the same OUT has stored the shard meanwhile."""
        cell, inputs = shard.planned.cell, shard.planned.inputs
        stored = self.store.stored(cell, inputs, shard.number, shard.count)
        return stored == list(shard.sample_ids)

    def _stamped(self, cell: Cell, traces: Traces) -> Traces:
        """With what the classifier cannot know of itself."""
        # What rules are fitted on is kept as measured: it determines what they decide live.
        dtype = "float32" if cell.about.fits else self.config.execution.traces
        update = {"config": cell.id, "dtype": dtype}
        return replace(traces, info=traces.info.model_copy(update=update))

    def _sample(self, perturbation: Perturbation, row: str) -> Sample:
        """What a row is about; a frame of a sequence has an id of its own."""
        return replace(self._samples[perturbation.sample_of(row)], id=row)

    def _batches(
        self,
        shard: Shard,
        classifier: Classifier,
        notes: dict[str, Any],
    ) -> Iterator[tuple[list[Sample], list[np.ndarray]]]:
        """Samples whose pictures can be read, and these, perturbed; batch by batch.

        Of a classifier that measures blocks, each block that has one of the samples, whole.
        """
        perturbation, size = shard.planned.perturbation, self.batch_size
        own = shard.sample_ids
        parts = [own[start : start + size] for start in range(0, len(own), size)]
        if shard.planned.blocks:
            asked = set(own)
            parts = [block for block in shard.planned.blocks if asked.intersection(block)]
        folder, budget = self.store.root / FOLDER, self.config.execution.corrupted_cache * 10**6
        with corrupted(folder, shard.file, budget) as source:
            for names in parts:
                batch = [self._sample(perturbation, name) for name in names]
                generate = partial(self.perturbed, shard.planned, batch, classifier, notes)
                found = source.batch(len(batch), generate)
                pairs = [(s, p) for s, p in zip(batch, found, strict=True) if p is not None]
                if pairs:
                    yield [sample for sample, _ in pairs], [picture for _, picture in pairs]

    def perturbed(
        self,
        planned: PlannedCell,
        samples: Sequence[Sample],
        classifier: Classifier,
        notes: dict[str, Any] | None = None,
    ) -> list[np.ndarray | None]:
        """The samples' pictures as the classifier will see them, (H, W, 3), or clips (T, H, W, 3).

        Addressed by the run's seed, not by that of training: all trainings see the same pictures.

        Args:
            planned: Of which cell.
            samples: Some of its samples.
            classifier: What will see the pictures.
            notes: Where the perturbation writes what it has to say of a sample, by its id.

        Returns:
            One per sample; None for one that can no longer be read.
        """
        perturbation, cell = planned.perturbation, planned.cell
        origins = [perturbation.sample_of(sample.id) for sample in samples]
        read = {name: self._read(planned, self._samples[name]) for name in dict.fromkeys(origins)}
        found = [read[name] for name in origins]
        whole = [i for i, picture in enumerate(found) if picture is not None]
        if not whole:
            return found
        batch = Batch(
            [picture for picture in found if picture is not None],
            [samples[i].id for i in whole],
            [samples[i].label for i in whole],
            {} if notes is None else notes,
            self._rules.attacked(cell, planned.inputs) if perturbation.at_rule else None,
        )
        asked = self._source(perturbation, cell.seed) if perturbation.source else classifier
        changed = perturbation.apply(batch, cell.severity, _address(cell), asked)
        for place, picture in zip(whole, changed, strict=True):
            found[place] = picture
        return found

    def _source(self, perturbation: Perturbation, seed: int) -> Classifier:
        """The other classifier that is attacked, beside the one that is measured."""
        name = perturbation.source
        key = name, source_seed(self.config, name, seed)
        if self._attacked is None or self._attacked[0] != key:
            self._attacked = (key, self._loaded(*key))
        return self._attacked[1]

    def _read(self, planned: PlannedCell, sample: Sample) -> np.ndarray | None:
        cell = planned.cell
        try:
            return planned.perturbation.read(self.dataset, sample, cell.severity, _address(cell))
        except UnreadablePicture:
            return None


def _address(cell: Cell) -> Address:
    return Address(cell.run_seed, cell.dataset)


#: By the name of an Arrow type: pandas' type that has a null, too.
_NULLABLE = {"int32": "Int32", "float": "Float32", "bool": "boolean"}


def _rows(
    samples: Sequence[Sample],
    measured: Measurement,
    classes: Sequence[str],
    notes: Mapping[str, Any],
) -> pd.DataFrame:
    labels = [sample.label for sample in samples]
    frame = pd.DataFrame(
        {
            "sample_id": [sample.id for sample in samples],
            "label": labels,
            "prediction": [_decide(logits, classes) for logits in measured.logits],
            "logits": list(measured.logits),
            "d_p": _positive_errors(measured, [list(classes).index(x) for x in labels]),
            "evaluations": measured.evaluations,
            "seconds": measured.seconds,
        }
    )
    seen = [notes.get(sample.id) for sample in samples]
    if any(one is not None for one in seen):
        for column in ATTACK_SCHEMA:
            values: list[Any] = [None if one is None else getattr(one, column.name) for one in seen]
            frame[column.name] = pd.Series(values, dtype=_NULLABLE[str(column.type)]).array
    return frame


def _joined(frames: Sequence[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """The rows of these samples, in their order; some may have none."""
    if not frames:
        return pd.DataFrame(columns=ROW_SCHEMA.names, dtype=object)
    rows = pd.concat(frames, ignore_index=True)
    places = {name: place for place, name in enumerate(names)}
    order = rows["sample_id"].map(places)
    if order.is_monotonic_increasing and not order.isna().any():
        return rows
    known = rows[order.notna()]
    return known.iloc[np.argsort(order[order.notna()].to_numpy())].reset_index(drop=True)


def _decide(logits: np.ndarray, classes: Sequence[str]) -> str | None:
    """The class with the highest logit; None for a tie, which is an error and not class 0."""
    best = np.flatnonzero(logits == logits.max())
    return classes[int(best[0])] if len(best) == 1 else None


def _positive_errors(measured: Measurement, labels: Sequence[int]) -> list[float | None]:
    """Mean errors of the right classes, estimated where not all steps were measured."""
    traces = measured.traces
    if traces is None or traces.surprises:
        return [None] * len(labels)
    if measured.means is not None:
        pairs = zip(measured.means, labels, strict=True)
        return [float(means[label]) for means, label in pairs]
    return [
        float(errors[label].mean(dtype=np.float64))
        for errors, label in zip(traces.errors, labels, strict=True)
    ]


# ------------------------------------------------------------------------------------------------
# Where shards run
# ------------------------------------------------------------------------------------------------

_worker: Worker | None = None


def execute(
    shards: Sequence[Shard], worker_arguments: tuple[Any, ...], workers: int
) -> Iterator[Shard]:
    """Run all shards; yield each one when `Worker.run` has returned.

    Then its rows are stored, or another run at the same folder is computing it.

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
    died = (
        "a worker process died (out of memory?). What it had finished is stored; run the same "
        "command again, with fewer `execution.workers` if it happens again."
    )
    with runtime.pool(min(workers, len(shards)), died, _start, *worker_arguments) as pool:
        # Some at a time: the pool looks at all that it was given whenever one ends.
        waiting, running = iter(shards), dict[Future[None], Shard]()
        while True:
            for shard in itertools.islice(waiting, 2 * workers - len(running)):
                running[pool.submit(_run, shard)] = shard
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                yield running.pop(future)


def worker_count(requested: int | None, device: str) -> int:
    """Processes to start: as asked, else one per core on a CPU and a single one on a GPU."""
    if requested is not None:
        return requested
    return 1 if device != "cpu" else os.cpu_count() or 1


def _start(*worker_arguments: Any) -> None:
    global _worker
    _worker = Worker(*worker_arguments)


def _run(shard: Shard) -> None:
    assert _worker is not None
    _worker.run(shard)
