"""The regression subset: a small fixed run against committed golden results.

Pixels and counts must be the same to the last bit. Errors and accuracies may differ by a stated
tolerance, because processors add in different orders.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.config import Config, load
from bench.data.open import open_dataset
from bench.perturb import Address, Batch
from bench.store.cells import FAMILIES
from bench.sweep.run import run as run_sweep
from bench.util import files, runtime
from bench.util.errors import UserError
from bench.util.files import write_json
from bench.util.progress import Reporter

GOLDEN = Path("results/regression/golden.json")

#: Largest accepted difference of each measured figure. An attack amplifies rounding: a gradient
#: near zero changes sign between processors, so its figures may move further.
TOLERANCES = {"accuracy": 0.03, "d_p": 1e-3, "mean_logit": 0.02}
ATTACK_TOLERANCES = {"accuracy": 0.08, "d_p": 2e-2, "mean_logit": 0.4}


def run(update: bool = False) -> list[str]:
    """Run the subset; with `update`, make its results the golden ones.

    Returns:
        One sentence per result that moved; empty if all is as it was.

    Raises:
        UserError: If the golden results or the reference checkpoints are missing.
    """
    runtime.keep_freed_memory()
    config = load(Path("regression.yaml"))
    found = {"pixels": _pixels(config), "cells": _cells(config)}
    if update:
        root = files.find(Path("results/regression"))
        if root is None:
            raise UserError("golden results can only be rewritten in a clone of the repository.")
        changes = compare(_golden(), found) if (root / GOLDEN.name).exists() else []
        write_json(root / GOLDEN.name, found)
        return changes
    return compare(_golden(), found)


def compare(golden: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What moved between two results, as sentences."""
    changes = []
    for part in ("pixels", "cells"):
        for name in sorted(golden[part].keys() | found[part].keys()):
            before, after = golden[part].get(name), found[part].get(name)
            if before is None or after is None:
                changes.append(f"{name}: {'appeared' if before is None else 'is gone'}")
            elif part == "pixels" and before != after:
                changes.append(f"pixels of {name}: {before} -> {after} (must be identical)")
            elif part == "cells":
                tolerances = ATTACK_TOLERANCES if "/255" in name else TOLERANCES
                changes += [f"{name}: {change}" for change in _moved(before, after, tolerances)]
    return changes


def _moved(
    before: dict[str, Any], after: dict[str, Any], tolerances: dict[str, float]
) -> list[str]:
    moved = []
    for figure in before.keys() | after.keys():
        old, new = before.get(figure), after.get(figure)
        tolerance = tolerances.get(figure)
        if old == new:
            continue
        if tolerance is None or old is None or new is None:
            moved.append(f"{figure} {old} -> {new} (must be identical)")
        elif not abs(new - old) <= tolerance:  # a NaN is a change too
            moved.append(f"{figure} {old} -> {new} (moved by {new - old:+.6f}, may {tolerance})")
    return sorted(moved)


def _golden() -> dict[str, Any]:
    path = files.find(GOLDEN)
    if path is None:
        raise UserError(f"there is no {GOLDEN}; write it with `bench regress --update`.")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _pixels(config: Config) -> dict[str, str]:
    """Checksums of the pictures, clean and corrupted."""
    dataset = open_dataset(config.data, config.seed)
    samples = dataset.samples("test")
    checksums = {}
    address = Address(config.seed, dataset.name)
    for perturbation, levels in config.perturbations.members():
        if not FAMILIES[perturbation.family].model_free:
            continue  # adversarial pixels hang on gradients, which processors round differently
        for level in levels:
            total = hashlib.sha256()
            for sample in samples:
                batch = Batch([dataset.picture(sample)], [sample.id], [sample.label])
                total.update(perturbation.apply(batch, level, address, None)[0].tobytes())
            checksums[f"{perturbation.name} {level}"] = total.hexdigest()[:16]
    return checksums


def _cells(config: Config) -> dict[str, dict[str, Any]]:
    """The figures of every cell."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        store = run_sweep(config, Path(folder), Reporter())
        for cell in store.planned():
            manifest = store.manifest(cell)
            assert manifest is not None
            rows = store.rows(manifest)
            # A tie is None, which equals no label.
            correct = np.mean(rows["label"].to_numpy() == rows["prediction"].to_numpy())
            d_p = rows["d_p"].astype(float).mean()
            figures[f"{cell.classifier} {cell.perturbation} {cell.severity}"] = {
                "n": len(rows),
                "classes": manifest.classes,
                "accuracy": round(float(correct), 6),
                "d_p": None if manifest.gate is None else round(float(d_p), 6),
                "mean_logit": round(float(rows["logits"].map(lambda x: x.max()).mean()), 5),
                "evaluations": int(rows["evaluations"].sum()),
            }
    return figures
