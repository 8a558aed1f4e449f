"""The results of one data set and run seed, and what tables and figures ask of them."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.classifiers.kinds import seen
from bench.report.measures import Metrics, measure_seeds, share
from bench.report.outcomes import Flips, Outcomes, recognised, same_samples, shared_samples
from bench.report.spec import AccuracyEstimate
from bench.store.cells import Cell, Manifest


@dataclass(frozen=True, eq=False)
class Result:
    """A complete cell: what stands behind it, what was said of its samples, and its metrics."""

    manifest: Manifest
    name: str  # of the classifier, as shown
    outcomes: Outcomes
    metrics: Metrics

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.manifest.cell


@dataclass(frozen=True, eq=False)
class Pooled:
    """The results that differ in nothing but the training seed: an entry of a table.

    Attributes:
        results: At least one, seeds ascending.
    """

    results: tuple[Result, ...]

    @property
    def name(self) -> str:
        """The classifier's name, as shown."""
        return self.results[0].name

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return tuple(result.cell.seed for result in self.results)

    @cached_property
    def metrics(self) -> Metrics:
        """The result's own metrics if there is one, else means over seeds."""
        if len(self.results) == 1:
            return self.results[0].metrics
        return measure_seeds([result.outcomes for result in self.results])

    @cached_property
    def outcomes(self) -> tuple[Outcomes, ...]:
        """Those of each seed, on the samples that all seeds have."""
        return tuple(shared_samples([result.outcomes for result in self.results]))

    @cached_property
    def right(self) -> NDArray[np.float64]:
        """1 where a sample is recognised, else 0, (seeds, samples)."""
        return recognised(self.outcomes)


