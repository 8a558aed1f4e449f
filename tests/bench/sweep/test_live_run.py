"""A sweep whose EmoDC decides while it measures."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import TINY

from bench.config import Config, load, parse
from bench.report import write_report
from bench.rules import fitted
from bench.store.cells import Cell, Manifest
from bench.store.store import SCHEMA, Store
from bench.sweep.run import dry_run, run
from bench.util.errors import UserError
from bench.util.files import read_sealed, write_sealed
from bench.util.progress import Reporter
from emodc.decisions.decide import decide

SEQUENTIAL = {"kind": "sequential", "delta": 0.4}


def config(decision: dict[str, Any] | None, **changes: Any) -> Config:
    """The tiny EmoDC with enough steps to decide early, and its control."""
    plan = {"steps": 16, "attack_steps": 2, "noise_aware": True}
    if decision is not None:
        plan["decision"] = decision
    known = load(TINY).model_dump(mode="json")
    base = {"objective": {"kind": "base"}, "learning_rate": 0.01}
    stages = [base | {"steps": 10, "batch_size": 8}]  # after fewer, classes tie
    classifiers = {
        name: known["classifiers"][name] | {"evaluation": plan, "stages": stages}
        for name in ("emodc_base", "emodc_control")
    }
    known["perturbations"]["corruptions"] = {"gaussian_noise": [2]}
    settings = {"classifiers": classifiers, "validation": True, "views": 0}
    content = known | settings | changes
    return parse(content, "live.yaml")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that measures everything."""
    out = tmp_path_factory.mktemp("whole")
    run(config(None), out, Reporter())
    return out


