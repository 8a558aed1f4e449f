"""One shard: read pictures, perturb them, ask the classifier, store rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench import runtime
from bench.config import Config
from bench.data.base import DataSet, Sample
from bench.data.reading.images import UnreadablePicture
from bench.models import Classifier, Measurement, load_classifier
from bench.perturb import CORRUPTIONS
from bench.perturb.attacks import ATTACK_CLASSES
from bench.store import ROW_SCHEMA, Cell, Store
from bench.sweep.plan import Shard
from bench.traces import OtherPrompts, Traces


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
        self._samples = {sample.id: sample for sample in dataset.samples("test")}
        self._open: tuple[tuple[str, int], Classifier] | None = None

    def classifier(self, name: str, seed: int) -> Classifier:
        """The classifier of a training seed, kept open until another one is asked for."""
        key = name, seed
        if self._open is None or self._open[0] != key:
            spec = self.config.classifiers[name]
            loaded = load_classifier(name, spec, self.folders.get(key), self.config, self.device)
            loaded.require_classes(self.dataset.classes, name)
            self._open = (key, loaded)
        return self._open[1]

    def run(self, shard: Shard) -> int:
        """Compute and store one shard; the number of samples.

        A sample whose picture can no longer be read has no row; `bench.sweep.lost` tells of it.
        """
        with runtime.one_thread():
            return self._run(shard)

    def _run(self, shard: Shard) -> int:
        cell = shard.planned.cell
        classifier = self.classifier(cell.classifier, cell.seed)
        samples = [self._samples[identifier] for identifier in shard.sample_ids]
        size = self.config.execution.batch_size
        frames, traces, others = [], [], []
        chosen = shard.planned.other_prompts
        for start in range(0, len(samples), size):
            batch, pictures = self._readable(cell, samples[start : start + size], classifier)
            if not batch:
                continue
            measured = classifier.measure(pictures, [sample.id for sample in batch])
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
            Traces.joined(traces) if traces else None,
            OtherPrompts.joined(others) if traces and chosen else None,
        )
        return len(samples)

    def _readable(
        self, cell: Cell, samples: Sequence[Sample], classifier: Classifier
    ) -> tuple[list[Sample], list[np.ndarray]]:
        """Those samples whose pictures can be read, and these, perturbed."""
        batch, pictures = [], []
        for sample in samples:
            try:
                pictures.append(self.perturbed(cell, sample, classifier))
            except UnreadablePicture:
                continue
            batch.append(sample)
        return batch, pictures

    def perturbed(self, cell: Cell, sample: Sample, classifier: Classifier) -> np.ndarray:
        """The sample's picture as the classifier will see it, uint8 (H, W, 3).

        Addressed by the run's seed, not by that of training: all trainings see the same pictures.
        """
        picture = self.dataset.picture(sample)
        if cell.family == "corruption":
            corruption, severity = CORRUPTIONS[cell.perturbation], int(cell.severity)
            return corruption(
                picture, severity, seed=cell.run_seed, dataset=cell.dataset, sample_id=sample.id
            )
        if cell.family == "attack":
            return ATTACK_CLASSES[cell.perturbation]()(
                picture,
                classifier.classes.index(sample.label),
                classifier.attack_target(sample.id),
                int(cell.severity.partition("/")[0]),
                seed=cell.run_seed,
                dataset=cell.dataset,
                sample_id=sample.id,
            )
        return picture


def _rows(samples: Sequence[Sample], measured: Measurement, classes: Sequence[str]) -> pd.DataFrame:
    labels = [sample.label for sample in samples]
    return pd.DataFrame(
        {
            "sample_id": [sample.id for sample in samples],
            "label": labels,
            "prediction": [_decide(logits, classes) for logits in measured.logits],
            "logits": list(measured.logits),
            "d_p": _positive_errors(measured.traces, [list(classes).index(x) for x in labels]),
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


def _positive_errors(traces: Traces | None, labels: Sequence[int]) -> list[float | None]:
    if traces is None:
        return [None] * len(labels)
    return [
        float(traces.errors[row, label].mean(dtype=np.float64)) for row, label in enumerate(labels)
    ]
