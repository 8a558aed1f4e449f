"""Which traces of a store can be replayed."""

import numpy as np

from bench.decisions.replay import Source
from bench.errors import UserError
from bench.report.outcomes import Outcomes
from bench.store import Manifest, Store
from emodc.fit import Fit


def replayable(manifest: Manifest) -> bool:
    """Whether a complete cell has a trace that rules decide from.

    Every cell of an EmoDC has; of other classifiers the one with views of clean pictures.
    """
    return manifest.cell.family == "views" or bool(manifest.timesteps)


def read_source(store: Store, manifest: Manifest, outcomes: Outcomes, fit: Fit | None) -> Source:
    """A cell's trace.

    Args:
        store: Where it is.
        manifest: Of a cell that is `replayable`.
        outcomes: Its rows.
        fit: What the classifier's validation traces taught.

    Raises:
        UserError: If the trace is absent, damaged, or not complete.
    """
    traces = store.traces(manifest)
    if traces is None or list(traces.ids) != list(outcomes.ids):
        raise UserError("its trace is absent or damaged; the same `bench run` makes it again", 1)
    if traces.errors.shape[1] != len(manifest.classes):
        raise UserError(f"its trace has not {len(manifest.classes)} classes", 1)
    if not np.isfinite(traces.errors).all():
        raise UserError(
            "its trace is not complete: it was measured by a rule that stops early, and only what "
            "was measured can be replayed. Run it with `evaluation.decision` left out",
            1,
        )
    views = manifest.cell.family == "views"
    return Source(
        ids=outcomes.ids,
        labels=outcomes.labels,
        errors=traces.errors,
        timesteps=traces.timesteps,
        seed=manifest.cell.run_seed,
        together=views,
        views=views and manifest.training.get("kind") != "control",
        flops=manifest.flops,
        fit=fit,
    )
