"""The picture that shows what happens to EmoDC's errors where another classifier gives way."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.groups import Group, Result
from bench.report.traced import Traced
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
            both = set(own.rows["sample_id"]) & set(traced.result.rows["sample_id"])
            name = next((name for name in changed if name in both), None)
            if after is None or name is None:
                continue
            rule = f"the first that {judge.name} gets right clean and wrong under {traced.name}"
            if judge is own:
                rule += ", as no other classifier has such a one"
            first, second = (
                Side(
                    condition.name,
                    {r.name: _decisions(r)[name] for r in (judged, condition.result)},
                    diagnostics.class_errors(condition.errors[condition.row(name)]),
                )
                for condition, judged in ((clean, judge), (traced, after))
            )
            label = str(own.rows["label"].iloc[clean.row(name)])
            return Example(name, label, rule, first, second)
    return None


def _under(group: Group, judge: Result, like: Result) -> Result | None:
    """A classifier's result under another cell's perturbation."""
    wanted = (judge.cell.classifier, judge.cell.seed, like.cell.perturbation, like.cell.severity)
    for result in group.results:
        cell = result.cell
        if (cell.classifier, cell.seed, cell.perturbation, cell.severity) == wanted:
            return result
    return None


def _changed(clean: Result, corrupted: Result) -> list[str]:
    """Samples recognised in the one and not in the other, by id."""
    labels = dict(zip(clean.rows["sample_id"], clean.rows["label"], strict=True))
    before, after = _decisions(clean), _decisions(corrupted)
    both = sorted(before.keys() & after.keys())
    return [name for name in both if before[name] == labels[name] != after[name]]


def _decisions(result: Result) -> dict[str, str | None]:
    """Predictions by sample id; None is a tie."""
    names, predictions = result.rows["sample_id"], result.rows["prediction"]
    return {n: None if p != p else p for n, p in zip(names, predictions, strict=True)}
