"""The whole of `bench run robustness` on a tiny config, in process."""

import csv
import shlex
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from support import TINY, summary_without_times, write_pictures

from bench.config import Config, load, parse
from bench.data.open import open_dataset
from bench.data.readers.folder import Folder
from bench.report import write_report
from bench.rules import fitted
from bench.store.cells import Manifest
from bench.store.checkpoints import Card
from bench.store.store import Store
from bench.sweep.run import dry_run, run
from bench.util.progress import Reporter
from emodc import EmoDC

EMODCS = ("emodc_base", "emodc_amdit", "emodc_control")
COLUMNS = (
    "classifier,dataset,perturbation,severity,seed,run_seed,n,accuracy,accuracy_low,accuracy_high,"
    "uar,uar_low,uar_high,macro_f1,macro_f1_low,macro_f1_high,d_p,d_p_low,d_p_high,"
    "evaluations_per_image,seconds_per_image"
)


def execution(config: Config, **changes: object) -> Config:
    return config.model_copy(update={"execution": config.execution.model_copy(update=changes)})


def decision_cells(out: Path) -> list[Manifest]:
    """The complete cells of validation pictures and of views."""
    store = Store(out)
    cells = [c for c in store.planned() if c.family in ("validation", "views")]
    return [found for cell in cells if (found := store.manifest(cell)) is not None]


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run of the tiny config, reported."""
    out = tmp_path_factory.mktemp("tiny")
    run(load(TINY), out, Reporter(), command=["run", "robustness", "-c", str(TINY)])
    write_report(out)
    return out


@pytest.fixture
def trained(tiny_run: Path, tmp_path: Path) -> Path:
    """A folder with the tiny run's checkpoints and no results."""
    shutil.copytree(tiny_run / "checkpoints", tmp_path / "checkpoints")
    return tmp_path


