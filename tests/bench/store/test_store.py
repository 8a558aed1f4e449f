import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.store.cells import Cell, Manifest
from bench.store.store import Store
from bench.store.traces import OtherPrompts, Traces
from bench.util.errors import UserError
from bench.util.files import digest


def cell(identifier: str = "abc", severity: str = "3") -> Cell:
    return Cell(
        id=identifier, classifier="emodc_base", dataset="faces", perturbation="gaussian_noise",
        family="corruption", severity=severity, seed=0,
    )  # fmt: skip


def clean_cell() -> Cell:
    return cell().model_copy(update={"perturbation": "clean", "family": "clean", "severity": "0"})


def traces(names: list[str], steps: int = 9) -> Traces:
    """Errors and timesteps that are all different."""
    draws = np.random.default_rng(len(names))
    errors = draws.random((len(names), 2, steps)).astype(np.float32)
    timesteps = draws.integers(0, 1000, (len(names), steps), dtype=np.int32)
    return Traces(tuple(names), errors, timesteps)


def other_prompts(names: list[str], steps: int = 9) -> OtherPrompts:
    null, non_class = np.random.default_rng(1).random((2, len(names), steps)).astype(np.float32)
    return OtherPrompts(tuple(names), null, non_class)


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
    store.write_part(cell(), 0, rows(["d", "c"]), traces(["d", "c"]))
    store.write_part(cell(), 1, rows(["b", "a"]), traces(["b", "a"]))
    found = store.rows(manifest(2))
    assert list(found["sample_id"]) == ["a", "b", "c", "d"]
    assert found["prediction"].isna().sum() == 2
    assert found["d_p"].dtype == np.float32


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
@pytest.mark.parametrize("kind", ["part", "trace", "prompts"])
def test_damaged_files_are_detected(tmp_path: Path, damage: str, kind: str) -> None:
    store = Store(tmp_path)
    names = [f"{i:02d}" for i in range(50)]
    store.write_part(cell(), 0, rows(names), traces(names), other_prompts(names))
    assert store.whole_part(cell(), 0, others=True) is not None
    path = store.folder(cell()) / f"{kind}-00000.parquet"
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[100] ^= 0xFF
        path.write_bytes(content)
    else:
        path.unlink()
    assert store.whole_part(cell(), 0, others=True) is None
    assert (store.whole_part(cell(), 0) is None) == (kind != "prompts")
    assert (store.traces(manifest(1)) is None) == (kind == "trace")
    assert (store.other_prompts(manifest(1)) is None) == (kind == "prompts")
    if kind == "part":
        with pytest.raises(UserError, match="missing or damaged"):
            store.rows(manifest(1))
    else:  # a report needs no trace
        assert len(store.rows(manifest(1))) == 50


def test_traces_come_back_whole_in_the_order_of_rows(tmp_path: Path) -> None:
    store, first, second = Store(tmp_path), traces(["d", "a", "c"]), traces(["b"])
    store.write_part(cell(), 0, rows(["d", "a", "c"]), first)
    store.write_part(cell(), 1, rows(["b"] * 2).head(1), second)
    found = store.traces(manifest(2))
    assert found is not None
    assert found.ids == ("a", "b", "c", "d") == tuple(store.rows(manifest(2))["sample_id"])
    assert found.errors.dtype == np.float32 and found.timesteps.dtype == np.int32
    for name, part, row in (("a", first, 1), ("b", second, 0), ("d", first, 0)):
        at = found.ids.index(name)
        np.testing.assert_array_equal(found.errors[at], part.errors[row])
        np.testing.assert_array_equal(found.timesteps[at], part.timesteps[row])
    # Steps of another run's shard do not fit.
    store.write_part(cell(), 1, rows(["b"] * 2).head(1), traces(["b"], steps=5))
    assert store.traces(manifest(2)) is None


def test_other_prompts_skip_shards_that_have_none_of_the_samples(tmp_path: Path) -> None:
    store, some = Store(tmp_path), other_prompts(["b"])
    store.write_part(clean_cell(), 0, rows(["a", "b"]), traces(["a", "b"]), some)
    store.write_part(clean_cell(), 1, rows(["c", "d"]), traces(["c", "d"]), OtherPrompts.joined([]))
    found = store.other_prompts(manifest(2).model_copy(update={"cell": clean_cell()}))
    assert found is not None and found.ids == ("b",)
    np.testing.assert_array_equal(found.null, some.null)
    np.testing.assert_array_equal(found.non_class, some.non_class)


@pytest.mark.parametrize(("count", "whole"), [(0, True), (300, False)])
def test_a_clean_cell_is_whole_only_with_the_prompts_it_was_asked_for(
    tmp_path: Path, count: int, whole: bool
) -> None:
    store = Store(tmp_path)
    store.write_part(clean_cell(), 0, rows(["a", "b"]), traces(["a", "b"]))
    inputs = {"evaluation": {"other_prompts": count}}
    changes = {"cell": clean_cell(), "inputs": inputs}
    assert store.is_whole(manifest(1).model_copy(update=changes)) is whole
    # Perturbed cells do not measure them, whatever the config says.
    store.write_part(cell(), 0, rows(["a", "b"]), traces(["a", "b"]))
    assert store.is_whole(manifest(1).model_copy(update={"inputs": inputs}))


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
    assert [(c.seed, c.run_seed) for c in store.planned()] == seeds
    store.write_plan(cells[1:2], {})  # planned again with one seed, which then stands alone
    assert [(c.seed, c.run_seed) for c in store.planned()] == seeds[1:]
    assert cell().run_seed == cell().seed  # a run with one seed need not say it twice


def test_a_manifest_of_another_schema_is_no_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest(manifest(1))
    path = store.folder(cell()) / "cell.json"
    content = json.loads(path.read_text())
    del content["training"]
    path.write_text(json.dumps(content))
    assert store.manifest(cell()) is None


def test_a_manifest_without_a_command_is_still_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest(manifest(1).model_copy(update={"command": "bench run robustness"}))
    path = store.folder(cell()) / "cell.json"
    content = json.loads(path.read_text())
    assert content.pop("command") == "bench run robustness"
    path.write_text(json.dumps(content))
    found = store.manifest(cell())
    assert found is not None and found.command == ""


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no plan\.json"):
        Store(tmp_path).planned()


def test_levels_order_eps_and_severities() -> None:
    assert cell(severity="4").level == 4
    assert cell(severity="8/255").level == pytest.approx(8 / 255)


def test_digests_ignore_key_order_only() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
