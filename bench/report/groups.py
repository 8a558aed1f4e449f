"""The results of one data set and seed, and the questions that tables and figures ask of them."""

import re
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bench.report.measures import Estimate, Metrics, mean_over_severities, measure
from bench.store import Cell, Manifest


@dataclass(frozen=True, eq=False)
class Result:
    """A complete cell: what stands behind it, its rows and its metrics."""

    manifest: Manifest
    name: str  # of the classifier, as shown
    rows: pd.DataFrame  # ordered by sample id, without logits
    metrics: Metrics

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.manifest.cell


@dataclass(frozen=True, eq=False)
class Group:
    """All results of one data set and seed: the cells that may stand in one table.

    Attributes:
        dataset: Data set id.
        seed: Run seed.
        slug: Unique among the store's groups; the start of file names.
        names: Shown names by classifier, in plan order.
        planned: All planned cells, in report order.
        results: The complete ones, in the same order.
    """

    dataset: str
    seed: int
    slug: str
    names: dict[str, str]
    planned: tuple[Cell, ...]
    results: tuple[Result, ...]

    @cached_property
    def classes(self) -> list[str]:
        """The data set's classes, in the order of the first manifest that names them."""
        return list(dict.fromkeys(name for r in self.results for name in r.manifest.classes))

    @cached_property
    def drawn(self) -> bool:
        """Whether the data set is drawn faces, which say nothing about real ones."""
        return self.dataset.startswith("faces")

    def file_name(self, what: str) -> str:
        """Base of a file's name, in characters that file systems and LaTeX labels take."""
        return re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.slug}-{what}").strip("-.")

    @cached_property
    def _index(self) -> dict[tuple[str, str, str], Result]:
        return {(r.cell.classifier, r.cell.perturbation, r.cell.severity): r for r in self.results}

    def perturbations(self, family: str) -> list[str]:
        """A family's perturbations that have a complete cell, in report order."""
        found = {r.cell.perturbation for r in self.results if r.cell.family == family}
        planned = dict.fromkeys(cell.perturbation for cell in self.planned)
        return [name for name in planned if name in found]

    def severities(self, perturbation: str) -> list[str]:
        """A perturbation's planned severities or budgets, ascending."""
        levels = {c.severity: c.level for c in self.planned if c.perturbation == perturbation}
        return sorted(levels, key=lambda severity: levels[severity])

    def get(self, classifier: str, perturbation: str, severity: str) -> Result | None:
        """The result of one cell, None if it is missing."""
        return self._index.get((classifier, perturbation, severity))

    def clean(self, classifier: str) -> Result | None:
        """The classifier's result on clean pictures, None if it is missing."""
        own = (r for r in self.results if r.cell.classifier == classifier)
        return next((r for r in own if r.cell.family == "clean"), None)

    def under(self, classifier: str, perturbation: str) -> list[Result]:
        """The classifier's complete results under one perturbation, severity ascending."""
        found = (self.get(classifier, perturbation, s) for s in self.severities(perturbation))
        return [result for result in found if result is not None]

    def baseline(self, classifier: str, perturbation: str) -> Metrics | None:
        """The classifier's metrics on the clean pictures of a perturbation's own samples.

        Attacks run on a subset; what they cost can only be read against the same pictures.

        Returns:
            None without a clean result that has all these samples, without a perturbed one, or if
            the perturbed ones are not all of the same samples.
        """
        clean, perturbed = self.clean(classifier), self.under(classifier, perturbation)
        samples = {tuple(result.rows["sample_id"]) for result in perturbed}
        if clean is None or len(samples) != 1:
            return None
        wanted = samples.pop()
        rows = clean.rows[clean.rows["sample_id"].isin(wanted)]
        return measure(rows, clean.manifest.classes) if len(rows) == len(wanted) else None

    def reference(self, classifier: str, perturbation: str) -> Metrics | None:
        """What a perturbation's accuracies are read against: clean pictures.

        The clean cell for a corruption, which runs on all samples; `baseline` for an attack.
        """
        if perturbation in self.perturbations("attack"):
            return self.baseline(classifier, perturbation)
        clean = self.clean(classifier)
        return None if clean is None else clean.metrics

    def mean(self, classifier: str, perturbation: str) -> Estimate | None:
        """Mean accuracy over all planned severities, None unless every one is complete."""
        perturbed = self.under(classifier, perturbation)
        if not perturbed or len(perturbed) < len(self.severities(perturbation)):
            return None
        return mean_over_severities([result.metrics for result in perturbed])
