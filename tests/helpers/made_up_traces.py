"""Cells of a made-up store that have traces, decided by their lowest mean errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from made_up_cells import CLASSES, info, inputs_of, make_cell

from bench.store.cells import Cell, Manifest
from bench.store.store import ROW_SCHEMA, Store
from bench.store.traces import Traces

K = len(CLASSES)


def errors(seed: int, n: int = 60, steps: int = 40, gap: float = 0.3) -> np.ndarray:
    """Errors, float32 (n, K, steps), lower by `gap` under the class that `labels` name, mostly."""
    draws = np.random.default_rng(seed)
    shared = 1 + 0.2 * draws.random((n, 1, steps))
    strength = gap * draws.exponential(size=(n, 1))
    found = shared + 0.25 * draws.normal(size=(n, K, steps))
    found[np.arange(n), labels(n)] -= strength
    return found.astype(np.float32)


def labels(n: int) -> np.ndarray:
    """Classes of n pictures."""
    return np.arange(n) % K


def write_traces(
    store: Store,
    classifier: str,
    trace: np.ndarray,
    perturbation: str = "clean",
    severity: str = "0",
    family: str = "clean",
    seed: int = 0,
    run_seed: int = 0,
    first: int = 0,
    **manifest: Any,
) -> Cell:
    """A complete cell with this trace, (N, K, S), of the pictures from number `first` on."""
    n, _, steps = trace.shape
    inputs = {"data": "d1", "weights": classifier, "perturbation": {"name": perturbation}}
    inputs = manifest.pop("inputs", inputs)
    cell = make_cell(
        classifier, perturbation, severity, "faces", seed, run_seed, family=family, inputs=inputs
    )
    means = np.nanmean(trace.astype(float), axis=2)
    views = family == "views"
    truth = labels(first + n)[first:]
    rows = pd.DataFrame(
        {
            "sample_id": [f"s{first + i:03d}" for i in range(n)],
            "label": [CLASSES[k] for k in truth],
            "prediction": [CLASSES[k] for k in means.argmin(axis=1)],
            "logits": list((-10 * means).astype(np.float32)),
            "d_p": None if views else means[np.arange(n), truth],
            "evaluations": steps if views else K * steps,
            "seconds": 0.01,
        }
    )
    rows["d_p"] = rows["d_p"].astype(float)
    grid = np.tile(np.arange(steps, dtype=np.int32) * (1 if views else 10), (n, 1))
    kind = info(steps, CLASSES, "surprises" if views else "errors")
    traces = Traces(tuple(rows["sample_id"]), trace, grid, kind)
    store.write_part(cell, 0, rows[ROW_SCHEMA.names], traces)
    content = {
        "classes": CLASSES,
        "n": n,
        "shards": 1,
        "checkpoint": f"weights-of-{classifier}",
        "gate": None,
        "timesteps": [] if views else grid[0].tolist(),
        "validation": {},
        "training": {},
        "inputs": inputs_of(cell, inputs),
        "environment": {},
    }
    store.write_manifest(Manifest(cell=cell, **(content | manifest)))
    return cell


def write_run(root: Path, noise: int = 0) -> Path:
    """An EmoDC, clean and in fog, with validation pictures, and a classifier that sees views."""
    store, cost = Store(root), {"picture": 5e6, "step": 1e6, "evaluation": 0.0}
    cells = [
        write_traces(store, "emodc", errors(1), family="validation", flops=cost),
        write_traces(store, "emodc", errors(10 + noise)),
        write_traces(store, "emodc", errors(20 + noise, gap=0.1), "fog", "1", "corruption"),
        write_traces(store, "emodc", errors(30 + noise, gap=0.02), "fog", "2", "corruption"),
        write_traces(store, "net", errors(40, steps=8), family="views", severity="8", flops=cost),
    ]
    store.write_plan(cells, {})
    return root
