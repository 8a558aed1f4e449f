"""Accuracy by number of steps, from one stored trace each: `bench run steps`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from bench.report.groups import Result, ResultSet
from bench.report.spec import AccuracyEstimate
from bench.report.traces.compared import Compared, compare
from bench.report.traces.replay import TraceReader, TraceSource, aligned
from bench.rules import (
    FULL,
    DecisionConfig,
    FullDecision,
    SequentialDecision,
    StagesDecision,
    ThresholdDecision,
    TTestDecision,
    VoteDecision,
)
from bench.store.store import Store
from bench.util.errors import UserError

#: Of an EmoDC and the control, what `bench run steps` prints.
STEPS = (10, 25, 50, 100)
#: Of a classifier that looks at views.
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
        if classifier in curves or clean is None or not clean.metrics.evaluations:
            continue
        manifest, evaluations = clean.results[0].manifest, clean.metrics.evaluations
        parts = {} if manifest.timesteps else reader.flops(manifest)
        flops = parts.get("picture", 0) + parts.get("step", 0) * evaluations if parts else None
        gflops = None if flops is None else flops / 1e9
        found[classifier] = Single(clean.metrics.accuracy, evaluations, gflops)
    return found


def in_flops(curves: Mapping[str, CostCurve], others: Mapping[str, Single]) -> bool:
    """Whether every decision's FLOPs are known, so that all classifiers share an axis of cost."""
    rules = (rule.flops for curve in curves.values() for rule in curve.rules)
    return all(rules) and all(one.flops for one in others.values())
