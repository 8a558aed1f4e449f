"""A rule on the traces of one classifier: what it decides, and what that costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.classifiers.kinds import kind_of
from bench.report.outcomes import Outcomes
from bench.report.results import checked
from bench.rules import DecisionConfig, FullDecision
from bench.store.cells import Cell, Manifest
from bench.store.fitted import fitted
from bench.store.store import Store
from bench.util.errors import UserError
from emodc.decisions.decide import Decisions, decide
from emodc.decisions.fit import Fit, TimestepWeights

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TraceSource:
    """The trace of one training of a classifier on N pictures, and what its decisions rest on.

    Attributes:
        ids: Sample ids, (N,), ascending.
        labels: Right classes, (N,).
        errors: (N, K, S); surprises of a classifier that is no EmoDC.
        timesteps: (N, S); numbers of views of a classifier that looks at views.
        seed: Of the noise or the views: with the sample id it addresses the order of visiting.
        together: Whether one pass of the network scores all classes and counts as an evaluation,
            as it does for every classifier but EmoDC.
        views: Whether steps are views of the picture, the first one the picture itself.
        flops: Of a decision's parts, as `bench.store.store.Manifest` has them; empty if unknown.
        fit: What validation traces taught, if there are any.
    """

    ids: NDArray[np.object_]
    labels: NDArray[np.integer]
    errors: np.ndarray
    timesteps: NDArray[np.integer]
    seed: int
    together: bool = False
    views: bool = False
    flops: Mapping[str, float] | None = None
    fit: Fit | None = None

    @property
    def steps(self) -> int:
        """Steps of the full decision, S."""
        return self.errors.shape[2]

    def among(self, ids: NDArray[np.object_]) -> "TraceSource":
        """The pictures that `ids` names, all of which it has."""
        at = np.searchsorted(self.ids, ids)
        if len(at) == len(self.ids):
            return self
        parts = {name: getattr(self, name)[at] for name in ("labels", "errors", "timesteps")}
        return replace(self, ids=ids, **parts)

    def first(self, count: int) -> "TraceSource":
        """The first `count` steps alone."""
        errors, timesteps = self.errors[:, :, :count], self.timesteps[:, :count]
        return replace(self, errors=errors, timesteps=timesteps)


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a rule decided of N pictures, by each of k trainings; all (k, N).

    Attributes:
        winner: Positions of the classes; `emodc.decisions.decide.TIE` for none.
        right: 1 where the picture is recognised, else 0.
        evaluations: Network evaluations.
        passes: Steps, or views, at which anything was measured.
        flops: Floating point operations; None if they are unknown.
    """

    winner: NDArray[np.intp]
    right: Floats
    evaluations: Floats
    passes: Floats
    flops: Floats | None

    def agrees(self, other: "Replayed") -> Floats:
        """1 where another rule decided alike, a tie with a tie, else 0."""
        return (self.winner == other.winner).astype(np.float64)


def aligned(sources: Sequence[TraceSource]) -> list[TraceSource]:
    """The sources on the pictures that all have.

    Steps need not be equal in number: each is decided on its own.
    """
    if not sources:
        return []
    shared = sources[0].ids
    for other in sources[1:]:
        if not np.array_equal(shared, other.ids):
            shared = np.array(sorted(set(shared) & set(other.ids)), object)
    return [source.among(shared) for source in sources]


def replay(
    sources: Sequence[TraceSource],
    decision: DecisionConfig,
    weights: Sequence[TimestepWeights | None] | None = None,
) -> Replayed:
    """Decide every picture by a rule.

    Args:
        sources: One classifier's trainings, aligned.
        decision: The rule.
        weights: Of timesteps, one per source; None for the plain mean of errors.

    Raises:
        UserError: If the rule needs a fit and a source has none.
    """
    own = weights or [None] * len(sources)
    found = [_decided(source, decision, w) for source, w in zip(sources, own, strict=True)]
    winner = np.stack([one.winner for one in found])
    passes = np.stack([one.steps for one in found]).astype(np.float64)
    measured = np.stack([one.evaluations for one in found]).astype(np.float64)
    labels = np.stack([source.labels for source in sources])
    return Replayed(
        winner,
        (winner == labels).astype(np.float64),
        passes if sources[0].together else measured,
        passes,
        _flops(sources, passes, measured),
    )


def _decided(
    source: TraceSource, decision: DecisionConfig, weights: TimestepWeights | None
) -> Decisions:
    rule = decision.rule(source.fit)
    if isinstance(decision, FullDecision) and decision.count is not None and source.views:
        # Of several views the first is the picture itself, which a smaller number begins with.
        source, rule = source.first(decision.count), FullDecision().rule()
    values = None if weights is None else weights.of(source.timesteps)
    ids, seed = source.ids.tolist(), source.seed
    return decide(source.errors, source.timesteps, rule, ids, seed=seed, weights=values)


def _flops(sources: Sequence[TraceSource], passes: Floats, evaluations: Floats) -> Floats | None:
    parts = [source.flops for source in sources]
    if not all(parts):
        return None
    each = [
        own.get("picture", 0) + own.get("step", 0) * n + own.get("evaluation", 0) * m
        for own, n, m in zip((p for p in parts if p), passes, evaluations, strict=True)
    ]
    return np.stack(each)


# ------------------------------------------------------------------------------------------------
# Which traces of a store can be replayed.


def replayable(manifest: Manifest) -> bool:
    """Whether a complete cell has a trace that rules decide from.

    Every cell of an EmoDC has; of other classifiers the one with views of clean pictures.
    """
    about = manifest.cell.about
    return about.augmented or (not about.fits and bool(manifest.timesteps))


class TraceReader:
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

    def read(self, manifest: Manifest, outcomes: Outcomes | None = None) -> TraceSource:
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
        views = cell.about.augmented
        return TraceSource(
            ids=rows.ids,
            labels=rows.labels,
            errors=traces.errors,
            timesteps=traces.timesteps,
            seed=cell.run_seed if traces.info is None else traces.info.seed,
            together=views,
            views=views and not kind_of(manifest.training).staged,
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
            if cell.classifier == manifest.cell.classifier and cell.about.for_decisions:
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