@dataclass(frozen=True, eq=False)
class ResultSet:
    """All results of one data set and run seed: the cells that may stand in one table.

    They were measured on the same pictures under the same noise, whatever the training seed.

    Attributes:
        dataset: Data set id.
        seed: Run seed.
        slug: Unique among the store's groups; the start of file names.
        names: Shown names by classifier, in plan order.
        planned: All planned cells, in report order, less those measured for decisions alone.
        results: The complete ones, in the same order.
        drawn: Whether the pictures are drawn faces, which say nothing about real ones.
        protocol: Which pictures and whose split, for captions; empty if that goes without saying.
        flips: The complete cells of perturbation sequences, which are not among `results`.
        levels: Those of continuous levels, which are not among `results` either.
        validation: Those of clean validation pictures, likewise.
        views: Those of views of clean test pictures, likewise.
    """

    dataset: str
    seed: int
    slug: str
    names: dict[str, str]
    planned: tuple[Cell, ...]
    results: tuple[Result, ...]
    drawn: bool
    protocol: str = ""
    flips: tuple[Flips, ...] = ()
    levels: tuple[Result, ...] = ()
    validation: tuple[Result, ...] = ()
    views: tuple[Result, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """Data set and run seed: what makes it a group."""
        return self.dataset, self.seed

    @cached_property
    def classes(self) -> list[str]:
        """The data set's classes, in the order of the first manifest that names them."""
        return list(dict.fromkeys(name for r in self.results for name in r.manifest.classes))

    @cached_property
    def seeds(self) -> list[int]:
        """All training seeds, ascending; a classifier brought along has none of its own."""
        each = self._seeds_by_classifier.values()
        return sorted(set().union(*([seeds for seeds in each if len(seeds) > 1] or each)))

    @cached_property
    def several(self) -> bool:
        """Whether a classifier has several training seeds, so that numbers are means over them."""
        return any(len(seeds) > 1 for seeds in self._seeds_by_classifier.values())

    @cached_property
    def _seeds_by_classifier(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for cell in self.planned:
            found.setdefault(cell.classifier, set()).add(cell.seed)
        return found

    @property
    def data(self) -> str:
        """The data set and the protocol, for captions."""
        return f"{self.dataset} ({self.protocol})" if self.protocol else self.dataset

    @cached_property
    def data_digest(self) -> str | None:
        """Content digest of the data set, None if the run did not store it."""
        digest = self.results[0].manifest.inputs.get("data")
        return digest if isinstance(digest, str) else None

    def file_name(self, what: str) -> str:
        """Base of a file's name, in characters that file systems and LaTeX labels take."""
        return re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.slug}-{what}").strip("-.")

    @cached_property
    def _index(self) -> dict[tuple[str, str, str], Pooled]:
        found: dict[tuple[str, str, str], list[Result]] = {}
        for r in self.results:
            key = r.cell.classifier, r.cell.perturbation, r.cell.severity
            found.setdefault(key, []).append(r)
        by_seed = {key: sorted(own, key=lambda r: r.cell.seed) for key, own in found.items()}
        pooled = {key: Pooled(tuple(own)) for key, own in by_seed.items()}
        # Trainings that were measured on other pictures have no mean.
        return {key: own for key, own in pooled.items() if len(own.outcomes[0])}

    @cached_property
    def _severities(self) -> dict[str, dict[str, float]]:
        """By perturbation, the level of each planned severity, ascending."""
        levels: dict[str, dict[str, float]] = {}
        for cell in sorted(self.planned, key=lambda cell: cell.level):
            levels.setdefault(cell.perturbation, {})[cell.severity] = cell.level
        return levels

    def perturbations(self, family: str) -> list[str]:
        """A family's perturbations that have a complete cell, in report order."""
        return list(self._perturbations.get(family, ()))

    @cached_property
    def _perturbations(self) -> dict[str, dict[str, None]]:
        complete = {(r.cell.family, r.cell.perturbation) for r in self.results}
        found: dict[str, dict[str, None]] = {}
        for cell in self.planned:
            if (cell.family, cell.perturbation) in complete:
                found.setdefault(cell.family, {})[cell.perturbation] = None
        return found

    def severities(self, perturbation: str) -> list[str]:
        """A perturbation's planned severities or budgets, ascending."""
        return list(self._severities.get(perturbation, ()))

    def seen(self, classifier: str, perturbation: str) -> bool:
        """Whether a classifier met this perturbation, or one alike, in training."""
        return seen(self._training.get(classifier, {}), perturbation)

    @cached_property
    def _training(self) -> dict[str, dict[str, Any]]:
        """By classifier; the same for all cells, but for seeds and seconds."""
        return {r.cell.classifier: r.manifest.training for r in self.results}

    def get(self, classifier: str, perturbation: str, severity: str) -> Pooled | None:
        """The complete results of one table entry, None if there are none."""
        return self._index.get((classifier, perturbation, severity))

    def clean(self, classifier: str) -> Pooled | None:
        """The classifier's results on clean pictures, None if there are none."""
        own = (pooled for key, pooled in self._index.items() if key[0] == classifier)
        return next((p for p in own if p.results[0].cell.about.clean), None)

    def under(self, classifier: str, perturbation: str) -> list[Pooled]:
        """The classifier's complete results under one perturbation, severity ascending."""
        found = (self.get(classifier, perturbation, s) for s in self.severities(perturbation))
        return [result for result in found if result is not None]

    def baseline(self, classifier: str, perturbation: str) -> Metrics | None:
        """The classifier's metrics on the clean pictures of a perturbation's own samples.

        Attacks run on a subset; what they cost can only be read against the same pictures, and the
        same trainings.

        Returns:
            None without a clean result that has all these samples, without a perturbed one, or if
            the perturbed ones are not all of the same samples.
        """
        clean, perturbed = self.clean(classifier), self.under(classifier, perturbation)
        each = [r.outcomes.ids for pooled in perturbed for r in pooled.results]
        if clean is None or not each or not all(same_samples(ids, each[0]) for ids in each):
            return None
        attacked = {seed for pooled in perturbed for seed in pooled.seeds}
        same = [r.outcomes for r in clean.results if r.cell.seed in attacked]
        own = [outcomes.among(each[0]) for outcomes in same]
        if not own or any(len(outcomes) != len(each[0]) for outcomes in own):
            return None
        return measure_seeds(own)

    def reference(self, classifier: str, perturbation: str) -> Metrics | None:
        """What a perturbation's accuracies are read against: clean pictures.

        The clean cell for a corruption, which runs on all samples; `baseline` for an attack.
        """
        if perturbation in self.perturbations("attack"):
            return self.baseline(classifier, perturbation)
        clean = self.clean(classifier)
        return None if clean is None else clean.metrics

    def mean(self, classifier: str, perturbation: str) -> AccuracyEstimate | None:
        """Mean accuracy over all planned severities, None unless every one is complete.

        Of each picture's share of severities at which it is recognised; every severity must have
        the same seeds.
        """
        perturbed = self.under(classifier, perturbation)
        if not perturbed or len(perturbed) < len(self.severities(perturbation)):
            return None
        if len({pooled.seeds for pooled in perturbed}) > 1:
            return None
        shared = shared_samples([r.outcomes for pooled in perturbed for r in pooled.results])
        right = recognised(shared).reshape(len(perturbed), len(perturbed[0].seeds), -1)
        return share(right.mean(axis=0))
