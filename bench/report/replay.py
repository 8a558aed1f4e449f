"""Rules on stored traces: what they decide, beside the full decision, and what that costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import inf
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bench.classifiers.kinds import kind_of
from bench.report.outcomes import (
    AccuracyEstimate,
    Difference,
    Number,
    Outcomes,
    bootstrapped,
    difference,
    share,
)
from bench.report.results import Result, ResultSet, checked
from bench.rules import (
    FULL,
    DecisionConfig,
    FullDecision,
    SequentialDecision,
    StagesDecision,
    ThresholdDecision,
    TTestDecision,
    VoteDecision,
    fitted,
)
from bench.store.cells import Cell, Manifest
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
        errors: (N, K, S); NLL, -log p(class), of a classifier that is no EmoDC.
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
    certified = about.place == "certified"  # many verdicts on noisy copies, without a trace
    return about.augmented or (not about.fits and not certified and bool(manifest.timesteps))


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


# ------------------------------------------------------------------------------------------------
# Rules beside the full decision: agreement, accuracy and cost, each with its interval
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Compared:
    """A rule on N pictures, by k trainings.

    Attributes:
        decision: The rule.
        label: As shown.
        n: Pictures.
        seeds: Trainings.
        accuracy: Of the rule.
        agreement: Share of pictures decided as by the full decision; None for that itself.
        difference: The rule's accuracy less the full decision's, paired; None for that itself.
        evaluations: Network evaluations per picture.
        share: The same in percent of the full decision's.
        passes: Steps or views per picture.
        flops: GFLOPs per picture; None if they are unknown.
        independent: Agreement with full decisions under independent noise, if there are any.
        right: 1 where a picture is recognised, else 0, (k, N).
    """

    decision: DecisionConfig
    label: str
    n: int
    seeds: int
    accuracy: AccuracyEstimate
    agreement: AccuracyEstimate | None
    difference: Difference | None
    evaluations: Number
    share: Number
    passes: Number
    flops: Number | None
    independent: AccuracyEstimate | None
    right: Floats


def compare(
    sources: Sequence[TraceSource],
    decisions: Sequence[DecisionConfig],
    weights: Sequence[TimestepWeights | None] | None = None,
    independent: Sequence[TraceSource] | None = None,
) -> list[Compared]:
    """Replay rules and compare each with the full decision.

    Args:
        sources: One classifier's trainings, aligned.
        decisions: The rules.
        weights: Of timesteps, one per source, for the rules and the full decision alike.
        independent: The same trainings' traces of the same pictures under other noise.

    Returns:
        In the order of `decisions`; with weights, what all steps decide without them comes first.

    Raises:
        UserError: If a rule needs a fit and a source has none.
    """
    full = replay(sources, FULL, weights)
    other = None if independent is None else replay(independent, FULL, weights)
    views, found = sources[0].views, []
    if weights is not None:
        plain = _compared(FULL, replay(sources, FULL), full, other, views)
        found.append(replace(plain, label=f"{plain.label}, no weights"))
    for decision in decisions:
        own = full if decision == FULL else replay(sources, decision, weights)
        found.append(_compared(decision, own, full, other, views))
    return found


def _compared(
    decision: DecisionConfig,
    own: Replayed,
    full: Replayed,
    other: Replayed | None,
    views: bool,
) -> Compared:
    trainings, n = own.right.shape
    whole = float(full.evaluations.mean())
    return Compared(
        decision=decision,
        label=_label(decision, views),
        n=n,
        seeds=trainings,
        accuracy=share(own.right),
        agreement=None if own is full else share(own.agrees(full)),
        difference=None if own is full else difference(own.right, full.right),
        evaluations=_cost(own.evaluations, 1),
        share=Number(100.0, 1) if own is full else _cost(100 * own.evaluations / whole, 1),
        passes=_cost(own.passes, 1),
        flops=None if own.flops is None else _cost(own.flops / 1e9, 3),
        independent=None if other is None else share(own.agrees(other)),
        right=own.right,
    )


def _label(decision: DecisionConfig, views: bool) -> str:
    label = decision.label
    return label.replace("step", "augmentation") if views and decision.kind == "full" else label


def _cost(values: Floats, digits: int) -> Number:
    """Mean over pictures and trainings; what is the same for all has no interval."""
    return bootstrapped(float(values.mean()), values, (0, inf), digits, 1)


def mean_over_budgets(
    costs: Sequence[float], right: Sequence[Floats], budgets: tuple[float, float], chance: float
) -> AccuracyEstimate:
    """Mean accuracy over the logarithm of a budget: the area under a cost curve.

    Between its points a curve is linear in the logarithm of the cost, before the cheapest one
    nothing can be decided but by chance, and beyond the dearest one its accuracy remains.

    Args:
        costs: Of the curve's points, above 0.
        right: Of each point, 1 where a picture is recognised, else 0, (k, N).
        budgets: From and to which cost, the former below the latter.
        chance: Accuracy of a guess.

    Returns:
        The mean, with the interval of a share: a picture scores its own mean over budgets.
    """
    order = np.argsort(costs, kind="stable")
    points = np.log(np.asarray(costs, np.float64)[order])
    low, high = np.log(budgets[0]), np.log(budgets[1])
    knots = np.unique(np.clip([low, *points, high], low, high))
    weights, guessed = np.zeros(len(points)), 0.0
    for start, end in pairwise(knots):
        width, middle = (end - start) / (high - low), (start + end) / 2
        if middle < points[0]:
            guessed += width
        else:
            # The mean of a linear piece is its value in the middle.
            weights += width * _shares(points, middle)
    scores = np.tensordot(weights, np.stack([right[i] for i in order]), axes=1)
    return share(scores + guessed * chance)


def _shares(points: Floats, at: float) -> Floats:
    """How much each point counts in the linear interpolation at one place."""
    return np.array([np.interp(at, points, unit) for unit in np.eye(len(points))])


# ------------------------------------------------------------------------------------------------
# Accuracy by number of steps, from one stored trace each: `bench run steps`
# ------------------------------------------------------------------------------------------------

#: Steps of an EmoDC and of the control that `bench run steps` has in its table.
STEPS = (10, 25, 50, 100)
#: Views of other classifiers that it has there.
TABLED_VIEWS = (1, 2, 4, 8, 16)


def by_steps(source: TraceSource) -> list[DecisionConfig]:
    """The full decision from so many of the steps or views, ascending; the last one from all."""
    return smaller(source, TABLED_VIEWS if source.views else STEPS)


def smaller(source: TraceSource, counts: Sequence[int]) -> list[DecisionConfig]:
    """The full decision from each number of steps below that of the trace, and from all."""
    fewer = [FullDecision(count=count) for count in counts if count < source.steps]
    return [*fewer, FULL]


# ------------------------------------------------------------------------------------------------
# What a decision of each classifier costs, and how good it is: rules replayed on stored traces.


#: Steps, or views, of smaller full decisions.
COUNTS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
VIEWS = (1, 2, 4, 8, 16, 32, 64)
#: Error probabilities of the sequential test, dearest last.
DELTAS = (0.2, 0.1, 0.05, 0.01, 0.001)
OTHERS: tuple[DecisionConfig, ...] = (
    StagesDecision(),
    TTestDecision(),
    ThresholdDecision(),
    VoteDecision(),
)


@dataclass(frozen=True, eq=False)
class CostCurve:
    """A classifier's decisions on clean pictures, by rule.

    Attributes:
        full: Every class at some evenly spaced steps, ascending; the last one at all.
        sequential: The sequential test, `DELTAS` descending.
        others: Further rules.
        views: Whether steps are views of the picture.
        errors: Whether they are an EmoDC's, which has an evaluation per class.
        profile: Whether the sequential test had a gap profile of validation pictures.
    """

    full: tuple[Compared, ...]
    sequential: tuple[Compared, ...]
    others: tuple[Compared, ...]
    views: bool
    errors: bool
    profile: bool

    @property
    def rules(self) -> tuple[Compared, ...]:
        """All of them, full decisions first."""
        return (*self.full, *self.sequential, *self.others)


#: Tables and figures ask for the same.
_KNOWN: "WeakKeyDictionary[ResultSet, dict[Path, Mapping[str, CostCurve]]]" = WeakKeyDictionary()


def cost_curves(group: ResultSet, store: Store) -> Mapping[str, CostCurve]:
    """Replays of every classifier of the group whose clean pictures all have complete traces."""
    known = _KNOWN.setdefault(group, {})
    if store.root not in known:
        reader = TraceReader(store)
        each = {name: _curve(_traced(group, name), reader) for name in group.names}
        known[store.root] = {name: curve for name, curve in each.items() if curve is not None}
    return known[store.root]


def _traced(group: ResultSet, classifier: str) -> Sequence[Result]:
    """The cells that have the classifier's traces of clean pictures, one per training."""
    clean = group.clean(classifier)
    if clean is not None and all(result.manifest.timesteps for result in clean.results):
        return clean.results
    own = [result for result in group.views if result.cell.classifier == classifier]
    most = max((result.cell.level for result in own), default=0)
    return [result for result in own if result.cell.level == most]