def test_the_summary_has_a_row_per_cell(tiny_run: Path) -> None:
    with (tiny_run / "report" / "summary.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert ",".join(rows[0]) == COLUMNS
    assert len(rows) == 4 * 4
    for row in rows:
        attacked = row["perturbation"] == "pgd"
        assert int(row["n"]) == (4 if attacked else 14)
        assert row["severity"] == {"clean": "0", "gaussian_noise": "2", "gaussian_blur": "5",
                                   "pgd": "4/255"}[row["perturbation"]]  # fmt: skip
        low, accuracy, high = (
            float(row[name]) for name in ("accuracy_low", "accuracy", "accuracy_high")
        )
        assert 0 <= low <= accuracy <= high <= 1
        name = row["classifier"].partition(" (")[0]  # three steps of training pass few checks
        generative = name in ("emodc_base", "emodc_amdit")
        assert (row["d_p"] != "") == generative  # the control predicts no noise
        evaluations = {"test_resnet": 1, "emodc_control": 4}.get(name, 7 * 4)
        assert float(row["evaluations_per_image"]) == evaluations


def test_what_a_run_said_is_kept_in_one_file(tiny_run: Path) -> None:
    first, *lines = (tiny_run / "run.log").read_text(encoding="utf-8").splitlines()
    assert first.endswith(f" bench run robustness -c {shlex.quote(str(TINY))}")
    assert any(" train test_resnet: 3/3" in line for line in lines)
    assert all(datetime.fromisoformat(line[:19]) for line in (first, *lines))
    assert lines[-1].endswith(" finished")


def test_base_and_amdit_share_their_first_stage(tiny_run: Path) -> None:
    kinds = sorted(p.name.rsplit("-", 1)[0] for p in (tiny_run / "checkpoints").iterdir())
    assert kinds == ["control", "emodc-amdit", "emodc-base", "test_resnet"]


def test_the_command_of_a_cell_computes_that_cell(tiny_run: Path) -> None:
    store, plans = Store(tiny_run), {}
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        *given, _, classifier, _, perturbation = shlex.split(manifest.command)
        assert given == ["bench", "run", "robustness", "-c", str(TINY)]
        if (classifier, perturbation) not in plans:
            config = load(TINY).select([classifier], [perturbation])
            planned = [planned.cell for planned, _, _ in dry_run(config, tiny_run).cells]
            plans[classifier, perturbation] = planned
        assert cell in plans[classifier, perturbation]


def test_the_store_knows_the_data_of_every_cell(tiny_run: Path) -> None:
    store, dataset = Store(tiny_run), open_dataset(load(TINY).data, 0)
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        address = cell.dataset, manifest.inputs["data"]
        record, samples = store.dataset(*address), store.samples(*address)
        assert record is not None and samples is not None
        assert record.classes == manifest.classes and record.synthetic
        assert sum(record.counts["test"].values()) == len(samples) == 14
        if cell.family == "validation":
            continue  # the record is of test samples
        found = store.rows(manifest).merge(samples, on=["sample_id", "label"])
        assert len(found) == manifest.n
        assert found["light"].isin(record.groups["light"]).all()
    for sample, light in zip(dataset.samples("test"), samples["light"], strict=True):
        assert dataset.groups(sample)["light"] == light


def test_a_second_run_computes_nothing_and_changes_nothing(tiny_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*.parquet")}
    assert all(done for _, done, _ in dry_run(load(TINY), tiny_run).cells)
    run(load(TINY), tiny_run, Reporter())
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*.parquet")} == before


def test_a_run_calibrates_the_checkpoints_that_it_trained(tmp_path: Path) -> None:
    """Scores of `predict` are those of the validation fit; weights and cells are as before."""
    network = {"kind": "emodc", "block_out_channels": [8, 8, 8]}
    base = {"objective": {"kind": "base"}, "learning_rate": 0.01}
    stages = [base | {"steps": 20, "batch_size": 8}]
    emodc = network | {"stages": stages, "evaluation": {"steps": 100}}
    aware = emodc | {"evaluation": {"steps": 100, "noise_aware": True}}
    content = {
        "precision": "float32",
        "data": {"kind": "faces", "train": 14, "val": 14, "test": 7},
        "classifiers": {"aware": aware, "plain": emodc},  # one checkpoint
        "execution": {"workers": 1, "device": "cpu"},
    }
    config, quiet = parse(content, "test"), Reporter(quiet=True)
    store = run(config, tmp_path, quiet)
    (file,) = tmp_path.glob("checkpoints/*/fit.json")
    card = Card.verified(file.parent)
    model = EmoDC.from_pretrained(file.parent)
    (cell,) = (c for c in store.planned() if c.about.fits and c.classifier == "plain")
    assert model.fit == fitted(store, cell) and model.fit is not None and model.fit.n == 14

    manifest = store.manifest(cell)
    assert manifest is not None and manifest.checkpoint == card.weights
    rows = store.rows(manifest)
    dataset = open_dataset(config.data, 0)
    pictures = {sample.id: dataset.picture(sample) for sample in dataset.samples("val")}
    names = list(rows["sample_id"])
    factor = model.fit.temperature / model.evaluation.logit_scale
    model.evaluation = replace(model.evaluation, precision="float32")  # as the run's
    said = model.predict([pictures[name] for name in names], names)
    for answers, logits in zip(said, rows["logits"], strict=True):
        calibrated = softmax(factor * np.array(logits, np.float64))
        scores = {answer["label"]: answer["score"] for answer in answers}
        found = [scores[name] for name in manifest.classes]
        np.testing.assert_allclose(found, calibrated, atol=1e-4)

    written = file.read_bytes()
    file.unlink()
    run(config, tmp_path, quiet)  # all cells are there
    assert file.read_bytes() == written and Card.verified(file.parent) == card


@pytest.mark.parametrize(("batch_size", "shards"), [(1, 3), (7, 1)])
def test_batch_size_and_shards_change_nothing(
    tiny_run: Path, trained: Path, batch_size: int, shards: int
) -> None:
    run(execution(load(TINY), batch_size=batch_size, shards=shards), trained, Reporter())
    write_report(trained)
    assert summary_without_times(trained) == summary_without_times(tiny_run)
    for found, expected in zip(decision_cells(trained), decision_cells(tiny_run), strict=True):
        columns = ["sample_id", "label", "prediction", "evaluations"]
        rows, same = (Store(o).rows(m) for o, m in ((trained, found), (tiny_run, expected)))
        assert rows[columns].equals(same[columns]), found.cell
        traces, others = Store(trained).traces(found), Store(tiny_run).traces(expected)
        assert (traces is None) == (others is None)
        if traces is not None and others is not None:
            assert traces.ids == others.ids and traces.info == others.info
            np.testing.assert_array_equal(traces.errors, others.errors)
            np.testing.assert_array_equal(traces.timesteps, others.timesteps)


def test_training_again_gives_the_same_results(tiny_run: Path, tmp_path: Path) -> None:
    run(execution(load(TINY), batch_size=64, shards=2), tmp_path, Reporter())
    write_report(tmp_path)
    assert summary_without_times(tmp_path) == summary_without_times(tiny_run)


def test_a_damaged_part_is_computed_again(
    tiny_run: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_run, trained, dirs_exist_ok=True)
    part = sorted((trained / "cells").rglob("part-*.parquet"))[3]
    views = [m for m in decision_cells(trained) if m.cell.family == "views"]
    assert [m.cell.classifier for m in views] == ["test_resnet", "emodc_control"]
    expected = [Store(trained).traces(m) for m in views]
    traces = [next(Store(trained).folder(m.cell).glob("trace-00000-*")) for m in views]
    for path in (part, *traces):
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(content)
    assert [Store(trained).traces(m) for m in views] == [None, None]
    run(load(TINY), trained, Reporter())
    assert capsys.readouterr().err.count("measured again") == 3
    write_report(trained)
    assert summary_without_times(trained) == summary_without_times(tiny_run)
    for manifest, before in zip(views, expected, strict=True):
        after = Store(trained).traces(Store(trained).manifest(manifest.cell))
        assert after is not None and before is not None
        np.testing.assert_array_equal(after.errors, before.errors)


def test_validation_pictures_and_views_are_measured_for_decisions(tiny_run: Path) -> None:
    found = {(m.cell.classifier, m.cell.family): m for m in decision_cells(tiny_run)}
    assert len(found) == 4 + 2
    store = Store(tiny_run)
    validation = {sample.id for sample in open_dataset(load(TINY).data, 0).samples("val")}
    for name in ("test_resnet", *EMODCS):
        rows = store.rows(found[name, "validation"])
        assert set(rows["sample_id"]) == validation
        assert found[name, "validation"].flops["step"] > 0
    for name, steps in (("test_resnet", 3), ("emodc_control", 4)):
        rows, traces = store.rows(found[name, "views"]), store.traces(found[name, "views"])
        assert traces is not None and traces.surprises and traces.complete
        assert traces.errors.shape == (14, 7, steps) and set(rows["evaluations"]) == {steps}
        assert rows["d_p"].isna().all()
        np.testing.assert_allclose(np.exp(-traces.errors).sum(axis=1), 1, atol=1e-5)
        logits = np.stack(rows["logits"].tolist())
        np.testing.assert_allclose(logits, -traces.errors.mean(axis=2), atol=1e-5)
    clean = next(c for c in store.planned() if (c.classifier, c.family) == ("test_resnet", "clean"))
    manifest = store.manifest(clean)
    traces = store.traces(found["test_resnet", "views"])
    assert manifest is not None and traces is not None
    first = traces.errors[:, :, 0]  # the picture itself
    logits = np.stack(store.rows(manifest)["logits"].tolist())
    surprises = np.log(np.exp(logits).sum(axis=1, keepdims=True)) - logits
    np.testing.assert_allclose(first, surprises, atol=1e-5)


def test_a_limit_makes_other_cells_and_replaces_them_in_the_report(
    tiny_run: Path, trained: Path
) -> None:
    shutil.copytree(tiny_run, trained, dirs_exist_ok=True)
    limited = load(TINY).select(["test_resnet"], ["clean"]).model_copy(update={"limit": 7})
    run(limited, trained, Reporter())
    cells = Store(trained).planned()
    assert len(cells) == 16 + 4 + 2
    sizes = {
        (cell.classifier, cell.family): Store(trained).manifest(cell).n
        for cell in cells
        if cell.perturbation == "clean"
    }
    clean = {name: n for (name, family), n in sizes.items() if family == "clean"}
    assert clean == {"test_resnet": 7} | dict.fromkeys(EMODCS, 14)
    assert sizes["test_resnet", "validation"] == sizes["test_resnet", "views"] == 7


def test_other_prompts_are_stored_and_change_no_row(tiny_run: Path, trained: Path) -> None:
    config = load(TINY).select(["emodc_base"], ["clean", "gaussian_noise"])
    spec = config.classifiers["emodc_base"]

    def with_others(count: int) -> Config:
        plan = spec.evaluation.model_copy(update={"other_prompts": count})
        return config.model_copy(
            update={"classifiers": {"emodc_base": spec.model_copy(update={"evaluation": plan})}}
        )

    def cells(out: Path) -> dict[str, Manifest]:
        planned = (
            c
            for c in Store(out).planned()
            if c.classifier == "emodc_base" and c.family in ("clean", "corruption")
        )
        return {c.perturbation: m for c in planned if (m := Store(out).manifest(c)) is not None}

    run(with_others(0), trained, Reporter())
    with_all, without = cells(tiny_run), cells(trained)
    assert with_all["gaussian_noise"].cell == without["gaussian_noise"].cell
    assert with_all["clean"].cell != without["clean"].cell
    columns = ["sample_id", "prediction", "d_p", "evaluations"]
    rows = [
        Store(out).rows(found["clean"]) for out, found in ((tiny_run, with_all), (trained, without))
    ]
    assert rows[0][columns].equals(rows[1][columns])
    for one, other in zip(rows[0]["logits"], rows[1]["logits"], strict=True):
        np.testing.assert_array_equal(one, other)
    assert Store(trained).other_prompts(without["clean"]) is None

    others = Store(tiny_run).other_prompts(with_all["clean"])
    traces = Store(tiny_run).traces(with_all["clean"])
    assert others is not None and traces is not None
    assert sorted(others.ids) == list(traces.ids) and others.null.shape == (14, 4)
    assert Store(tiny_run).other_prompts(with_all["gaussian_noise"]) is None

    run(with_others(9), trained, Reporter())  # some of the samples, from each class
    others = Store(trained).other_prompts(cells(trained)["clean"])
    labels = dict(rows[0][["sample_id", "label"]].to_numpy())
    assert others is not None and len(others.ids) == 9
    assert len({labels[name] for name in others.ids}) == 7


def test_timesteps_follow_the_noise_of_a_picture(tiny_run: Path, trained: Path) -> None:
    config = load(TINY).select(["emodc_base"], ["clean", "gaussian_noise"])
    spec = config.classifiers["emodc_base"]
    plan = spec.evaluation.model_copy(update={"noise_aware": True})
    aware = {"emodc_base": spec.model_copy(update={"evaluation": plan})}
    run(config.model_copy(update={"classifiers": aware}), trained, Reporter())
    store = Store(trained)
    first = {}
    for cell in store.planned():
        manifest = store.manifest(cell)
        traces = None if manifest is None else store.traces(manifest)
        tested = cell.family in ("clean", "corruption")
        if cell.classifier == "emodc_base" and tested and traces is not None:
            first[cell.perturbation] = traces.timesteps[:, 0].mean()
    assert first["gaussian_noise"] > first["clean"] + 50


def test_a_folder_of_pictures_runs(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set" / "train", ("happy", "neutral"), 8, size=40)
    write_pictures(tmp_path / "set" / "test", ("happy", "neutral"), 4, size=72)
    (tmp_path / "set" / "test" / "happy" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    config = load(TINY).model_copy(update={"data": Folder(root=tmp_path / "set")})
    run(config, tmp_path / "out", Reporter())
    report = write_report(tmp_path / "out")
    assert set(report.summary["dataset"]) == {"set"}
    assert set(report.summary["n"]) == {8, 4}
    assert "broken.jpg" in (tmp_path / "out" / "skipped.json").read_text()


def test_a_classifier_of_ones_own_is_measured(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set" / "train", ("happy", "neutral"), 3)
    write_pictures(tmp_path / "set" / "test", ("happy", "neutral"), 4)
    config = parse(
        {
            "data": {"kind": "folder", "root": str(tmp_path / "set")},
            "classifiers": {"mine": {"kind": "python", "factory": "support:reddest_is_happy"}},
            "perturbations": {"attacks": {"fgsm": [255]}},
            "execution": {"workers": 1},
        },
        "mine.yaml",
    )
    run(config, tmp_path / "out", Reporter())
    accuracies = dict(write_report(tmp_path / "out").summary[["severity", "accuracy"]].to_numpy())
    assert accuracies == {"0": 1.0, "255/255": 0.0}
