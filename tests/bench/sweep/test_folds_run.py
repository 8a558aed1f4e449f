"""Five folds of DFEW as one experiment, FERV39k's scenes, and clips that cannot be read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.config import Config, load, parse
from bench.data.readers import make_like
from bench.report import write_report
from bench.report.results import read
from bench.report.tables.clean import folds_tables
from bench.store.store import Store
from bench.sweep.run import dry_run, run
from bench.sweep.verify import verify
from bench.util.errors import UserError
from bench.util.progress import Reporter

X3D = {
    "kind": "clip_network",
    "architecture": "x3d",
    "size": 32,
    "width": 0.25,
    "depth": 0.2,
    "steps": 1,
    "batch_size": 2,
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("trees")

    def tree(kind: str) -> Path:
        if not (folder / kind).exists():
            make_like(kind, folder / kind, 1)
        return folder / kind

    return tree


def config(kind: str, root: Path, **changes: Any) -> Config:
    content = {
        "precision": "float32",
        "data": {"kind": kind, "root": str(root)},
        "clips": {"frames": 2},
        "classifiers": {"x3d": X3D},
        "validation": False,
        "limit": 7,
        "execution": {"workers": 1, "device": "cpu"},
    }
    return parse(content | changes, "test.yaml")


def test_five_folds_are_one_experiment(trees: Callable[[str], Path], tmp_path: Path) -> None:
    chosen = config("dfew", trees("dfew"), folds=[1, 2, 3, 4, 5])
    planned = dry_run(chosen, tmp_path)
    assert len(planned.cells) == 5 and planned.training == {("x3d", 0): 5}
    run(chosen, tmp_path, Reporter())
    assert len(list((tmp_path / "checkpoints").glob("x3d-*"))) == 5
    report = write_report(tmp_path)
    (spec,) = [spec for spec in report.tables if spec.name.startswith("folds-")]
    assert spec.header == (
        *("classifier", "n", "measure"),
        *(f"fold {k}" for k in range(1, 6)),
        *("mean of folds", "pooled"),
    )
    accuracy, uar = spec.rows
    assert accuracy[:3] == ("x3d", "35", "accuracy (WAR) %")
    assert uar[2] == "UAR %"
    results = read(tmp_path)
    right = np.concatenate([r.outcomes.right for r in results.complete])
    values = [r.accuracy.value for r in results.complete]
    mean, pooled = accuracy[-2:]
    assert mean.value == pytest.approx(np.mean(values))  # type: ignore[union-attr]
    assert pooled.value == pytest.approx(right.mean())  # type: ignore[union-attr]
    tables = (tmp_path / "report" / "tables.md").read_text()
    assert r"Folds of dfew\_folds\_t2" in tables
    # The same command has nothing to do; another fold's results are not this one's.
    assert all(done for _, done, _ in dry_run(chosen, tmp_path).cells)
    assert len({cell.dataset for cell in Store(tmp_path).planned()}) == 5
    found = verify(tmp_path, Reporter(), samples=35)
    assert not found.faults and not found.unknown and list(found.agreed.values()) == [7] * 5


def test_the_interval_of_the_mean_is_student_s_over_folds() -> None:
    from bench.report.tables.clean import _mean_of_folds

    found = _mean_of_folds([0.5, 0.6, 0.7, 0.6, 0.6])
    assert found.value == pytest.approx(0.6)
    assert found.interval.high - 0.6 == pytest.approx(2.776445 * np.sqrt(0.005 / 5))
    whole = _mean_of_folds([0.0, 1.0]).interval
    assert (whole.low, whole.high) == (0.0, 1.0)


def test_one_fold_has_no_table_of_folds(trees: Callable[[str], Path], tmp_path: Path) -> None:
    run(config("dfew", trees("dfew"), folds=[3]), tmp_path, Reporter())
    assert folds_tables(read(tmp_path)) == []


@pytest.mark.parametrize("name", ["dfew", "ferv39k"])
def test_the_shipped_protocols_plan_a_whole_run(
    name: str, trees: Callable[[str], Path], tmp_path: Path
) -> None:
    chosen = load(Path(name))
    data = chosen.data.model_copy(update={"root": trees(name)})
    planned = dry_run(chosen.model_copy(update={"data": data}), tmp_path)
    folds, perturbations = 5 if name == "dfew" else 1, 1 + 1 + 7 * 3
    assert len(planned.cells) == folds * perturbations * len(chosen.classifiers)
    text = (Path(__file__).parents[3] / "configs" / f"{name}.yaml").read_text()
    assert "nferred" in text and chosen.clips is not None and chosen.clips.frames == 16


def test_scenes_are_groups(trees: Callable[[str], Path], tmp_path: Path) -> None:
    run(config("ferv39k", trees("ferv39k")), tmp_path, Reporter())
    report = write_report(tmp_path)
    assert any("scene" in spec.name for spec in report.tables)


@pytest.mark.parametrize(
    ("damage", "words"),
    [("unreadable", "cannot be read"), ("of another size", "its frames have several sizes")],
)
def test_a_clip_with_a_bad_frame_costs_its_row_alone(
    damage: str,
    words: str,
    trees: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only its middle frame was opened with the data set; the others meet the sweep first."""
    root = Path(shutil.copytree(trees("dfew"), tmp_path / "dfew"))
    chosen = config("dfew", root, limit=None, clips={"frames": 100})
    planned, *_ = dry_run(chosen, tmp_path / "out").cells
    tested = planned[0].sample_ids
    folder = root / "Clip" / "clip_224x224" / tested[0]
    first = sorted(folder.iterdir())[0]
    if damage == "unreadable":
        first.write_bytes(b"\xff\xd8\xff\xe0 cut")
    else:
        Image.new("RGB", (100, 90)).save(first)
    run(chosen, tmp_path / "out", Reporter())
    store = Store(tmp_path / "out")
    manifest = store.manifest(store.planned()[0])
    assert manifest is not None and manifest.n == len(tested) - 1
    assert tested[0] not in set(store.rows(manifest)["sample_id"])
    said = capsys.readouterr().err
    assert f"not measured: {tested[0]}" in said and words in said


def test_training_on_a_bad_clip_is_a_sentence(trees: Callable[[str], Path], tmp_path: Path) -> None:
    root = Path(shutil.copytree(trees("dfew"), tmp_path / "dfew"))
    for clip in (root / "Clip" / "clip_224x224").iterdir():
        sorted(clip.iterdir())[0].write_bytes(b"\xff\xd8\xff\xe0 cut")
    chosen = config("dfew", root, clips={"frames": 100})
    with pytest.raises(UserError, match=r"The clip \d+ in .* cannot be read.*take it out"):
        run(chosen, tmp_path / "out", Reporter())


@pytest.mark.parametrize(
    ("data", "folds", "words"),
    [
        ({"kind": "clips"}, [1], "clips has no folds"),
        ({"kind": "dfew", "root": "nowhere"}, [6], "less than or equal to 5"),
    ],
)
def test_folds_that_do_not_exist_are_told(data: Any, folds: list[int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        config("dfew", Path(), data=data, folds=folds).parts()
