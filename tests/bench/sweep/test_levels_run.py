"""Continuous levels from a config to a report."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_up_cells import restated
from support import write_pictures

from bench.config import Config, parse
from bench.data.open import open_dataset
from bench.perturb import CONTINUOUS
from bench.report import write_report
from bench.report.compare import Side, pair
from bench.report.outcomes import AccuracyEstimate
from bench.report.results import read
from bench.stats import wilson
from bench.store.cells import Cell
from bench.store.store import Store
from bench.sweep.plan import PlannedCell
from bench.sweep.run import run
from bench.sweep.worker import Worker
from bench.util.errors import UserError
from bench.util.progress import Reporter

LEVELS = {
    "gaussian_noise_sigma": [0.3, 0.02],
    "gaussian_blur_sigma": [1],
    "gaussian_noise_snr": [10, 30, 10.0],
}
OWN = {"kind": "python", "factory": "support:reddest_is_happy"}
COLUMNS = (
    "noise sigma 0.02",
    "noise sigma 0.3",
    "blur sigma 1",
    "noise SNR 30 dB",
    "noise SNR 10 dB",
)


def config(folder: Path, levels: dict[str, list[float]] = LEVELS) -> Config:
    content = {
        "precision": "float32",
        "data": {"kind": "folder", "root": str(folder)},
        "classifiers": {
            "plain": OWN | {"trained_with": ["blur"]},
            "tiny": {
                "kind": "baseline", "architecture": "test_resnet", "steps": 1, "batch_size": 4
            },
        },
        "validation": False,
        "perturbations": {"levels": levels, "corruptions": {"gaussian_blur": [1, 2]}},
        "execution": {"workers": 1, "device": "cpu", "shards": 2, "batch_size": 7},
    }  # fmt: skip
    return parse(content, "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pictures")
    write_pictures(found / "train", ("happiness", "neutral"), 10)
    write_pictures(found / "test", ("happiness", "neutral"), 5)
    return found


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("run")
    run(config(folder), found, Reporter())
    return found


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def level_cells(out: Path) -> list[Cell]:
    return [cell for cell in Store(out).planned() if cell.family == "level"]


def test_the_table_is_what_the_rows_say(out: Path) -> None:
    report = write_report(out)
    (spec,) = [spec for spec in report.tables if spec.name.endswith("-levels")]
    assert spec.title.startswith("Continuous levels") and spec.chapter == "corruptions"
    assert spec.header == ("classifier", "n", "clean", *COLUMNS)
    store = Store(out)
    cells = {(c.classifier, c.perturbation, c.severity): c for c in store.planned()}
    keys = [
        ("clean", "0"),
        ("gaussian_noise_sigma", "0.02"),
        ("gaussian_noise_sigma", "0.3"),
        ("gaussian_blur_sigma", "1"),
        ("gaussian_noise_snr", "30 dB"),
        ("gaussian_noise_snr", "10 dB"),
    ]
    assert [row[:2] for row in spec.rows] == [("plain", "10"), ("tiny", "10")]
    for row in spec.rows:
        for value, key in zip(row[2:], keys, strict=True):
            manifest = store.manifest(cells[str(row[0]), *key])
            assert manifest is not None and isinstance(value, AccuracyEstimate)
            rows = store.rows(manifest)
            right = int((rows["label"] == rows["prediction"]).sum())
            assert value.value == pytest.approx(right / 10)
            assert value.interval == wilson(right, 10)
    blur = spec.header.index("blur sigma 1")
    assert [place for place in spec.seen if place[0] == 0] == [(0, blur)]


def test_levels_stand_nowhere_else(out: Path, folder: Path, tmp_path: Path) -> None:
    run(config(folder, {}), tmp_path / "without", Reporter())
    with_levels, without = write_report(out), write_report(tmp_path / "without")
    extra = {spec.name for spec in with_levels.tables} - {spec.name for spec in without.tables}
    assert len(extra) == 1 and next(iter(extra)).endswith("-levels")
    assert {r.cell.family for r in read(out).complete} == {"clean", "corruption"}
    assert read(out).finished == 2 * (3 + 5) and not read(out).missing
    assert "_sigma" not in (out / "report" / "summary.csv").read_text()
    found = pair(Side("A", out, "plain"), Side("B", out, "tiny"))
    assert {p.where.perturbation for p in found.pairs} == {"clean", "gaussian_blur"}


def test_a_worker_shows_the_pictures_of_the_address(out: Path, folder: Path) -> None:
    chosen = config(folder)
    dataset = open_dataset(chosen.data, 0)
    worker, samples = Worker(chosen, dataset, out, {}), dataset.samples("test")[:2]
    for cell in level_cells(out):
        planned = PlannedCell(cell, {}, (), CONTINUOUS[cell.perturbation])
        found = worker.perturbed(planned, samples, None)  # type: ignore[arg-type]
        expected = CONTINUOUS[cell.perturbation].batch(
            np.stack([dataset.picture(sample) for sample in samples]),
            cell.severity,
            seed=0,
            dataset=dataset.name,
            sample_ids=[sample.id for sample in samples],
        )
        np.testing.assert_array_equal(np.stack([p for p in found if p is not None]), expected)


def test_more_levels_are_added_to_a_run(out: Path, folder: Path) -> None:
    before = {cell.id for cell in level_cells(out)}
    more = config(folder, LEVELS | {"gaussian_blur_sigma": [1, 2.5]})
    times = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")}
    run(more, out, Reporter())
    assert before < {cell.id for cell in level_cells(out)}
    after = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")}
    assert times.items() <= after.items() and len(after) == len(times) + 2 * 2


def test_levels_without_another_cell_are_told_of(out: Path) -> None:
    store = Store(out)
    other = restated(store, level_cells(out)[0], cell={"dataset": "elsewhere"})
    store.write_plan([other], {})
    (missing,) = read(out).missing
    assert missing.cell == other and "no other cell of its data set" in str(missing)


def test_lower_ratios_are_harder() -> None:
    common = {
        "id": "x", "classifier": "c", "dataset": "d", "perturbation": "p", "family": "level",
        "seed": 0,
    }  # fmt: skip
    levels = [Cell(severity=s, **common).level for s in ("30 dB", "-2.5 dB", "0.05")]
    assert levels == [-30, 2.5, 0.05]


def test_perturbations_are_selected_by_name(folder: Path) -> None:
    chosen = config(folder)
    alone = chosen.select(None, ["gaussian_noise_snr"]).perturbations
    assert alone.levels == {"gaussian_noise_snr": [10, 30, 10]} and not alone.corruptions
    usual = config(folder, {}).select(None, ["gaussian_noise_sigma"]).perturbations.levels
    assert usual == {"gaussian_noise_sigma": list(CONTINUOUS["gaussian_noise_sigma"].levels)}
    assert chosen.select(None, ["clean"]).perturbations.levels == {}


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({"gaussian_noise_sgima": [0.1]}, "gaussian_noise_sigma"),
        ({"gaussian_noise_sigma": [30]}, "from 0.001 to 1, not 30"),
        ({"gaussian_blur_sigma": [0]}, "from 0.1 to 100"),
    ],
)
def test_bad_levels_are_told_with_their_field(folder: Path, levels: dict, words: str) -> None:
    with pytest.raises(UserError, match="levels") as told:
        config(folder, levels)
    assert words in str(told.value)
