import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_up_cells import info

from bench.store.cells import SCHEMA, Cell, Manifest, identify
from bench.store.records import DatasetRecord
from bench.store.store import Store
from bench.store.traces import OtherPrompts, Traces
from bench.util.errors import UserError
from bench.util.files import digest, write_sealed

INPUTS = {"data": "d1"}


def cell(identifier: str = identify("emodc_base", "faces", INPUTS), severity: str = "3") -> Cell:
    return Cell(
        id=identifier, classifier="emodc_base", dataset="faces", perturbation="gaussian_noise",
        family="corruption", severity=severity, seed=0,
    )  # fmt: skip


CLASSES = ["anger", "fear"]
NO_PROMPTS = OtherPrompts.joined([])


def traces(names: list[str], steps: int = 9) -> Traces:
    """Errors and timesteps that are all different."""
    draws = np.random.default_rng(len(names))
    errors = draws.random((len(names), 2, steps)).astype(np.float32)
    timesteps = draws.integers(0, 1000, (len(names), steps), dtype=np.int32)
    return Traces(tuple(names), errors, timesteps, info(steps, CLASSES))


def other_prompts(names: list[str], steps: int = 9) -> OtherPrompts:
    null, non_class = np.random.default_rng(1).random((2, len(names), steps)).astype(np.float32)
    return OtherPrompts(tuple(names), null, non_class)


def rows(names: list[str], errors: Traces | None = None) -> pd.DataFrame:
    """The first is recognised, the second a tie, the others are taken for fear."""
    count = len(names)
    logits = np.array([[1, 0], [0, 0], *[[0, 1]] * count][:count], np.float32)
    return pd.DataFrame(
        {
            "sample_id": names,
            "label": ["anger"] * count,
            "prediction": ["anger", None, *["fear"] * count][:count],
            "logits": list(logits),
            "d_p": None if errors is None else errors.errors[:, 0].mean(axis=1),
            "evaluations": 700,
            "seconds": 0.1,
        }
    )


def manifest(shards: int = 1, n: int = 4, **changes: Any) -> Manifest:
    content = {
        "cell": cell(), "classes": CLASSES, "n": n, "shards": shards, "checkpoint": "f",
        "gate": None, "timesteps": [1], "validation": {"accuracy": 0.5},
        "training": {"stages": [{"steps": 3}]}, "inputs": INPUTS, "environment": {},
    }  # fmt: skip
    return Manifest(**(content | changes))


def write(store: Store, shards: list[list[str]], of: Cell | None = None) -> Manifest:
    """A complete cell with traces, as the store gives its manifest back."""
    of, n = of or cell(), sum(map(len, shards))
    for number, names in enumerate(shards):
        own = traces(names)
        content = (rows(names, own), own, other_prompts(names))
        store.write_part(of, number, *content, shards=len(shards), classes=CLASSES)
    store.write_manifest(manifest(len(shards), n, cell=of))
    found = store.manifest(of)
    assert found is not None
    return found


def file(store: Store, kind: str, of: Cell | None = None) -> Path:
    """The cell's only file of a kind."""
    (path,) = store.folder(of or cell()).glob(f"{kind}-*.parquet")
    return path


