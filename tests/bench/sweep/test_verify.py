"""`bench verify` computes rows anew: it agrees with a sound run, and finds planted faults."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support import TINY
from typer.testing import CliRunner

from bench.classifiers import checkpoints
from bench.cli import app
from bench.config import load
from bench.store.cells import Manifest, identify
from bench.store.checkpoints import Card, fingerprint
from bench.store.store import SCHEMA, Store
from bench.sweep.run import run
from bench.sweep.verify import Verified, verify
from bench.util.files import read_sealed, write_sealed
from bench.util.progress import Reporter

QUIET = Reporter(quiet=True)
CONFIG = (
    load(TINY).select(["test_resnet", "emodc_amdit"]).model_copy(update={"views": 0, "limit": 7})
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    run(CONFIG, out, QUIET)
    return out


@pytest.fixture
def planted(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def manifest_of(out: Path, classifier: str, condition: str) -> Manifest:
    store = Store(out)
    return next(
        found
        for cell in store.planned()
        if cell.classifier == classifier
        and cell.condition == condition
        and (found := store.manifest(cell))
    )


def rewritten(
    out: Path, classifier: str, condition: str, change: Callable[[pd.DataFrame], None]
) -> None:
    """Change rows so that nothing contradicts itself: parts, checksums and manifest are new."""
    manifest = manifest_of(out, classifier, condition)
    store = Store(out)
    for shard in range(manifest.shards):
        path = store.folder(manifest.cell) / f"part-{shard:05d}-of-{manifest.shards:05d}.parquet"
        rows = pd.read_parquet(path)
        traces, others = _kept(store, manifest, shard)
        change(rows)
        store.write_part(
            manifest.cell,
            shard,
            rows,
            traces,
            others,
            shards=manifest.shards,
            classes=manifest.classes,
        )
    store.write_manifest(manifest.model_copy(update={"files": None}))


def _kept(store: Store, manifest: Manifest, shard: int):  # type: ignore[no-untyped-def]
    rows = store._rows(manifest, shard)
    return store._traces(manifest, shard, rows), store._prompts(manifest, shard)


def swap_logits(rows: pd.DataFrame) -> None:
    rows["logits"] = list(rows["logits"])[1:] + list(rows["logits"])[:1]
    rows["prediction"] = list(rows["prediction"])[1:] + list(rows["prediction"])[:1]


def shift_logits(rows: pd.DataFrame) -> None:
    rows["logits"] = [np.asarray(own) + np.float32(0.5) for own in rows["logits"]]


def scale_logits(rows: pd.DataFrame) -> None:
    rows["logits"] = [np.asarray(own) * np.float32(1.01) for own in rows["logits"]]


def cheaper(rows: pd.DataFrame) -> None:
    rows["evaluations"] = rows["evaluations"] + 1


def shift_one(rows: pd.DataFrame) -> None:
    logits = list(rows["logits"])
    logits[1] = np.asarray(logits[1]) + np.float32(1e-3)
    rows["logits"] = logits


def everything(out: Path) -> Verified:
    return verify(out, QUIET, samples=10**6)


def test_a_sound_run_is_verified_to_the_last_bit(finished: Path) -> None:
    found = everything(finished)
    assert found.faults == [] and found.unknown == {}
    assert found.checked == found.rows == found.equal == 64
    assert found.verdict.startswith("verified: ") and "at most" in found.verdict
    store = Store(finished)
    assert {c.id: store.verified(c) for c in store.planned()} == found.agreed
    assert sum(found.agreed.values()) == 64
    some = verify(finished, QUIET, samples=30)
    assert some.checked == 30 and some.at_most is not None
    assert some.at_most == pytest.approx(1 - 0.025 ** (1 / 30))  # none of 30: a closed form
    assert found.at_most is not None and found.at_most < some.at_most


@pytest.mark.parametrize(
    ("classifier", "condition", "change"),
    [
        ("test_resnet", "clean", swap_logits),
        ("test_resnet", "gaussian_noise", shift_logits),
        ("test_resnet", "pgd", scale_logits),
        ("emodc_amdit", "clean", cheaper),
        ("emodc_amdit", "gaussian_noise", swap_logits),
        ("emodc_amdit", "pgd", shift_logits),
        ("test_resnet", "clean", shift_one),
        ("test_resnet", "pgd", swap_logits),
        ("test_resnet", "gaussian_blur", shift_one),
        ("test_resnet", "gaussian_blur", cheaper),
        ("emodc_amdit", "clean", shift_one),
        ("emodc_amdit", "gaussian_noise", cheaper),
        ("emodc_amdit", "pgd", shift_one),
        ("emodc_amdit", "gaussian_blur", scale_logits),
    ],
)
def test_rows_that_are_consistent_and_wrong_are_found(
    classifier: str, condition: str, change: Callable[[pd.DataFrame], None], planted: Path
) -> None:
    rewritten(planted, classifier, condition, change)
    found = everything(planted)
    assert found.wrong > 0 and found.verdict.startswith("NOT VERIFIED")
    assert not any(Store(planted).verified(cell) for cell in Store(planted).planned())
    fault = next(f for f in found.faults if f.sample)
    assert fault.cell.startswith(f"{classifier} {condition}") and fault.expected != fault.got


def another_seed(out: Path) -> None:
    """All cells and the plan say that they are of another run's seed."""
    store, plan = Store(out), read_sealed(out / "plan.json", 99)
    cells = []
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        inputs = manifest.inputs | {"seed": 5}
        new = cell.model_copy(
            update={"run_seed": 5, "id": identify(cell.classifier, cell.dataset, inputs)}
        )
        shutil.move(store.folder(cell), store.folder(new))
        rewrite = manifest.model_copy(update={"cell": new, "inputs": inputs, "files": None})
        (store.folder(new) / "cell.json").unlink()
        store.write_manifest(rewrite)
        cells.append(new.model_dump())
    [own] = plan["runs"]
    config = own["config"] | {"seed": 5, "training_seeds": [0]}
    changed = {"cells": cells, "runs": [own | {"config": config}]}
    write_sealed(out / "plan.json", plan | changed)


