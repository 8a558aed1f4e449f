import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.errors import UserError
from bench.files import digest
from bench.store import Cell, Manifest, Store


def cell(identifier: str = "abc", severity: str = "3") -> Cell:
    return Cell(
        id=identifier, classifier="emodc_base", dataset="faces", perturbation="gaussian_noise",
        family="corruption", severity=severity, seed=0,
    )  # fmt: skip


def rows(names: list[str], d_p: float | None = 0.5) -> pd.DataFrame:
    count = len(names)
    return pd.DataFrame(
        {
            "sample_id": names,
            "label": ["anger"] * count,
            "prediction": ["anger", None][:count] + ["fear"] * (count - 2),
            "logits": [np.zeros(2, dtype=np.float32)] * count,
            "d_p": [d_p] * count,
            "evaluations": 700,
            "seconds": 0.1,
        }
    )


def manifest(shards: int) -> Manifest:
    return Manifest(
        cell=cell(), classes=["anger", "fear"], n=4, shards=shards, checkpoint="f", gate=None,
        timesteps=[1], validation={"accuracy": 0.5}, training={"stages": [{"steps": 3}]},
        inputs={}, environment={},
    )  # fmt: skip


def test_rows_come_back_sorted_with_ties_as_null(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_part(cell(), 0, rows(["d", "c"]), np.zeros((2, 2, 1), np.float32))
    store.write_part(cell(), 1, rows(["b", "a"]), np.zeros((2, 2, 1), np.float32))
    found = store.rows(manifest(2))
    assert list(found["sample_id"]) == ["a", "b", "c", "d"]
    assert found["prediction"].isna().sum() == 2
    assert found["d_p"].dtype == np.float32


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
@pytest.mark.parametrize("kind", ["part", "trace"])
def test_damaged_files_are_detected(tmp_path: Path, damage: str, kind: str) -> None:
    store = Store(tmp_path)
    errors = np.random.default_rng(0).random((50, 2, 9)).astype(np.float32)
    store.write_part(cell(), 0, rows([f"{i:02d}" for i in range(50)]), errors)
    assert store.whole_part(cell(), 0) is not None
    path = store.folder(cell()) / f"{kind}-00000.parquet"
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[100] ^= 0xFF
        path.write_bytes(content)
    else:
        path.unlink()
    assert store.whole_part(cell(), 0) is None
    if kind == "part":
        with pytest.raises(UserError, match="missing or damaged"):
            store.rows(manifest(1))
    else:  # a report needs no trace
        assert len(store.rows(manifest(1))) == 50


def test_a_cell_is_complete_only_with_its_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_part(cell(), 0, rows(["a", "b"], d_p=None), None)
    assert store.manifest(cell()) is None
    store.write_manifest(manifest(1))
    assert store.manifest(cell()) == manifest(1)
    store.reopen(cell())
    assert store.manifest(cell()) is None


def test_a_plan_keeps_other_cells_and_replaces_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_plan([cell("old", "1"), cell("kept", "2")], {})
    store.write_plan([cell("new", "1")], {})
    assert [c.id for c in store.planned()] == ["new", "kept"]


def test_a_plan_tells_seeds_of_training_and_of_the_run_apart(tmp_path: Path) -> None:
    seeds = [(0, 0), (1, 0), (1, 1)]
    cells = [
        cell(str(pair)).model_copy(update=dict(zip(("seed", "run_seed"), pair, strict=True)))
        for pair in seeds
    ]
    store = Store(tmp_path)
    store.write_plan(cells, {})
    store.write_plan(cells[1:2], {})
    assert [(c.seed, c.run_seed) for c in store.planned()] == seeds
    assert cell().run_seed == cell().seed  # a run with one seed need not say it twice


def test_a_manifest_of_another_schema_is_no_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest(manifest(1))
    path = store.folder(cell()) / "cell.json"
    content = json.loads(path.read_text())
    del content["training"]
    path.write_text(json.dumps(content))
    assert store.manifest(cell()) is None


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no plan\.json"):
        Store(tmp_path).planned()


def test_levels_order_eps_and_severities() -> None:
    assert cell(severity="4").level == 4
    assert cell(severity="8/255").level == pytest.approx(8 / 255)


def test_digests_ignore_key_order_only() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