def _curve(results: Sequence[Result], reader: TraceReader) -> CostCurve | None:
    try:
        sources = aligned([reader.read(result.manifest, result.outcomes) for result in results])
    except UserError:  # absent, damaged, or measured by a rule that stops early
        return None
    if not sources or not len(sources[0].ids):
        return None
    first = sources[0]
    full = smaller(first, VIEWS if first.views else COUNTS)
    sequential = [SequentialDecision(delta=delta) for delta in DELTAS]
    rules = [rule for rule in (*sequential, *OTHERS) if _looks(rule, first)]
    found = compare(sources, [*full, *rules])
    parts: dict[bool, list[Compared]] = {True: [], False: []}
    for rule in found[len(full) :]:
        parts[isinstance(rule.decision, SequentialDecision)].append(rule)
    return CostCurve(
        tuple(found[: len(full)]),
        tuple(parts[True]),
        tuple(parts[False]),
        first.views,
        not first.together,
        all(source.fit is not None for source in sources),
    )


def _looks(rule: DecisionConfig, source: TraceSource) -> bool:
    """Whether a rule could stop before the last step: else it is the full decision."""
    return len(rule.rule(source.fit).looks(source.steps)) > 1


@dataclass(frozen=True)
class Single:
    """A classifier without traces: the one decision that was measured.

    Attributes:
        accuracy: Of it.
        evaluations: Mean network evaluations per picture.
        flops: GFLOPs per picture; None if they are unknown.
    """

    accuracy: AccuracyEstimate
    evaluations: float
    flops: float | None


def singles(group: ResultSet, curves: Mapping[str, CostCurve], store: Store) -> dict[str, Single]:
    """The classifiers that have clean pictures and no curve."""
    reader, found = TraceReader(store), {}
    for classifier in group.names:
        clean = group.clean(classifier)
        if classifier in curves or clean is None or not clean.evaluations:
            continue
        manifest, evaluations = clean.manifest, clean.evaluations
        parts = {} if manifest.timesteps else reader.flops(manifest)
        flops = parts.get("picture", 0) + parts.get("step", 0) * evaluations if parts else None
        gflops = None if flops is None else flops / 1e9
        found[classifier] = Single(clean.accuracy, evaluations, gflops)
    return found


def in_flops(curves: Mapping[str, CostCurve], others: Mapping[str, Single]) -> bool:
    """Whether every decision's FLOPs are known, so that all classifiers share an axis of cost."""
    rules = (rule.flops for curve in curves.values() for rule in curve.rules)
    return all(rules) and all(one.flops for one in others.values())
