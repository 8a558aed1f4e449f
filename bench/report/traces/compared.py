"""Rules beside the full decision: agreement, accuracy and cost, each with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

import numpy as np

from bench.report.measures import bootstrapped, difference, share
from bench.report.spec import AccuracyEstimate, Difference, Number
from bench.report.traces.replay import Floats, Replayed, TraceSource, replay
from bench.rules import FULL, DecisionConfig
from emodc.decisions.fit import TimestepWeights


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
    return label.replace("step", "view") if views and decision.kind == "full" else label


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
            # Of a linear piece the mean is the value in its middle.
            weights += width * _shares(points, middle)
    scores = np.tensordot(weights, np.stack([right[i] for i in order]), axes=1)
    return share(scores + guessed * chance)


def _shares(points: Floats, at: float) -> Floats:
    """How much each point counts in the linear interpolation at one place."""
    return np.array([np.interp(at, points, unit) for unit in np.eye(len(points))])
