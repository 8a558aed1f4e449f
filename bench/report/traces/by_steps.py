"""Accuracy by number of steps, from one stored trace each: `bench run steps`."""

from collections.abc import Sequence

from bench.config.decision import FULL, DecisionConfig, FullDecision
from bench.report.traces.replay import Source

#: Of an EmoDC and the control, what `bench run steps` prints.
STEPS = (10, 25, 50, 100)
#: Of a classifier that looks at views.
VIEWS = (1, 2, 4, 8, 16)


def by_steps(source: Source) -> list[DecisionConfig]:
    """The full decision from so many of the steps or views, ascending; the last one from all."""
    return smaller(source, VIEWS if source.views else STEPS)


def smaller(source: Source, counts: Sequence[int]) -> list[DecisionConfig]:
    """The full decision from each number of steps below that of the trace, and from all."""
    fewer = [FullDecision(count=count) for count in counts if count < source.steps]
    return [*fewer, FULL]
