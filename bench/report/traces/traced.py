"""EmoDC's complete cells together with their traces."""

from dataclasses import dataclass

import numpy as np

from bench.report.groups import Group, Result
from bench.store import Store
from emodc import diagnostics
from emodc.estimates import Floats


@dataclass(frozen=True, eq=False)
class Traced:
    """A complete EmoDC cell and its trace; outcomes, errors and timesteps are in one order.

    Attributes:
        result: The cell.
        errors: float32 (N, K, S).
        timesteps: int32 (N, S).
    """

    result: Result
    errors: np.ndarray
    timesteps: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Indices of the right classes, (N,)."""
        return self.result.outcomes.labels

    @property
    def name(self) -> str:
        """The condition, as shown."""
        cell = self.result.cell
        level = "" if cell.family == "clean" else f" {cell.severity}"
        return f"{cell.perturbation.replace('_', ' ')}{level}"

    def binned(self, edges: Floats) -> Floats:
        """Mean errors by timestep bin, (N, K, B)."""
        return diagnostics.bin_means(self.errors, self.timesteps, edges)


def with_traces(result: Result, store: Store) -> Traced | None:
    """A result with its trace; None if the store has none that is complete and fits its rows."""
    traces = store.traces(result.manifest)
    if traces is None or not traces.complete or list(traces.ids) != list(result.outcomes.ids):
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
