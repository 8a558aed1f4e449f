"""A random store: three classifiers, two corruptions, an attack, groups of pictures, traces."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_cells import CLASSES, CONDITIONS, STEPS, write_cell

from bench.report.results import Results, read
from bench.report.spec import TableSpec, Value
from bench.report.tables import tables
from bench.store.records import DatasetRecord
from bench.store.store import Store

N = 240
STRENGTH = {"net": 1.2, "other": 0.9, "emodc": 1.3}


@dataclass
class Example:
    """The store, its tables, and its rows as they are stored."""

    store: Store
    results: Results
    specs: dict[str, TableSpec]
    frames: dict[tuple[str, str, str], pd.DataFrame]

    def column(self, table: str, name: str) -> dict[str, Value]:
        """By classifier; where it has several rows, by "classifier second-column"."""
        spec = self.specs[f"faces-{table}"]
        at = spec.header.index(name)
        twice = len({row[0] for row in spec.rows}) < len(spec.rows)
        second = 1
        return {f"{r[0]} {r[second]}" if twice else str(r[0]): r[at] for r in spec.rows}

    def right(self, *cell: str) -> np.ndarray:
        rows = self.frames[cell]
        return (rows["label"] == rows["prediction"]).to_numpy(float)


def fill(store: Store) -> None:
    draw = np.random.default_rng(1)
    labels = [CLASSES[k] for k in draw.integers(0, 3, N)]
    truth = np.array([[label == name for name in CLASSES] for label in labels], float)
    hard = draw.normal(size=(N, 3))
    cells = []
    for classifier, strength in STRENGTH.items():
        attack = [("pgd", "1/255"), ("pgd", "2/255")]
        for perturbation, severity in [*CONDITIONS, *attack]:
            level = {"0": 0, "1": 1, "2": 2, "1/255": 2, "2/255": 3}[severity]
            n = 20 if "/" in severity else N
            logits = truth * (3 * strength - 1.2 * level) + hard + draw.normal(size=(N, 3))
            errors = None
            if classifier == "emodc":
                errors = 1 - 0.1 * logits[:, :, None] + 0.3 * draw.normal(size=(N, 3, STEPS))
                logits = -10 * errors.astype(np.float32).mean(axis=2, dtype=np.float64)
                errors = errors[:n]
            cell = (classifier, perturbation, severity, logits[:n], labels[:n], errors)
            cells.append(write_cell(store, *cell))
    store.write_plan(cells, {})
    groups = {"age": ["18-34", "35-54", "55-80"], "glasses": ["no glasses", "glasses"]}
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{i:03d}" for i in range(N)],
            "label": labels,
            "age": [groups["age"][0 if i % 12 == 0 else 1 + i % 2] for i in range(N)],
            "glasses": [None if i < 4 else groups["glasses"][i % 3 == 0] for i in range(N)],
        }
    )
    counts = {name: labels.count(name) for name in CLASSES}
    record = DatasetRecord(
        name="faces",
        digest="d1",
        kind="drawn faces",
        synthetic=True,
        classes=CLASSES,
        counts={"train": dict.fromkeys(CLASSES, 10), "val": counts, "test": counts},
        height=(64, 64),
        width=(48, 64),
        groups=groups,
        skipped=0,
    )
    store.write_dataset(record, samples)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    root: Path = tmp_path_factory.mktemp("example")
    store = Store(root)
    fill(store)
    results = read(root)
    specs = {spec.name: spec for spec in tables(results, store)}
    frames = {
        (r.cell.classifier, r.cell.perturbation, r.cell.severity): store.rows(r.manifest)
        for r in results.complete
    }
    return Example(store, results, specs, frames)


@pytest.fixture(scope="module")
def resampled() -> Callable[..., tuple[float, float]]:
    """The interval of a function of weighted means, by drawing samples again and again."""
    draw = np.random.default_rng(7)
    weights = {n: draw.multinomial(n, np.full(n, 1 / n), 4000) / n for n in (20, N)}

    def interval(function: Callable[..., np.ndarray], *columns: np.ndarray) -> tuple[float, float]:
        means = [weights[len(column)] @ column for column in columns]
        low, high = np.quantile(function(*means), [0.025, 0.975])
        return float(low), float(high)

    return interval
