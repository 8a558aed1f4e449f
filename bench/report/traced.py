"""EmoDC's complete cells together with their traces."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.report.groups import Group, Result
from bench.store import Store
from emodc import diagnostics
from emodc.estimates import Floats


@dataclass(frozen=True, eq=False)
class Traced:
    """A complete EmoDC cell and its trace; rows, errors and timesteps are in the same order.

    Attributes:
        result: The cell's rows and metrics.
        errors: float32 (N, K, S).
        timesteps: int32 (N, S).
    """

    result: Result
    errors: np.ndarray
    timesteps: np.ndarray

    @cached_property
    def labels(self) -> np.ndarray:
        """Indices of the right classes, (N,)."""
        order = {name: k for k, name in enumerate(self.result.manifest.classes)}
        return np.array([order[label] for label in self.result.rows["label"]])

    @property
    def name(self) -> str:
        """The condition, as shown."""
        cell = self.result.cell
        level = "" if cell.family == "clean" else f" {cell.severity}"
        return f"{cell.perturbation.replace('_', ' ')}{level}"

    def row(self, sample_id: str) -> int:
        """Where a sample stands."""
        return int(np.flatnonzero(self.result.rows["sample_id"] == sample_id)[0])

    def binned(self, edges: Floats) -> Floats:
        """Mean errors by timestep bin, (N, K, B)."""
        return diagnostics.bin_means(self.errors, self.timesteps, edges)


def with_traces(result: Result, store: Store) -> Traced | None:
    """A result with its trace; None if the store has none that fits its rows."""
    traces = store.traces(result.manifest)
    if traces is None or list(traces.ids) != list(result.rows["sample_id"]):
        return None
    if traces.errors.shape[1] != len(result.manifest.classes):
        return None
    return Traced(result, traces.errors, traces.timesteps)


def strongest(group: Group, beside: Result) -> list[Result]:
    """Of each corruption, the same classifier's and seed's result at the highest severity."""
    found: dict[str, Result] = {}
    for result in group.results:
        cell, own = result.cell, beside.cell
        if (cell.classifier, cell.seed, cell.family) == (own.classifier, own.seed, "corruption"):
            known = found.get(cell.perturbation)
            if known is None or known.cell.level < cell.level:
                found[cell.perturbation] = result
    return list(found.values())
