"""One shard: read pictures, perturb them, ask the classifier, store rows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bench.classifiers.base import Classifier, Measurement
from bench.config import Config
from bench.data.base import DataSet, Sample
from bench.data.reading.images import UnreadablePicture
from bench.perturb.base import Address, Batch, Perturbation
from bench.store.cells import Cell
from bench.store.store import ROW_SCHEMA, Store
from bench.store.traces import OtherPrompts, Traces
from bench.sweep.deciding import Rules
from bench.sweep.plan import PlannedCell, Shard
from bench.sweep.sharing import FOLDER, corrupted
from bench.util import runtime


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
        self.store = Store(out)
        self.device = runtime.pick_device(config.execution.device)
        known = [*dataset.samples("val"), *dataset.samples("test")]
        self._samples = {sample.id: sample for sample in known}
        self._rules = Rules(config, self.store)
        self._open: tuple[tuple[str, int], Classifier] | None = None

    def classifier(self, name: str, seed: int) -> Classifier:
        """The classifier of a training seed, kept open until another one is asked for."""
        key = name, seed
        if self._open is None or self._open[0] != key:
            spec = self.config.classifiers[name]
            loaded = spec.load(name, self.folders.get(key), self.config, self.device)
            loaded.require_classes(self.dataset.classes, name)
            self._open = (key, loaded)
        return self._open[1]

    def run(self, shard: Shard) -> int:
        """Compute and store one shard; the number of samples.

        A sample whose picture can no longer be read has no row; `bench.sweep.run` tells of it.
        """
        with runtime.one_thread():
            return self._run(shard)

    def _run(self, shard: Shard) -> int:
        cell, inputs = shard.planned.cell, shard.planned.inputs
        if self.store.stored(cell, inputs, shard.number, shard.count) == list(shard.sample_ids):
            return len(shard.sample_ids)  # another run at the same OUT was here meanwhile
        classifier = self.classifier(cell.classifier, cell.seed)
        perturbation = shard.planned.perturbation
        samples = [self._sample(perturbation, name) for name in shard.sample_ids]
        frames, traces, others = [], [], []
        chosen, rule = shard.planned.other_prompts, self._rules.of(cell, inputs)
        for batch, pictures in self._batches(shard, samples, classifier):
            names = [sample.id for sample in batch]
            measured = perturbation.measure(
                classifier, pictures, names, cell.severity, _address(cell), rule
            )
            frames.append(_rows(batch, measured, classifier.classes))
            if measured.traces is None:
                continue
            traces.append(measured.traces)
            named = [(p, s.id) for p, s in zip(pictures, batch, strict=True) if s.id in chosen]
            if named:
                others.append(classifier.other_prompts(*zip(*named, strict=True)))
        self.store.write_part(
            cell,
            shard.number,
            pd.concat(frames, ignore_index=True) if frames else _no_rows(),
            self._stamped(cell, Traces.joined(traces)) if traces else None,
            OtherPrompts.joined(others) if traces and chosen else None,
            shards=shard.count,
            classes=classifier.classes,
        )
        return len(samples)

    def _stamped(self, cell: Cell, traces: Traces) -> Traces:
        """With what the classifier cannot know of itself."""
        # What rules are fitted on is kept as measured, for it determines what they decide live.
        dtype = "float32" if cell.about.fits else self.config.execution.traces
        update = {"config": cell.id, "dtype": dtype}
        return replace(traces, info=traces.info.model_copy(update=update))

    def _sample(self, perturbation: Perturbation, row: str) -> Sample:
        """What a row is about; a frame of a sequence has an id of its own."""
        return replace(self._samples[perturbation.sample_of(row)], id=row)

    def _batches(
        self, shard: Shard, samples: Sequence[Sample], classifier: Classifier
    ) -> Iterator[tuple[list[Sample], list[np.ndarray]]]:
        """Samples whose pictures can be read, and these, perturbed; batch by batch."""
        size = self.config.execution.batch_size
        folder, budget = self.store.root / FOLDER, self.config.execution.corrupted_cache * 10**6
        with corrupted(folder, shard.file, budget) as source:
            for start in range(0, len(samples), size):
                batch = samples[start : start + size]
                generate = partial(self.perturbed, shard.planned, batch, classifier)
                found = source.batch(len(batch), generate)
                pairs = [(s, p) for s, p in zip(batch, found, strict=True) if p is not None]
                if pairs:
                    yield [sample for sample, _ in pairs], [picture for _, picture in pairs]

    def perturbed(
        self, planned: PlannedCell, samples: Sequence[Sample], classifier: Classifier
    ) -> list[np.ndarray | None]:
        """The samples' pictures as the classifier will see them, (H, W, 3).

        Addressed by the run's seed, not by that of training: all trainings see the same pictures.

        Returns:
            One per sample; None for one that can no longer be read.
        """
        perturbation, cell = planned.perturbation, planned.cell
        origins = [perturbation.sample_of(sample.id) for sample in samples]
        read = {name: self._picture(self._samples[name]) for name in dict.fromkeys(origins)}
        found = [read[name] for name in origins]
        whole = [i for i, picture in enumerate(found) if picture is not None]
        if not whole:
            return found
        batch = Batch(
            [picture for picture in found if picture is not None],
            [samples[i].id for i in whole],
            [samples[i].label for i in whole],
        )
        changed = perturbation.apply(batch, cell.severity, _address(cell), classifier)
        for place, picture in zip(whole, changed, strict=True):
            found[place] = picture
        return found

    def _picture(self, sample: Sample) -> np.ndarray | None:
        try:
            return self.dataset.picture(sample)
        except UnreadablePicture:
            return None


def _address(cell: Cell) -> Address:
    return Address(cell.run_seed, cell.dataset)


def _rows(samples: Sequence[Sample], measured: Measurement, classes: Sequence[str]) -> pd.DataFrame:
    labels = [sample.label for sample in samples]
    return pd.DataFrame(
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


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=ROW_SCHEMA.names, dtype=object)


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
