"""What a decision costs: accuracy from fewer steps of a trace, beside the other classifiers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.report.groups import Group, Pooled
from bench.report.measures import share
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name
from bench.report.traced import Traced, with_traces
from bench.store import Store
from emodc.diagnostics import decisions_right

STEPS = (1, 2, 5, 10, 25, 50, 100)


def cost_table(group: Group, store: Store) -> TableSpec | None:
    """A row per classifier, of a diffusion classifier one per number of steps.

    Returns:
        None if the group has no trace of clean pictures.
    """
    counts = counts_header(group)
    costs = ("evaluations/image", "seconds/image")
    header = ("classifier", *counts, "steps", *costs, "accuracy %")
    rows: list[tuple[Value, ...]] = []
    used: list[Pooled] = []
    traced = False
    for classifier, name in group.names.items():
        clean = group.clean(classifier)
        if clean is None:
            continue
        used.append(clean)
        m = clean.metrics
        size = (str(m.n), str(m.seeds)) if group.several else (str(m.n),)
        traces = [with_traces(result, store) for result in clean.results]
        known = [own for own in traces if own is not None]
        if known and len(known) == len(traces):
            traced = True
            rows += [(name, *size, *row) for row in _by_steps(clean, known)]
        else:
            whole = (_number(m.evaluations, 1, 1.0), _number(m.seconds, 4, 1.0), m.accuracy)
            rows.append((name, *size, None, *whole))
    if not traced:
        return None
    about = (
        "Clean pictures: accuracy in percent against what a decision costs, with "
        f"{interval_name(group)} intervals. A diffusion classifier decides from some steps of its "
        "stored trace, each an evaluation of every class: of the steps ordered by timestep the "
        "middles of that many equal parts. Seconds are those of the whole trace in proportion, and "
        "depend on the machine. The others decide as they are. Costs are means, without intervals: "
        "evaluations are fixed, and times say more of the machine than of the pictures."
    )
    return captioned(group, "steps", "Accuracy against cost", about, used, header, rows)


def evenly_spaced(count: int, steps: int) -> NDArray[np.intp]:
    """The middles of `count` equal parts of `steps` positions, ascending; at most `steps`."""
    return ((np.arange(count) + 0.5) * steps / count).astype(np.intp)


def _by_steps(clean: Pooled, traces: Sequence[Traced]) -> list[tuple[Value, ...]]:
    """Steps, evaluations, seconds and accuracy, for each number of steps up to the whole trace."""
    steps = min(own.errors.shape[2] for own in traces)
    classes = traces[0].errors.shape[1]
    m = clean.metrics
    rows: list[tuple[Value, ...]] = []
    for count in sorted({*(s for s in STEPS if s < steps), steps}):
        right = np.stack([_right(own, count, clean) for own in traces])
        evaluations = Number(float(count * classes), 1)
        rows.append((str(count), evaluations, _number(m.seconds, 4, count / steps), share(right)))
    return rows


def _right(traced: Traced, count: int, clean: Pooled) -> NDArray[np.float64]:
    """1 where a picture is recognised from `count` steps, (N,), of the samples of all seeds."""
    order = np.argsort(traced.timesteps, axis=1, kind="stable")
    chosen = order[:, evenly_spaced(count, order.shape[1])]
    errors = np.take_along_axis(traced.errors, chosen[:, None], axis=2)
    right = decisions_right(errors.mean(axis=2, dtype=np.float64), traced.labels)
    wanted = set(clean.outcomes[0].ids)
    return right[[name in wanted for name in traced.result.outcomes.ids]].astype(np.float64)


def _number(value: float | None, digits: int, part: float) -> Number | None:
    return None if value is None else Number(part * value, digits)