def another_checkpoint(out: Path) -> None:
    """The EmoDC's checkpoint is one of other weights, with a card of its own."""
    config = load(TINY).select(["emodc_amdit"])
    folder = next((out / "checkpoints").glob("emodc-amdit-*"))
    (weights,) = (folder / "unet").glob("*.safetensors")
    from safetensors.torch import load_file, save_file

    tensors = {name: tensor * 1.01 for name, tensor in load_file(weights).items()}
    save_file(tensors, weights)
    card = Card.verified(next((out / "checkpoints").glob("emodc-base-*")))
    own = json.loads((folder / "bench.json").read_text())
    del card, own
    recipe = checkpoints.recipes(config, _data(config))["emodc_amdit", 0][-1]
    Card(
        kind="emodc",
        recipe=recipe,
        weights=fingerprint(folder),
        validation={},
        gate=None,
        seconds=0.0,
    ).write(folder)


def _data(config):  # type: ignore[no-untyped-def]
    from bench.data.open import open_dataset

    return open_dataset(config.data, config.seed)


def damaged_checkpoint(out: Path) -> None:
    path = next(next((out / "checkpoints").glob("test_resnet-*")).glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(bytes(content))


def swapped_cells(out: Path) -> None:
    one, other = (
        manifest_of(out, "test_resnet", what).cell for what in ("clean", "gaussian_noise")
    )
    store = Store(out)
    scratch = out / "scratch"
    shutil.move(store.folder(one), scratch)
    shutil.move(store.folder(other), store.folder(one))
    shutil.move(scratch, store.folder(other))


def swapped_part(out: Path) -> None:
    one, other = (manifest_of(out, "test_resnet", what) for what in ("clean", "gaussian_blur"))
    store = Store(out)
    name = next(iter(one.files or ()))
    shutil.copy(store.folder(one.cell) / name, store.folder(other.cell) / name)


def edited_prediction(out: Path) -> None:
    manifest = manifest_of(out, "test_resnet", "clean")
    path = next(Store(out).folder(manifest.cell).glob("part-*"))
    rows = pd.read_parquet(path)
    rows["prediction"] = rows["label"]
    rows.to_parquet(path)


@pytest.mark.parametrize(
    "plant",
    [
        another_seed,
        another_checkpoint,
        damaged_checkpoint,
        swapped_cells,
        swapped_part,
        edited_prediction,
    ],
)
def test_planted_faults_are_found(plant: Callable[[Path], None], planted: Path) -> None:
    plant(planted)
    found = everything(planted)
    assert found.faults, found
    assert found.verdict.startswith(("NOT VERIFIED", f"{len(found.faults)} faults"))


def test_what_cannot_be_computed_is_counted_and_named(planted: Path) -> None:
    for folder in (planted / "checkpoints").glob("test_resnet-*"):
        shutil.rmtree(folder)
    told = CliRunner().invoke(app, ["verify", str(planted), "--samples", "5"])
    assert told.exit_code == 0, told.output
    assert "5 cells not computed: the checkpoint of test_resnet is not here" in told.output
    assert "verified: 5 rows computed anew agree" in told.output


def test_cells_of_an_earlier_and_wider_run_are_verified_by_its_config(planted: Path) -> None:
    """Their classifier is here, and the last config does not ask for them."""
    run(CONFIG.select(["test_resnet", "emodc_amdit"], ["gaussian_noise"]), planted, QUIET)
    store = Store(planted)
    assert [own["precision"] for own in store.all_configs("faces")] == ["float32"] * 2
    found = verify(planted, QUIET, 10)
    assert not found.faults and not found.unknown and found.checked == 10
    assert sum(map(store.verified, store.planned())) == 10
    assert not verify(planted, QUIET, 0).checked
    assert sum(map(Store(planted).verified, store.planned())) == 10  # nothing was said against it


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: config.update(data={"kind": "folder", "root": "/nowhere"}), "nowhere"),
        (lambda config: config["classifiers"]["emodc_amdit"].update(heads=8), "emodc_amdit.*heads"),
    ],
    ids=["data that is elsewhere", "a field of another version"],
)
def test_without_a_config_to_open_nothing_is_computed_and_all_is_read(
    planted: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    plan = read_sealed(planted / "plan.json", SCHEMA)
    for own in plan["runs"]:
        change(own["config"])
    write_sealed(planted / "plan.json", plan)
    found = verify(planted, QUIET, 10)
    assert not found.faults and not found.checked
    [(reason, cells)] = found.unknown.items()
    assert re.search(words, reason) and cells == len(Store(planted).planned())
    run(CONFIG, planted, QUIET)  # as the reason says
    found = verify(planted, QUIET, 10)
    assert not found.faults and not found.unknown and found.checked == 10


def test_the_command_names_cell_expected_and_got(planted: Path) -> None:
    rewritten(planted, "test_resnet", "clean", shift_logits)
    told = CliRunner().invoke(app, ["verify", str(planted), "--samples", "10000"])
    assert told.exit_code == 2
    assert "test_resnet clean, " in told.output and "expected" in told.output
    as_json = CliRunner().invoke(app, ["verify", str(planted), "--samples", "10000", "--json"])
    content = json.loads(as_json.stdout)
    assert content["faults"] and content["verdict"].startswith("NOT VERIFIED")
