"""Perturbation sequences from a config to a report."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support import write_pictures

from bench.config import Config, parse
from bench.data.open import open_dataset
from bench.perturb import SEQUENCES
from bench.report import write_report
from bench.report.compare import Side, pair
from bench.report.results import read
from bench.store.store import Store
from bench.store.traces import Traces
from bench.sweep.plan import PlannedCell
from bench.sweep.run import run
from bench.sweep.worker import Worker
from bench.util.errors import UserError
from bench.util.progress import Reporter

CLASSIFIERS = {
    "tiny": {"kind": "baseline", "architecture": "test_resnet", "steps": 1, "batch_size": 4},
    "emodc_base": {
        "kind": "emodc",
        "block_out_channels": [8, 8, 8],
        "stages": [{"objective": {"kind": "base"}, "steps": 1, "batch_size": 4}],
        "evaluation": {"steps": 2, "attack_steps": 1},
    },
}


def config(folder: Path, **perturbations: object) -> Config:
    table = {"sequences": ["rotation", "sequences.gaussian_noise"], "sequence_limit": 4}
    content = {
        "precision": "float32",
        "data": {"kind": "folder", "root": str(folder)},
        "classifiers": CLASSIFIERS,
        "validation": False,
        "perturbations": table | perturbations,
        "execution": {"workers": 1, "device": "cpu", "shards": 2, "batch_size": 7},
    }
    return parse(content, "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pictures")
    write_pictures(found / "train", ("happy", "neutral"), 10)
    write_pictures(found / "test", ("happy", "neutral"), 5)
    return found


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    run(config(folder), out, Reporter())
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def test_a_run_measures_frames_and_reports_flips(out: Path, folder: Path) -> None:
    store = Store(out)
    cells = [cell for cell in store.planned() if cell.family == "sequence"]
    assert {c.perturbation for c in cells} == {"sequences.rotation", "sequences.gaussian_noise"}
    dataset = open_dataset(config(folder).data, 0)
    for cell in cells:
        manifest = store.manifest(cell)
        assert manifest is not None and manifest.n == 4 * 30 and cell.severity == "30"
        rows = store.rows(manifest)
        assert rows["sample_id"].str.rpartition("#")[0].nunique() == 4
        labels = {sample.id: sample.label for sample in dataset.samples("test")}
        assert all(
            labels[i.rpartition("#")[0]] == x
            for i, x in zip(rows.sample_id, rows.label, strict=True)
        )
    report = write_report(out)
    (spec,) = [spec for spec in report.tables if "sequences" in spec.name]
    shown = [(row[0].partition(" (")[0], row[1]) for row in spec.rows]  # less failed checks
    assert shown == [("tiny", "4"), ("emodc_base", "4")]
    assert spec.header[3:] == ("mFR % (tiny)", "FP % rotation", "FP % gaussian noise")
    # What treats rows as independent samples does not know of frames.
    text = (out / "report" / "summary.csv").read_text()
    assert "sequences." not in text and ",120," not in text
    assert not any("rotation" in other.name for other in report.tables)


def test_the_first_frame_of_noise_is_the_clean_picture_under_its_own_noise(out: Path) -> None:
    """EmoDC's evaluation noise is the picture's, so that a flip is none of the noise's."""
    store = Store(out)
    cells = {c.perturbation: c for c in store.planned() if c.classifier == "emodc_base"}
    clean, noisy = (store.manifest(cells[n]) for n in ("clean", "sequences.gaussian_noise"))
    assert clean is not None and noisy is not None
    one, other = store.rows(clean), store.rows(noisy)
    other = other[other["sample_id"].str.endswith("#00")]
    other = other.assign(sample_id=other["sample_id"].str.removesuffix("#00"))
    both = other.merge(one, on="sample_id")
    assert len(both) == 4
    np.testing.assert_array_equal(np.stack(both["logits_x"]), np.stack(both["logits_y"]))
    traces = store.traces(noisy)
    assert isinstance(traces, Traces) and len(set(traces.ids)) == 120


def test_a_second_run_has_nothing_to_do_and_more_sequences_are_added(
    out: Path, folder: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")}
    run(config(folder, sequences=["rotation", "gaussian_noise", "tilt"]), out, Reporter())
    after = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")}
    assert before.items() <= after.items() and len(after) == len(before) + 4


def test_a_comparison_leaves_frames_out(out: Path) -> None:
    found = pair(Side("A", out, "tiny"), Side("B", out, "emodc_base"))
    assert {p.where.perturbation for p in found.pairs} == {"clean"}


def test_sequences_alone_are_told_of_and_not_shown(out: Path) -> None:
    store = Store(out)
    for cell in store.planned():
        if cell.family == "clean":
            store.reopen(cell, {}, [])
    with pytest.raises(UserError, match="no complete cell"):
        read(out)


def test_the_order_of_frames_is_that_of_the_pixels(folder: Path, out: Path) -> None:
    """Reading one row again gives the row."""
    chosen = config(folder)
    dataset = open_dataset(chosen.data, 0)
    worker = Worker(chosen, dataset, out, {})
    cell = next(c for c in Store(out).planned() if c.perturbation == "sequences.rotation")
    sample = dataset.samples("test")[0]
    rotation = SEQUENCES[cell.perturbation]
    named = worker._sample(rotation, f"{sample.id}#17")
    expected = rotation.frames(
        dataset.picture(sample), [17], seed=0, dataset=dataset.name, sample_id=sample.id
    )
    planned = PlannedCell(cell, {}, (), rotation)
    (found,) = worker.perturbed(planned, [named], None)  # type: ignore[arg-type]
    assert found is not None
    np.testing.assert_array_equal(found, expected[0])


def test_unknown_sequences_are_told_with_their_field(folder: Path) -> None:
    with pytest.raises(UserError, match="rotation"):
        config(folder, sequences=["rotatoin"])


def test_the_preset_stands_for_its_ten(folder: Path) -> None:
    chosen = config(folder, sequences=[], presets=["sequences"])
    assert chosen.perturbations.sequences == list(SEQUENCES)
    assert not chosen.perturbations.corruptions
    narrowed = config(folder).select(None, ["sequences.rotation"]).perturbations
    assert narrowed.sequences == ["sequences.rotation"]
    every = config(folder, sequences=[]).select(None, ["sequences"]).perturbations
    assert every.sequences == list(SEQUENCES)
    assert config(folder).select(None, ["clean"]).perturbations.sequences == []