def test_rows_come_back_sorted_with_ties_as_null(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found = store.rows(write(store, [["d", "c"], ["b", "a"]]))
    assert list(found["sample_id"]) == ["a", "b", "c", "d"]
    assert found["prediction"].isna().sum() == 2
    assert found["d_p"].dtype == np.float32


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def fold(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pandas_metadata(path: Path) -> None:
    """Well-formed, and what pandas would trip over."""
    table = pq.read_table(path)
    metadata = table.schema.metadata | {b"pandas": b'{"columns": 3, "index_columns": [{]'}
    pq.write_table(table.replace_schema_metadata(metadata), path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "flipped": flip,
    "gone": lambda path: path.unlink(),
    "a folder": fold,
    "written anew": lambda path: pq.write_table(pq.read_table(path), path),
    "pandas' metadata": pandas_metadata,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["part", "trace", "prompts"])
def test_a_file_that_is_not_the_one_that_was_written_is_not_believed(
    tmp_path: Path, damage: str, kind: str
) -> None:
    store = Store(tmp_path)
    known = write(store, [[f"{i:02d}" for i in range(50)]])
    assert store.problem(known) is None and not store.refused
    DAMAGES[damage](file(store, kind))
    assert f"{kind}-00000-of-00001.parquet" in str(store.problem(known))
    assert store.stored(cell(), INPUTS, 0, 1) is None
    assert (store.traces(known) is None) == (kind != "prompts")
    assert (store.other_prompts(known) is None) == (kind == "prompts")
    assert kind in "".join(store.refused.values())
    if kind == "part":
        with pytest.raises(UserError, match="same `bench run` measures the cell again"):
            store.rows(known)
    else:  # a report needs no trace
        assert len(store.rows(known)) == 50


@pytest.mark.parametrize("kinds", [["part"], ["trace"], ["part", "trace", "prompts"]])
@pytest.mark.parametrize("declared", [True, False], ids=["complete", "unfinished"])
@pytest.mark.parametrize("whose", ["another cell", "another shard"])
def test_a_file_of_another_is_not_believed(
    tmp_path: Path, kinds: list[str], declared: bool, whose: str
) -> None:
    store, names = Store(tmp_path), ["a", "b", "c"]
    other = cell(identify("emodc_base", "faces", {"data": "d2"}), "4")
    known = write(store, [names, ["d", "e", "f"]])
    store.write_manifest(manifest(2, 6, cell=other, inputs={"data": "d2"}))
    shutil.copytree(store.folder(cell()), store.folder(other), dirs_exist_ok=True)
    for kind in kinds:
        source = store.folder(cell()) / f"{kind}-00000-of-00002.parquet"
        if whose == "another cell":
            shutil.copy(source, store.folder(other))
        else:
            shutil.copy(source, source.with_name(f"{kind}-00001-of-00002.parquet"))
    for of in (cell(), other):
        if not declared:
            (store.folder(of) / "cell.json").unlink(missing_ok=True)
    if whose == "another shard":
        assert store.stored(cell(), INPUTS, 0, 2) == names
        assert store.stored(cell(), INPUTS, 1, 2) is None
        assert not declared or store.problem(known) is not None
    else:
        assert store.manifest(other) is None
        assert store.stored(other, {"data": "d2"}, 0, 2) is None


EDITS: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "predictions = labels": ("highest of their logits", lambda r: r.assign(prediction=r["label"])),
    "halved d_p": ("d_p in the rows", lambda r: r.assign(d_p=r["d_p"] / 2)),
    "no d_p": ("d_p in the rows", lambda r: r.assign(d_p=np.nan)),
    "other labels": ("other labels than the data set", lambda r: r.assign(label="fear")),
    "no label": ("without a label", lambda r: r.assign(label=None)),
    "other samples": ("that the data set has not", lambda r: r.assign(sample_id=r["label"])),
    "wide logits": ("not of 2 classes", lambda r: r.assign(logits=[np.zeros(3)] * len(r))),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("declared", [True, False], ids=["complete", "unfinished"])
def test_rows_that_contradict_themselves_are_not_believed(
    tmp_path: Path, edit: str, declared: bool
) -> None:
    store, names = Store(tmp_path), ["a", "b", "c", "d"]
    record = DatasetRecord(
        name="faces", digest="d1", kind="", synthetic=True, classes=CLASSES, counts={},
        height=(1, 1), width=(1, 1), groups={}, skipped=0,
    )  # fmt: skip
    store.write_dataset(record, pd.DataFrame({"sample_id": names, "label": "anger"}))
    known = write(store, [names])
    assert store.problem(known) is None
    words, change = EDITS[edit]
    store.write_part(cell(), 0, change(store.rows(known)), classes=CLASSES)
    (store.folder(cell()) / "cell.json").unlink()
    assert store.stored(cell(), INPUTS, 0, 1) is None
    store.write_manifest(known.model_copy(update={"files": None}))
    known = store.manifest(cell())
    assert known is not None and words in str(store.problem(known))


def test_traces_come_back_whole_in_the_order_of_rows(tmp_path: Path) -> None:
    store, first, second = Store(tmp_path), traces(["d", "a", "c"]), traces(["b"])
    known = write(store, [["d", "a", "c"], ["b"]])
    found = store.traces(known)
    assert found is not None
    assert found.ids == ("a", "b", "c", "d") == tuple(store.rows(known)["sample_id"])
    assert found.errors.dtype == np.float32 and found.timesteps.dtype == np.int32
    for name, part, row in (("a", first, 1), ("b", second, 0), ("d", first, 0)):
        at = found.ids.index(name)
        np.testing.assert_array_equal(found.errors[at], part.errors[row])
        np.testing.assert_array_equal(found.timesteps[at], part.timesteps[row])
    # Steps of another run's shard do not fit.
    coarse = traces(["b"], steps=5)
    store.write_part(cell(), 1, rows(["b"], coarse), coarse, shards=2)
    store.write_manifest(manifest(2))
    known = store.manifest(cell())
    assert known is not None and store.traces(known) is None


def test_other_prompts_skip_shards_that_have_none_of_the_samples(tmp_path: Path) -> None:
    store, some = Store(tmp_path), other_prompts(["b"])
    for number, (names, others) in enumerate(((["a", "b"], some), (["c", "d"], NO_PROMPTS))):
        own = traces(names)
        store.write_part(cell(), number, rows(names, own), own, others, shards=2)
    store.write_manifest(manifest(2))
    known = store.manifest(cell())
    assert known is not None
    found = store.other_prompts(known)
    assert found is not None and found.ids == ("b",)
    np.testing.assert_array_equal(found.null, some.null)
    np.testing.assert_array_equal(found.non_class, some.non_class)


@pytest.mark.parametrize(("count", "whole"), [(0, True), (300, False)])
@pytest.mark.parametrize("family", ["clean", "corruption"])
def test_a_clean_cell_is_whole_only_with_the_prompts_it_was_asked_for(
    tmp_path: Path, count: int, whole: bool, family: str
) -> None:
    store, own = Store(tmp_path), traces(["a", "b"])
    inputs = {"evaluation": {"other_prompts": count}}
    of = cell(identify("emodc_base", "faces", inputs)).model_copy(update={"family": family})
    store.write_part(of, 0, rows(["a", "b"], own), own, classes=CLASSES)
    # Perturbed cells do not measure them, whatever the config says.
    expected = whole or family != "clean"
    assert (store.stored(of, inputs, 0, 1) is not None) is expected
    store.write_manifest(manifest(1, 2, cell=of, inputs=inputs))
    known = store.manifest(of)
    assert known is not None and (store.problem(known) is None) is expected


def test_a_cell_is_complete_only_with_its_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_part(cell(), 0, rows(["a", "b"]))
    assert store.manifest(cell()) is None and not store.refused
    store.write_manifest(manifest(1, 2))
    found = store.manifest(cell())
    assert found is not None and found.files is not None
    assert list(found.files) == ["part-00000-of-00001.parquet"]
    assert found.model_copy(update={"files": None}) == manifest(1, 2)
    store.reopen(cell(), INPUTS, [(0, 1, None)])
    assert store.manifest(cell()) is None and store.stored(cell(), INPUTS, 0, 1) == ["a", "b"]


def test_unsound_files_of_a_reopened_cell_are_removed(tmp_path: Path) -> None:
    """Without their manifest they might pass for sound: nothing but it vouches for times."""
    store = Store(tmp_path)
    known = write(store, [["a", "b"]])
    own = traces(["a", "b"])
    store.write_part(cell(), 0, rows(["a", "b"], own).assign(seconds=9.0), own, classes=CLASSES)
    assert store.problem(known) is not None
    store.reopen(cell(), INPUTS, [(0, 1, None)])
    assert store.stored(cell(), INPUTS, 0, 1) is None


def test_only_parts_that_are_there_are_read_when_a_cell_is_reopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, asked = Store(tmp_path), []
    store.write_part(cell(), 7, rows(["a", "b"]), shards=1000)
    monkeypatch.setattr(Store, "stored", lambda *given: asked.append(given[3]))
    store.reopen(cell(), INPUTS, [(number, 1000, None) for number in range(1000)])
    assert asked == [7] and not store.has(cell(), 7, 1000)


def test_two_cuts_of_a_cell_stand_side_by_side(tmp_path: Path) -> None:
    store, names = Store(tmp_path), ["a", "b", "c", "d"]
    known = write(store, [names[:2], names[2:]])
    for number, name in enumerate(names):
        own = traces([name])
        store.write_part(cell(), number, rows([name], own), own, shards=4, classes=CLASSES)
        assert store.problem(known, names) is None
    assert "other samples than are planned" in str(store.problem(known, names[:3]))


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "n": lambda m: m.update(n=3),
    "shards": lambda m: m.update(shards=2),
    "gate": lambda m: m.update(gate={"passed": True, "d_p": 0.1, "base_d_p": 0.1}),
    "classes": lambda m: m["classes"].reverse(),
    "timesteps": lambda m: m["timesteps"].append(5),
    "cell": lambda m: m["cell"].update(severity="4"),
    "no checksum": lambda m: m.pop("checksum"),
    "no training": lambda m: m.pop("training"),
    "old": lambda m: m.update(schema_version=2),
}


@pytest.mark.parametrize("edit", MANIFESTS)
def test_an_edited_manifest_is_no_manifest(tmp_path: Path, edit: str) -> None:
    store = Store(tmp_path)
    write(store, [["a", "b"]])
    path = store.folder(cell()) / "cell.json"
    content = json.loads(path.read_text())
    MANIFESTS[edit](content)
    path.write_text(json.dumps(content))
    assert store.manifest(cell()) is None
    assert "cell.json" in store.refused[path]


def test_the_manifest_of_another_cell_is_no_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, [["a", "b"]])
    other = cell(identify("emodc_base", "faces", {"data": "d2"}), "4")
    shutil.copytree(store.folder(cell()), store.folder(other))
    assert store.manifest(other) is None
    # Nor is one that is written under an id that its inputs do not give.
    store.write_manifest(manifest(1, 2, cell=other))
    assert store.manifest(other) is None and "its id" in "".join(store.refused.values())


