"""Which traces of a store can be replayed."""

from functools import cached_property

from bench.cells import FOR_DECISIONS, Cell, Manifest
from bench.errors import UserError
from bench.fitted import fitted
from bench.report.outcomes import Outcomes
from bench.report.results import checked
from bench.report.traces.replay import Source
from bench.store import Store
from emodc.fit import Fit


def replayable(manifest: Manifest) -> bool:
    """Whether a complete cell has a trace that rules decide from.

    Every cell of an EmoDC has; of other classifiers the one with views of clean pictures.
    """
    family = manifest.cell.family
    return family == "views" or (family != "validation" and bool(manifest.timesteps))


class Reader:
    """Reads the traces of a store, with what their decisions need besides.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._fits: dict[tuple[str, str, int, int], Fit | None] = {}

    @cached_property
    def cells(self) -> list[Cell]:
        """All planned cells."""
        return self.store.planned()

    def read(self, manifest: Manifest, outcomes: Outcomes | None = None) -> Source:
        """A cell's trace.

        Args:
            manifest: Of a complete cell.
            outcomes: Its rows; read, too, if they are not given.

        Raises:
            UserError: If there is no trace, or it is damaged or not complete.
        """
        rows = checked(self.store, manifest, None) if outcomes is None else outcomes
        traces = self.store.traces(manifest) if replayable(manifest) else None
        if traces is None or list(traces.ids) != list(rows.ids):
            raise UserError(
                "its trace is absent or damaged; the same `bench run` makes it again", 1
            )
        if traces.errors.shape[1] != len(manifest.classes):
            raise UserError(f"its trace has not {len(manifest.classes)} classes", 1)
        if not traces.complete:
            raise UserError(_why_incomplete(manifest), 1)
        cell = manifest.cell
        views = cell.family == "views"
        return Source(
            ids=rows.ids,
            labels=rows.labels,
            errors=traces.errors,
            timesteps=traces.timesteps,
            seed=cell.run_seed if traces.info is None else traces.info.seed,
            together=views,
            views=views and manifest.training.get("kind") != "control",
            flops=self.flops(manifest),
            fit=None if views else self._fit(cell),
        )

    def _fit(self, cell: Cell) -> Fit | None:
        key = cell.classifier, cell.dataset, cell.seed, cell.run_seed
        if key not in self._fits:
            try:
                self._fits[key] = fitted(self.store, cell)
            except UserError:  # damaged validation pictures take no other decision along
                self._fits[key] = None
        return self._fits[key]

    def flops(self, manifest: Manifest) -> dict[str, float]:
        """What the parts of a decision cost, from the cell or another one of the same weights.

        Cells of before operations were counted do not know theirs; those for decisions do.
        """
        if manifest.flops:
            return manifest.flops
        for cell in self.cells:
            if cell.classifier == manifest.cell.classifier and cell.family in FOR_DECISIONS:
                other = self.store.manifest(cell)
                if other is not None and other.checkpoint == manifest.checkpoint and other.flops:
                    return other.flops
        return {}


def _why_incomplete(manifest: Manifest) -> str:
    evaluation = manifest.inputs.get("evaluation") or {}
    if not evaluation.get("decision"):
        return "its trace has values that are no finite numbers, which nothing can be decided by"
    return (
        "its trace is not complete: it was measured by a rule that stops early, and only what was "
        "measured can be replayed. Measure it without `evaluation.decision`"
    )
