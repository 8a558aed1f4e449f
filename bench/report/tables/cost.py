"""What a decision costs: accuracy from fewer steps of a trace, beside the other classifiers."""

from collections.abc import Sequence

from bench.report.groups import Group, Pooled
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name
from bench.report.traces.steps import AtSteps, steps_by_classifier
from bench.store import Store


def cost_table(group: Group, store: Store) -> TableSpec | None:
    """A row per classifier, of a diffusion classifier one per number of steps.

    Returns:
        None if the group has no trace of clean pictures.
    """
    traced = steps_by_classifier(group, store)
    if not traced:
        return None
    counts = counts_header(group)
    costs = ("evaluations/image", "seconds/image")
    header = ("classifier", *counts, "steps", *costs, "accuracy %")
    rows: list[tuple[Value, ...]] = []
    used: list[Pooled] = []
    for classifier, name in group.names.items():
        clean = group.clean(classifier)
        if clean is None:
            continue
        used.append(clean)
        m = clean.metrics
        size = (str(m.n), str(m.seeds)) if group.several else (str(m.n),)
        if classifier in traced:
            rows += [(name, *size, *row) for row in _by_steps(clean, traced[classifier])]
        else:
            whole = (_number(m.evaluations, 1), _number(m.seconds, 4), m.accuracy)
            rows.append((name, *size, None, *whole))
    about = (
        "Clean pictures: accuracy in percent against what a decision costs, with "
        f"{interval_name(group)} intervals. A diffusion classifier decides from some steps of its "
        "stored trace: of the steps ordered by timestep the middles of that many equal parts. "
        "Evaluations are those of the whole trace in proportion. The others decide as they are. "
        "Seconds were measured for whole decisions, one picture at a time, and depend on the "
        "machine. Costs are means, without intervals: evaluations are fixed, and times say more "
        "of the machine than of the pictures."
    )
    return captioned(group, "steps", "Accuracy against cost", about, used, header, rows)


def _by_steps(clean: Pooled, points: Sequence[AtSteps]) -> list[tuple[Value, ...]]:
    """Steps, evaluations, seconds of the whole trace, accuracy; for each number of steps."""
    total = points[-1].steps
    return [
        (
            str(point.steps),
            Number(point.evaluations, 1),
            _number(clean.metrics.seconds, 4) if point.steps == total else None,
            point.accuracy,
        )
        for point in points
    ]


def _number(value: float | None, digits: int) -> Number | None:
    return None if value is None else Number(value, digits)
