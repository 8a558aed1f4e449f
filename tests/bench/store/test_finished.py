"""A run that an earlier version finished is found done by this one, and reads as it did.

`finished/store` was written once and is committed. Where a test here fails, users would measure or
train all they have again: change ids, digests or formats only with a version and a line in the
changelog, and then write the store anew.
"""

import shutil
from pathlib import Path

import pytest
from support import TINY

from bench.classifiers.checkpoints import checkpoint_folder, recipes
from bench.config import Config, load
from bench.data.drawn import DrawnFaces
from bench.report.figures.curves import example_drawings
from bench.report.results import read
from bench.store.store import Store
from bench.sweep.plan import make_plan
from bench.sweep.run import dry_run, run
from bench.util.progress import Reporter

FINISHED = Path(__file__).parent / "finished"
FACES = DrawnFaces({"train": 28, "val": 14, "test": 21})


def test_a_finished_run_is_found_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load(FINISHED / "config.yaml")
    shutil.copytree(FINISHED / "store", tmp_path, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    planned = dry_run(config, tmp_path)
    assert [done for _, done, _ in planned.cells] == [True] * 8
    run(config, tmp_path, Reporter())
    assert "sweep: all 8 cells are already there" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


def test_its_rows_traces_and_records_read_as_they_were_written() -> None:
    store, results = Store(FINISHED / "store"), read(FINISHED / "store")
    accuracies = [(r.cell.perturbation, r.n, r.accuracy) for r in results.complete]
    right = [round(accuracy.value * n) for _, n, accuracy in accuracies]
    assert [n for _, n, _ in accuracies] == [14, 14, 7] * 2
    assert right == [13, 3, 0, 14, 11, 3]
    assert not results.missing and not results.refused and len(results.validation) == 2
    clean = store.manifest(results.complete[3].cell)
    assert clean is not None and clean.gate is not None
    traces, others = store.traces(clean), store.other_prompts(clean)
    assert traces is not None and traces.errors.shape == (14, 7, 3)
    assert others is not None and others.null.shape == (7, 3)
    assert store.samples("faces", clean.inputs["data"]) is not None and not store.refused
    attacked = [r.manifest for r in results.complete if r.cell.family == "attack"]
    assert len(attacked) == 2 and not any(map(store.examples, attacked))  # from before there were
    assert not list(example_drawings(results.groups[0], store))


@pytest.mark.parametrize("out", ["tests/bench/store/finished/store", "results/default"])
def test_the_config_of_a_committed_run_is_read(out: str) -> None:
    """Else `bench verify` could compute nothing of it anew."""
    (config,) = Store(FINISHED.parents[3] / out).all_configs("faces")
    assert Config.model_validate(config).data.kind == "faces"


def test_checkpoints_are_looked_for_where_they_were_trained() -> None:
    chains = {
        name: [checkpoint_folder(Path(), recipe).name for recipe in chain]
        for (name, _), chain in recipes(load(TINY), FACES).items()
    }
    assert chains == {
        "test_resnet": ["test_resnet-fba40d37cee1"],
        "emodc_base": ["emodc-base-f6e6312dc3e8"],
        "emodc_amdit": ["emodc-base-f6e6312dc3e8", "emodc-amdit-bcd8edc3b772"],
        "emodc_control": ["control-5eeff43bb611"],
    }


@pytest.mark.parametrize(
    ("classifier", "ids"),
    {
        "test_resnet": "3cb54b4672c7 fa011487b822 7e16bbad8d0d 0a4941792c69 "
        "247d6ace04ae 33f7a769318d",
        "emodc_base": "3ec021cbbad8 d8f72f146bff 89912368a5c3 06a5e0865bb1 baea5ac8d7f8",
        "emodc_amdit": "53157062e688 5842c71008e4 07570d743bc2 036ef96e735e e8898278e25e",
        "emodc_control": "c2f1999575e8 43659043c06a ee330d3cc542 d21135bc5a0f "
        "e6c1091bdc7c ac49a66a9952",
    }.items(),
)
def test_cells_keep_their_ids(classifier: str, ids: str) -> None:
    """Validation, clean, gaussian_noise 2, gaussian_blur 5, pgd 4/255, views."""
    config = load(TINY)
    plan = make_plan(config, FACES, {(name, 0): "w" for name in config.classifiers})
    assert [p.cell.id for p in plan if p.cell.classifier == classifier] == ids.split()
