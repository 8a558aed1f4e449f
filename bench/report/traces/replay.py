"""A rule on the traces of one classifier: what it decides, and what that costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.config.decision import DecisionConfig, FullDecision
from emodc.by_timestep import TimestepWeights
from emodc.decide import Decisions, decide
from emodc.fit import Fit

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
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
        flops: Of a decision's parts, as `bench.store.Manifest` has them; empty if unknown.
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

    def among(self, ids: NDArray[np.object_]) -> "Source":
        """The pictures that `ids` names, all of which it has."""
        at = np.searchsorted(self.ids, ids)
        if len(at) == len(self.ids):
            return self
        parts = {name: getattr(self, name)[at] for name in ("labels", "errors", "timesteps")}
        return replace(self, ids=ids, **parts)

    def first(self, count: int) -> "Source":
        """The first `count` steps alone."""
        errors, timesteps = self.errors[:, :, :count], self.timesteps[:, :count]
        return replace(self, errors=errors, timesteps=timesteps)


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a rule decided of N pictures, by each of k trainings; all (k, N).

    Attributes:
        winner: Positions of the classes; `emodc.decide.TIE` for none.
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


def aligned(sources: Sequence[Source]) -> list[Source]:
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
    sources: Sequence[Source],
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
    source: Source, decision: DecisionConfig, weights: TimestepWeights | None
) -> Decisions:
    rule = decision.rule(source.fit)
    if isinstance(decision, FullDecision) and decision.count is not None and source.views:
        # Of several views the first is the picture itself, which a smaller number begins with.
        source, rule = source.first(decision.count), FullDecision().rule()
    values = None if weights is None else weights.of(source.timesteps)
    ids, seed = source.ids.tolist(), source.seed
    return decide(source.errors, source.timesteps, rule, ids, seed=seed, weights=values)


def _flops(sources: Sequence[Source], passes: Floats, evaluations: Floats) -> Floats | None:
    parts = [source.flops for source in sources]
    if not all(parts):
        return None
    each = [
        own.get("picture", 0) + own.get("step", 0) * n + own.get("evaluation", 0) * m
        for own, n, m in zip((p for p in parts if p), passes, evaluations, strict=True)
    ]
    return np.stack(each)
