"""What decisions learn from validation pictures, from a run's store."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from bench.store import Cell, Manifest, Store
from emodc.fit import Fit, fit


def fitted(store: Store, cell: Cell) -> Fit | None:
    """The fit for decisions on a cell, from the same training's validation pictures.

    Args:
        store: The run.
        cell: Of an EmoDC: clean, corrupted or attacked pictures.

    Returns:
        None without a complete validation cell, or if its trace cannot teach anything.
    """
    manifest = _validation(store, cell)
    return None if manifest is None else _fit(store.root, manifest.cell)


def _validation(store: Store, cell: Cell) -> Manifest | None:
    alike = ("classifier", "dataset", "seed", "run_seed")
    for planned in store.planned():
        if planned.family == "validation" and all(
            getattr(planned, name) == getattr(cell, name) for name in alike
        ):
            return store.manifest(planned)
    return None


@lru_cache(maxsize=64)  # a cell's id digests all that determines its rows
def _fit(root: Path, cell: Cell) -> Fit | None:
    store = Store(root)
    manifest = store.manifest(cell)
    traces = None if manifest is None else store.traces(manifest)
    if manifest is None or traces is None or not np.isfinite(traces.errors).all():
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
