"""The picture that shows what happens to EmoDC's errors where another classifier gives way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.groups import Group, Result
from bench.report.outcomes import shared_samples
from bench.report.traces.traced import Traced
from emodc import diagnostics


@dataclass(frozen=True)
class Side:
    """One picture under one condition.

    Attributes:
        condition: Its name.
        decisions: Predictions by classifier, as shown; None is a tie.
        errors: EmoDC's errors per class.
    """

    condition: str
    decisions: dict[str, str | None]
    errors: diagnostics.ClassErrors


@dataclass(frozen=True)
class Example:
    """One picture, clean and corrupted.

    Attributes:
        sample_id: Which.
        label: Its class.
        rule: How it was chosen.
        clean: What was said of it.
        corrupted: What was said of it then.
    """

    sample_id: str
    label: str
    rule: str
    clean: Side
    corrupted: Side


def find_example(group: Group, clean: Traced, corrupted: Sequence[Traced]) -> Example | None:
    """The first picture whose decision another classifier changes from right to wrong.

    Chosen by the other classifier alone, so that EmoDC's own decision has no part in it. Without
    another classifier it is EmoDC's own that changes.
    """
    own = clean.result
    others = [r for r in group.results if r.cell.family == "clean" and not r.manifest.timesteps]
    for judge in [*others, own]:
        for traced in corrupted:
            after = _under(group, judge, traced.result)
            changed = [] if after is None else _changed(judge, after)
            both = [i for i in changed if i in own.outcomes.ids and i in traced.result.outcomes.ids]
            if after is None or not both:
                continue
            rule = f"the first that {judge.name} gets right clean and wrong under {traced.name}"
            if judge is own:
                rule += ", as no other classifier has such a one"
            label = judge.outcomes.label(both[0])
            sides = (_side(both[0], clean, judge), _side(both[0], traced, after))
            return Example(both[0], label, rule, *sides)
    return None


def _under(group: Group, judge: Result, like: Result) -> Result | None:
    """A classifier's result under another cell's perturbation."""
    wanted = (judge.cell.classifier, judge.cell.seed, like.cell.perturbation, like.cell.severity)
    for result in group.results:
        cell = result.cell
        if (cell.classifier, cell.seed, cell.perturbation, cell.severity) == wanted:
            return result
    return None


def _side(sample_id: str, condition: Traced, judged: Result) -> Side:
    row = int(np.searchsorted(condition.result.outcomes.ids, sample_id))
    decisions = {r.name: r.outcomes.decision(sample_id) for r in (judged, condition.result)}
    return Side(condition.name, decisions, diagnostics.class_errors(condition.errors[row]))


def _changed(clean: Result, corrupted: Result) -> list[str]:
    """Samples recognised in the one and not in the other, by id."""
    before, after = shared_samples([clean.outcomes, corrupted.outcomes])
    return list(before.ids[before.right & ~after.right])
