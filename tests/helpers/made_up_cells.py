"""Cells of a made-up store, and such whose decisions follow from logits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.store.cells import Cell, Conditioning, Manifest, identify
from bench.store.store import ROW_SCHEMA, Store
from bench.store.traces import TraceInfo, Traces

CLASSES = ["happy", "sad", "angry"]
CONDITIONS = [("clean", "0"), ("fog", "1"), ("fog", "2"), ("blur", "1"), ("blur", "2")]
STEPS = 8  # of a trace
#: A checkpoint whose prompt does not matter.
IGNORES = Conditioning(
    passed=False, n=350, accuracy=0.16, accuracy_low=0.125, chance=1 / 7,
    gap=1e-5, gap_low=-2e-5, gap_high=4e-5,
)  # fmt: skip


def make_cell(
    classifier: str,
    perturbation: str,
    severity: str,
    dataset: str,
    seed: int,
    run_seed: int = 0,
    family: str = "",
    inputs: dict[str, Any] | None = None,
) -> Cell:
    """A cell under the id of its `inputs_of`; its family follows from its severity if not given."""
    follows = "attack" if "/" in severity else "clean" if severity == "0" else "corruption"
    cell = Cell(
        id="unknown",
        classifier=classifier,
        dataset=dataset,
        perturbation=perturbation,
        family=family or follows,
        severity=severity,
        seed=seed,
        run_seed=run_seed,
    )
    return renamed(cell, inputs_of(cell, inputs))


def inputs_of(cell: Cell, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the id of a made-up cell digests: its own fields, and `inputs`."""
    return {"made_up": cell.model_dump(exclude={"id", "classifier"})} | (inputs or {})


def renamed(cell: Cell, inputs: dict[str, Any]) -> Cell:
    """The cell under the id that these inputs give it."""
    return cell.model_copy(update={"id": identify(cell.classifier, cell.dataset, inputs)})


def restated(store: Store, of: Cell, **changes: Any) -> Cell:
    """The same rows with other fields of their cell or manifest, under the id of its inputs."""
    old = store.manifest(of)
    assert old is not None
    new = of.model_copy(update=changes.pop("cell", {}))
    inputs = old.inputs | inputs_of(new) | changes.pop("inputs", {})
    new = renamed(new, inputs)
    traces = store.traces(old)
    store.write_part(new, 0, store.rows(old), traces)
    update = {"cell": new, "inputs": inputs, "shards": 1, "files": None}
    store.write_manifest(old.model_copy(update=update | changes))
    return new


def info(steps: int, classes: Sequence[str] = CLASSES, kind: str = "errors") -> TraceInfo:
    """Of made-up traces with this many steps."""
    return TraceInfo(
        kind=kind, classes=tuple(classes), precision="float32", model="w", seed=0, steps=steps
    )


def write_cell(
    store: Store,
    classifier: str,
    perturbation: str,
    severity: str,
    logits: np.ndarray,
    labels: list[str],
    errors: np.ndarray | None = None,
    seed: int = 0,
    dataset: str = "faces",
    validation: bool = False,
) -> Cell:
    """A complete cell whose decisions follow from its logits; a tie is none.

    `validation`: of clean pictures of the validation split.
    """
    family = "validation" if validation else ""
    cell = make_cell(
        classifier, perturbation, severity, dataset, seed, family=family, inputs={"data": "d1"}
    )
    top = logits.max(axis=1, keepdims=True)
    sure = (logits == top).sum(axis=1) == 1
    truth = [CLASSES.index(label) for label in labels]
    d_p = None if errors is None else errors.mean(axis=2)[np.arange(len(labels)), truth]
    rows = pd.DataFrame(
        {
            "sample_id": [f"s{i:03d}" for i in range(len(labels))],
            "label": labels,
            "prediction": [
                CLASSES[k] if s else None for k, s in zip(logits.argmax(1), sure, strict=True)
            ],
            "logits": list(logits.astype(np.float32)),
            "d_p": d_p,
            "evaluations": 1 if errors is None else len(CLASSES) * STEPS,
            "seconds": 0.01 * np.arange(1, len(labels) + 1),
        }
    )
    rows = rows.iloc[np.random.default_rng(0).permutation(len(rows))].reset_index(drop=True)
    traces = None
    if errors is not None:
        ordered = errors[[int(name[1:]) for name in rows["sample_id"]]].astype(np.float32)
        grid = np.tile(np.arange(STEPS, dtype=np.int32)[::-1] * 100, (len(rows), 1))
        traces = Traces(tuple(rows["sample_id"]), ordered, grid, info(STEPS))
    store.write_part(cell, 0, rows[ROW_SCHEMA.names], traces)
    store.write_manifest(
        Manifest(
            cell=cell,
            classes=CLASSES,
            n=len(rows),
            shards=1,
            checkpoint=f"weights-of-{classifier}",
            gate=None,
            timesteps=[] if errors is None else list(range(0, 100 * STEPS, 100)),
            validation={},
            training={},
            inputs=inputs_of(cell, {"data": "d1"}),
            environment={},
        )
    )
    return cell
