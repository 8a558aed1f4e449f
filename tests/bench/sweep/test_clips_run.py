"""Clips from a config to a report: networks of clips, frames of classifiers of pictures."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support import summary_without_times

from bench.config import Config, parse
from bench.data.open import open_dataset
from bench.report import write_report
from bench.report.compare import Side, pair
from bench.store.cells import Cell
from bench.store.store import Store
from bench.sweep.run import dry_run, run
from bench.sweep.verify import verify
from bench.util.errors import UserError
from bench.util.progress import Reporter

NETWORK = {"kind": "clip_network", "architecture": "x3d", "size": 32, "width": 0.25, "depth": 0.2}
TRAINED = {"steps": 2, "batch_size": 4}
RESNET = {"kind": "baseline", "architecture": "test_resnet", "steps": 2, "batch_size": 8}
EMODC = {
    "kind": "emodc",
    "block_out_channels": [8, 8, 8],
    "stages": [{"objective": {"kind": "base"}, "steps": 2, "batch_size": 8}],
    "evaluation": {"steps": 6, "attack_steps": 2},
}
CLASSIFIERS: dict[str, Any] = {
    "hdf": NETWORK | TRAINED | {"dam": {}, "dsm": {}, "sam": 0.05},
    "middle": RESNET,
    "mean": {"kind": "frame_mean", "classifier": RESNET, "train_frames": 2},
    "emodc_mean": {"kind": "frame_mean", "classifier": EMODC, "train_frames": 1},
}


def config(classifiers: dict[str, Any] = CLASSIFIERS, **changes: Any) -> Config:
    content = {
        "precision": "float32",
        "data": {"kind": "clips", "train": 14, "val": 7, "test": 7},
        "clips": {"frames": 4},
        "classifiers": classifiers,
        "perturbations": {
            "corruptions": {"gaussian_noise": [2], "frame_drop": [5]},
            "attacks": {"one_frame": {"kind": "fgsm", "eps": [4], "frames": 1}},
            "attack_limit": 5,
        },
        "execution": {"workers": 1, "device": "cpu", "batch_size": 5},
    }
    return parse(content | changes, "test.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clips")
    run(config(), out, Reporter(), command=["run", "dynamic"])
    write_report(out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def rows(out: Path) -> dict[tuple[str, str], pd.DataFrame]:
    """Of every cell of results."""
    store = Store(out)
    cells = [cell for cell in store.planned() if not cell.about.for_decisions]
    manifests = [(cell, store.manifest(cell)) for cell in cells]
    return {(c.classifier, c.perturbation): store.rows(m) for c, m in manifests if m is not None}


def test_every_classifier_has_a_row_per_clip(finished: Path) -> None:
    found = rows(finished)
    assert len(found) == len(CLASSIFIERS) * 4
    dataset = open_dataset(config().data, 0, clips=config().clips)
    labels = {sample.id: sample.label for sample in dataset.samples("test")}
    for (_, perturbation), own in found.items():
        assert len(own) == (5 if perturbation == "one_frame" else 7)
        assert all(labels[i] == x for i, x in zip(own.sample_id, own.label, strict=True))


def test_the_report_is_that_of_pictures_and_says_what_was_shown(finished: Path) -> None:
    text = (finished / "report" / "summary.csv").read_text()
    assert text.count("\n") == len(CLASSIFIERS) * 4 + 1 and ",clips_t4," in text
    page = (finished / "report" / "index.html").read_text()
    assert "4 frames of a clip, sampled by tsn_middle, padded by edge; WAR" in page
    found = pair(Side("A", finished, "mean"), Side("B", finished, "hdf"))
    assert {p.where.perturbation for p in found.pairs} >= {"clean", "frame_drop"}


def logits(own: pd.DataFrame) -> np.ndarray:
    found: np.ndarray = np.stack(own.sort_values("sample_id")["logits"].tolist())
    return found


def test_a_classifier_of_pictures_sees_the_middle_one_of_the_shown_frames(out: Path) -> None:
    """And a mean over a single frame is what it says of that frame."""
    mean = {"kind": "frame_mean", "classifier": RESNET, "train_frames": 1}
    alone = {"middle": RESNET, "mean": mean}
    run(config(alone, clips={"frames": 1}), out, Reporter())
    found = rows(out)
    one, same = (logits(found[name, "clean"]) for name in ("middle", "mean"))
    normalised = one - np.log(np.exp(one).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(same, normalised, atol=1e-5)


def test_spread_steps_cost_an_emodc_what_a_picture_costs(finished: Path) -> None:
    store = Store(finished)
    for cell in store.planned():
        manifest = store.manifest(cell)
        if cell.classifier != "emodc_mean":
            continue
        assert manifest is not None
        own, traces = store.rows(manifest), store.traces(manifest)
        assert set(own["evaluations"]) == {6 * 7}
        assert traces is not None and traces.errors.shape[1:] == (7, 6) and traces.complete
        means = traces.errors.mean(axis=2, dtype=np.float64)
        order = {name: place for place, name in enumerate(traces.ids)}
        expected = -40.0 * means[[order[name] for name in own["sample_id"]]]
        np.testing.assert_allclose(np.stack(own["logits"].tolist()), expected, rtol=1e-4)


def test_a_second_run_has_nothing_to_do_and_other_frames_are_other_cells(out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")}
    run(config(), out, Reporter())
    assert {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")} == before
    other = config({"hdf": CLASSIFIERS["hdf"] | {"frames": 4}}, clips={"frames": 6})
    planned = dry_run(other, out)
    assert planned.training == {} and not any(done for _, done, _ in planned.cells)


def test_results_do_not_depend_on_batches_shards_or_workers(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "checkpoints", tmp_path / "checkpoints")
    other = {"device": "cpu", "workers": 2, "batch_size": 3, "shards": 3}
    run(config(execution=other), tmp_path, Reporter())
    write_report(tmp_path)
    assert summary_without_times(tmp_path) == summary_without_times(finished)


def test_rows_of_clips_can_be_computed_anew(out: Path) -> None:
    found = verify(out, Reporter(), samples=12)
    assert not found.faults and found.checked == 12 and found.equal == 12


class Killed(Exception):
    """In the place of a signal."""


def test_a_training_that_was_killed_continues_exactly(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from baselines.clips.classifier import ClipTrainer

    step = ClipTrainer.step

    def dying(self: ClipTrainer, *given: Any) -> Any:
        if self.position == 1:
            raise Killed
        return step(self, *given)

    chosen = config(
        {"hdf": CLASSIFIERS["hdf"]},
        execution={"device": "cpu", "workers": 1, "save_every": 1e-9},
    )
    with monkeypatch.context() as patch:
        patch.setattr(ClipTrainer, "step", dying)
        with pytest.raises(Killed):
            run(chosen, tmp_path, Reporter())
    assert list(tmp_path.glob("checkpoints/.*.state"))
    run(chosen, tmp_path, Reporter())
    for cell in Store(tmp_path).planned():
        there = next(c for c in Store(finished).planned() if same(c, cell))
        one, other = (
            Store(root).rows(Store(root).manifest(c))  # type: ignore[arg-type]
            for root, c in ((tmp_path, cell), (finished, there))
        )
        np.testing.assert_array_equal(logits(one), logits(other))


def same(one: Cell, other: Cell) -> bool:
    return one.id == other.id


@pytest.mark.parametrize(
    ("classifier", "clips", "words"),
    [
        (NETWORK, None, "'mine' takes clips, and the run shows pictures: set `clips`"),
        ({"kind": "frame_mean", "classifier": RESNET}, None, "'mine' takes clips"),
        ({"kind": "frame_mean", "classifier": NETWORK}, 4, "which clip_network is not"),
        ({"kind": "clip_network", "architecture": "m3dfel"}, 6, "6 frames do not fit"),
        ({"kind": "clip_network", "architecture": "r3d_18", "dam": {}}, 4, "an option of x3d"),
        (NETWORK | {"architecture": "frame_transformer", "frames": 4, "width": 1, "depth": 1}, 8,
         "trained on 4 frames and takes no more"),
    ],
)  # fmt: skip
def test_what_does_not_suit_is_told(
    classifier: dict[str, Any], clips: int | None, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        config({"mine": classifier}, perturbations={}, clips=clips and {"frames": clips})


def test_pictures_have_no_clips() -> None:
    chosen = config({"middle": RESNET}, data={"kind": "faces", "train": 14, "val": 7, "test": 7})
    with pytest.raises(UserError, match="faces has pictures and no clips"):
        dry_run(chosen, Path("nowhere"))