@pytest.fixture(scope="module")
def live(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, decided live."""
    out = tmp_path_factory.mktemp("live")
    shutil.copytree(whole / "checkpoints", out / "checkpoints")
    run(config(SEQUENTIAL), out, Reporter())
    return out


def manifests(out: Path) -> dict[tuple[str, str, str], Manifest]:
    store = Store(out)
    found = {(c.classifier, c.family, c.perturbation): store.manifest(c) for c in store.planned()}
    return {key: manifest for key, manifest in found.items() if manifest is not None}


def test_decisions_are_those_of_a_replay_of_everything(whole: Path, live: Path) -> None:
    """With the attacks' exception, whose pictures are the same because attacks see no rule."""
    stored, decided = manifests(whole), manifests(live)
    fit = fitted(Store(live), decided["emodc_base", "clean", "clean"].cell)
    assert fit is not None
    rule = config(SEQUENTIAL).classifiers["emodc_base"].evaluation.decision.rule(fit)
    saved = 0
    for key, manifest in decided.items():
        if key[0] != "emodc_base" or key[1] == "validation":
            continue
        rows, traces = Store(live).rows(manifest), Store(whole).traces(stored[key])
        measured = Store(live).traces(manifest)
        assert traces is not None and measured is not None and not measured.complete
        assert measured.ids == traces.ids
        replay = decide(traces.errors, traces.timesteps, rule, traces.ids)
        assert [manifest.classes.index(name) for name in rows["prediction"]] == list(replay.winner)
        np.testing.assert_array_equal(rows["evaluations"], replay.evaluations)
        np.testing.assert_array_equal(np.isfinite(measured.errors).sum(axis=2), replay.seen)
        known = np.isfinite(measured.errors)
        np.testing.assert_allclose(measured.errors[known], traces.errors[known], rtol=1e-4)
        saved += (7 * 16 - replay.evaluations).sum()
    assert saved > 0


def test_the_control_decides_live_without_a_trace(live: Path) -> None:
    manifest = manifests(live)["emodc_control", "clean", "clean"]
    evaluations = Store(live).rows(manifest)["evaluations"]
    assert Store(live).traces(manifest) is None
    assert evaluations.between(1, 16).all()


def test_validation_is_measured_whole_and_shared(whole: Path, live: Path) -> None:
    key = ("emodc_base", "validation", "clean")
    stored, decided = manifests(whole)[key], manifests(live)[key]
    assert stored.cell == decided.cell
    traces = Store(live).traces(decided)
    assert traces is not None and traces.complete
    clean = manifests(live)["emodc_base", "clean", "clean"]
    assert clean.inputs["fitted_on"] == decided.cell.id
    assert clean.cell != manifests(whole)["emodc_base", "clean", "clean"].cell


def test_a_rule_is_fitted_on_the_cell_that_ids_name_or_on_none(live: Path, tmp_path: Path) -> None:
    """Without it the rows would be those of another rule, under the same id."""
    out = Path(shutil.copytree(live, tmp_path / "out"))
    clean = manifests(out)["emodc_base", "clean", "clean"]
    validation = manifests(out)["emodc_base", "validation", "clean"].cell
    now, store = fitted(Store(out), clean.cell, validation.id), Store(out)
    assert now is not None and now == fitted(store, clean.cell)
    others = [cell for cell in store.planned() if cell != validation]
    write_sealed(out / "plan.json", read_sealed(out / "plan.json", SCHEMA) | {
        "cells": [cell.model_dump() for cell in others]
    })  # fmt: skip
    assert fitted(Store(out), clean.cell) is None  # another run has planned other cells
    assert fitted(Store(out), clean.cell, validation.id) == now
    (store.folder(validation) / "cell.json").unlink()
    with pytest.raises(UserError, match="not measured completely"):
        fitted(Store(out), clean.cell, validation.id)


def test_what_was_lost_comes_back_the_same(live: Path, tmp_path: Path) -> None:
    """Whatever the shards and the batches: rows do not depend on what they came with."""
    out = tmp_path / "again"
    shutil.copytree(live, out)
    parts = sorted((out / "cells" / "emodc_base").rglob("*-00001-of-*.parquet"))
    assert parts
    for part in parts:
        part.unlink()
    run(config(SEQUENTIAL, execution={"workers": 1, "batch_size": 5}), out, Reporter())
    require_same_rows(live, out)
    shutil.rmtree(out / "cells" / "emodc_base")
    run(
        config(SEQUENTIAL, execution={"workers": 1, "shards": 3, "traces": "float16"}),
        out,
        Reporter(),
    )
    require_same_rows(live, out)
    kept = {
        key[1]: Store(out).traces(manifest).info.dtype
        for key, manifest in manifests(out).items()
        if key[0] == "emodc_base"
    }
    # What rules are fitted on is not rounded: it would change what they decide.
    assert kept.pop("validation") == "float32" and set(kept.values()) == {"float16"}


def require_same_rows(one: Path, other: Path) -> None:
    found = manifests(other)
    assert found.keys() == manifests(one).keys()
    for key, manifest in manifests(one).items():
        before, after = Store(one).rows(manifest), Store(other).rows(found[key])
        columns = ["sample_id", "prediction", "d_p", "evaluations"]
        assert before[columns].equals(after[columns])
        np.testing.assert_array_equal(np.stack(before["logits"]), np.stack(after["logits"]))


def test_a_report_shows_decisions_and_leaves_out_what_needs_whole_traces(live: Path) -> None:
    summary = write_report(live).summary
    names = summary["classifier"].str.partition(" (")[0]  # less failed checks
    summary = summary.assign(classifier=names).set_index(["classifier", "perturbation"])
    for key in (("emodc_base", "clean"), ("emodc_base", "pgd"), ("emodc_control", "clean")):
        family = "attack" if key[1] == "pgd" else "clean"
        rows = Store(live).rows(manifests(live)[key[0], family, key[1]])
        evaluations = summary.loc[key, "evaluations_per_image"]
        assert evaluations == pytest.approx(rows["evaluations"].mean())


def cells(chosen: Config, out: Path) -> list[Cell]:
    return [planned.cell for planned, _, _ in dry_run(chosen, out).cells]


def test_ids_follow_the_decision_and_what_it_is_fitted_on(whole: Path) -> None:
    plain = cells(config(None), whole)
    assert plain == cells(config(None, execution={"engine": {"rows": 8}}), whole)
    sequential = cells(config(SEQUENTIAL), whole)
    stages = cells(config({"kind": "stages"}), whole)
    alone = cells(config(SEQUENTIAL, validation=False), whole)
    for one, other in ((plain, sequential), (plain, stages), (sequential, stages)):
        ids = {cell.id for cell in one} & {cell.id for cell in other}
        assert {cell.family for cell in one if cell.id in ids} == {"validation"}
    own = {cell.id for cell in sequential if cell.classifier == "emodc_base"}
    assert not own & {cell.id for cell in alone}


def test_a_bounded_test_without_validation_pictures_is_refused(whole: Path) -> None:
    bounded = config({"kind": "sequential", "bet": "bounded"}, validation=False)
    with pytest.raises(UserError, match="needs a bound on differences of errors"):
        dry_run(bounded, whole)
