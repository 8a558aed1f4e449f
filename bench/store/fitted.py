"""What decisions learn from validation pictures, from a run's store."""

import numpy as np

from bench.store.cells import Cell, Manifest
from bench.store.store import Store
from emodc.decisions.fit import Fit, fit


def fitted(store: Store, cell: Cell) -> Fit | None:
    """The fit for decisions on a cell, from the same training's validation pictures.

    Args:
        store: The run.
        cell: Of an EmoDC: clean, corrupted or attacked pictures.

    Returns:
        None without a complete validation cell and its complete trace, or if that teaches nothing.
    """
    manifest = _validation(store, cell)
    traces = None if manifest is None else store.traces(manifest)
    if manifest is None or traces is None or not traces.complete:
        return None
    rows = store.rows(manifest)
    if list(rows["sample_id"]) != list(traces.ids):
        return None
    position = {name: i for i, name in enumerate(manifest.classes)}
    labels = np.array([position[name] for name in rows["label"]])
    try:
        return fit(traces.errors, traces.timesteps, labels)
    except ValueError:
        return None


def _validation(store: Store, cell: Cell) -> Manifest | None:
    alike = ("classifier", "dataset", "seed", "run_seed")
    for planned in store.planned():
        if planned.about.fits and all(
            getattr(planned, name) == getattr(cell, name) for name in alike
        ):
            return store.manifest(planned)
    return None
