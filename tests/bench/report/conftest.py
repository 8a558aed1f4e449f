"""Small stores, written through the store itself."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_cells import IGNORES, info, inputs_of, make_cell, restated

from bench.store.cells import Cell, Gate, Manifest
from bench.store.store import ROW_SCHEMA, Store
from bench.store.traces import OtherPrompts, Traces

CLASSES = ["happy", "sad", "angry"]
FAILED = Gate(
    passed=False, d_p=0.5, base_d_p=0.25, conditioning=IGNORES.model_copy(update={"passed": True})
)


class Builder:
    """Fills a store cell by cell; `plan` at the end."""

    def __init__(self, root: Path) -> None:
        self.root, self.store, self.cells = root, Store(root), []

    def plan_only(
        self,
        classifier: str,
        perturbation: str,
        severity: str,
        dataset: str,
        seed: int,
        run_seed: int = 0,
    ) -> Cell:
        cell = make_cell(classifier, perturbation, severity, dataset, seed, run_seed)
        self.cells.append(cell)
        return cell

    def add(
        self,
        classifier: str,
        perturbation: str,
        severity: str,
        right: Sequence[bool | None],
        *,
        gate: Gate | None = None,
        d_p: Sequence[float] | None = None,
        shards: int = 1,
        order: Sequence[int] | None = None,
        first: int = 0,
        dataset: str = "faces",
        seed: int = 0,
        classes: list[str] = CLASSES,
        run_seed: int = 0,
        validation: dict[str, float] | None = None,
        training: dict[str, object] | None = None,
        traces: Traces | None = None,
        others: OtherPrompts | None = None,
    ) -> Cell:
        """A complete cell with a row per entry of `right`; None is a tie.

        Labels cycle through the classes; a wrong prediction is the next class. `order` shuffles
        rows before they are dealt to shards; `first` numbers the first sample. `traces` are of one
        shard, and d_p is their mean.
        """
        cell = self.plan_only(classifier, perturbation, severity, dataset, seed, run_seed)
        if traces is not None:
            d_p = [float(e[i % 3].mean(dtype=np.float64)) for i, e in enumerate(traces.errors)]
        rows = pd.DataFrame([self._row(i, r, d_p, first, classes) for i, r in enumerate(right)])
        rows = rows.iloc[list(order) if order is not None else slice(None)]
        for shard in range(shards):
            part = rows.iloc[shard::shards].reset_index(drop=True)
            if d_p is not None and (traces is None or shard):
                grid = np.tile(np.array([100, 200], np.int32), (len(part), 1))
                own = part["d_p"].to_numpy(np.float32)
                errors = np.broadcast_to(own[:, None, None], (len(part), 3, 2))
                traces = Traces(tuple(part["sample_id"]), errors, grid, info(2, classes))
            self.store.write_part(
                cell, shard, part[ROW_SCHEMA.names], traces, others, shards=shards
            )
        self.store.write_manifest(
            Manifest(
                cell=cell,
                classes=classes,
                n=len(right),
                shards=shards,
                checkpoint=f"weights-of-{classifier}",
                gate=gate,
                timesteps=[] if d_p is None else [100, 200],
                validation=validation or {},
                training=training or {},
                inputs=inputs_of(cell),
                environment={},
            )
        )
        return cell

    def _row(
        self,
        i: int,
        right: bool | None,
        d_p: Sequence[float] | None,
        first: int,
        classes: list[str],
    ) -> dict[str, object]:
        said = None if right is None else CLASSES[(i if right else i + 1) % 3]
        return {
            "sample_id": f"s{first + i:03d}",
            "label": CLASSES[i % 3],
            "prediction": said,
            "logits": [1e-6 * (name == said) for name in classes],  # next to no confidence
            "d_p": None if d_p is None else d_p[i],
            "evaluations": 1 if d_p is None else 6,
            "seconds": 0.1 * (i + 1),
        }

    def restate(self, cell: Cell, **changes: object) -> Cell:
        """The cell with other fields of its manifest, in its place."""
        new = restated(self.store, cell, **changes)
        self.cells[self.cells.index(cell)] = new
        return new

    def plan(self) -> Path:
        self.store.write_plan(self.cells, {})
        return self.root


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """An empty store in a folder of its own."""
    return Builder(tmp_path / "out")


@pytest.fixture
def new_build(tmp_path: Path) -> Callable[[str], Builder]:
    """Further empty stores, by name."""
    return lambda name: Builder(tmp_path / name)


Y, N = True, False


HOSTILE = '<img src=x onerror="window.hacked=1">'
QUOTES = "\"><b>'{{ 7 * 7 }}"


@pytest.fixture
def runs(new_build: Callable[[str], Builder]) -> list[Path]:
    """Two runs of two data sets, with names that would break a page that does not escape them."""
    first, second = new_build("a run & more"), new_build("second")
    for name, right in (("resnet18", [Y, Y, N, Y]), (HOSTILE, [Y, Y, Y, Y])):
        first.add(name, "clean", "0", right)
        first.add(name, "gaussian_noise", "1", [Y, N, N, Y])
        first.add(name, "pgd", "2/255", [N, Y])
    for name in (QUOTES, "javascript:alert(1)"):
        second.add(name, "clean", "0", [Y, N, N, N], dataset="=others/x")
    return [first.plan(), second.plan()]


@pytest.fixture
def out(build: Builder) -> Path:
    """Two classifiers, one fails its denoiser check; clean, two severities, an attack on three.

    Planned attacks first and cells shuffled, so that report order is not plan order; one cell of
    `net` under noise is missing.
    """
    d_p = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75]
    build.add("net", "pgd", "4/255", [N, N, Y])
    build.add("net", "pgd", "2/255", [Y, N, Y])
    build.add("net", "clean", "0", [Y, Y, N, Y, None, Y])
    build.add("net", "gaussian_noise", "1", [Y, Y, N, Y, N, N])
    build.plan_only("net", "gaussian_noise", "2", "faces", 0)
    build.add("emodc_x", "clean", "0", [Y, Y, Y, N, Y, Y], gate=FAILED, d_p=d_p)
    build.add("emodc_x", "gaussian_noise", "2", [N, N, Y, N, N, Y], gate=FAILED, d_p=d_p)
    build.add("emodc_x", "gaussian_noise", "1", [Y, N, Y, N, Y, Y], gate=FAILED, d_p=d_p)
    build.add("emodc_x", "pgd", "2/255", [Y, Y, N], gate=FAILED, d_p=d_p[:3])
    build.add("emodc_x", "pgd", "4/255", [N, Y, N], gate=FAILED, d_p=d_p[:3])
    return build.plan()