@pytest.mark.parametrize("name", ["cell.json", "plan.json"])
def test_a_later_version_is_refused_and_not_overwritten(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    write(store, [["a", "b"]])
    store.write_plan([cell()], {})
    path = tmp_path / "plan.json" if name == "plan.json" else store.folder(cell()) / name
    content = json.loads(path.read_text()) | {"schema_version": 99, "news": 1}
    path.write_text(json.dumps(content))
    read = store.planned if name == "plan.json" else lambda: store.manifest(cell())
    with pytest.raises(UserError, match="later version of the bench"):
        read()
    if name == "plan.json":
        with pytest.raises(UserError, match="later version of the bench"):
            store.write_plan([cell()], {})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("severity", "abc"),
        ("severity", "4/0"),
        ("severity", "nan"),
        ("id", "../../x"),
        ("id", ""),
        ("classifier", "../../../home"),
        ("classifier", "a/b"),
        ("classifier", ".."),
        ("dataset", "../faces"),
        ("family", "unknown"),
        ("seed", "many"),
    ],
)
def test_a_plan_with_what_no_run_plans_ends_in_a_sentence(
    tmp_path: Path, field: str, value: str
) -> None:
    content = {"schema_version": SCHEMA, "config": {}, "cells": [cell().model_dump()]}
    content["cells"][0][field] = value
    write_sealed(tmp_path / "plan.json", content)
    with pytest.raises(UserError, match=field) as caught:
        Store(tmp_path).planned()
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff", b"null"])
def test_a_damaged_plan_ends_in_a_sentence_and_a_run_makes_a_new_one(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    store = Store(tmp_path)
    with pytest.raises(UserError, match="not a readable plan"):
        store.planned()
    store.write_plan([cell()], {})
    assert store.planned() == [cell()]


def test_a_plan_keeps_other_cells_and_replaces_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_plan([cell("old", "1"), cell("kept", "2")], {})
    store.write_plan([cell("new", "1")], {})
    assert [c.id for c in store.planned()] == ["new", "kept"]


def test_a_plan_tells_seeds_of_training_and_of_the_run_apart(tmp_path: Path) -> None:
    seeds = [(0, 0), (1, 0), (1, 1)]
    cells = [
        cell(f"{pair[0]}-{pair[1]}").model_copy(
            update=dict(zip(("seed", "run_seed"), pair, strict=True))
        )
        for pair in seeds
    ]
    store = Store(tmp_path)
    store.write_plan(cells, {})
    assert [(c.seed, c.run_seed) for c in store.planned()] == seeds
    store.write_plan(cells[1:2], {})  # planned again with one seed, which then stands alone
    assert [(c.seed, c.run_seed) for c in store.planned()] == seeds[1:]
    assert cell().run_seed == cell().seed  # a run with one seed need not say it twice


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no plan\.json"):
        Store(tmp_path).planned()


def test_levels_order_eps_and_severities() -> None:
    assert cell(severity="4").level == 4
    assert cell(severity="8/255").level == pytest.approx(8 / 255)


def test_digests_ignore_key_order_only() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
