"""Pictures that are there when a run begins and gone, or others, when they are measured."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.config import Config, parse
from bench.data.base import Sample
from bench.data.images import UnreadablePicture
from bench.data.on_disk import FilesDataSet, open_layout
from bench.data.readers.folder import Folder
from bench.report import write_report
from bench.store.store import Store
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter

VICTIM = "test/happy/002.png"


def config(folder: Path, shards: int) -> Config:
    content = {
        "precision": "float32",
        "data": {"kind": "folder", "root": str(folder)},
        "classifiers": {
            "tiny": {"kind": "baseline", "architecture": "test_resnet", "steps": 2, "batch_size": 4}
        },
        "validation": False,
        "perturbations": {"corruptions": {"gaussian_noise": [1, 3]}},
        "execution": {"workers": 1, "device": "cpu", "shards": shards},
    }
    return parse(content, "test")


def removed(path: Path) -> None:
    path.unlink()


def changed(path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(path)


def at_reading(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    """Do something before the test picture VICTIM is read for the so-manieth time."""
    read, times = FilesDataSet.picture, []

    def picture(self: FilesDataSet, sample: Sample) -> object:
        if sample.id == VICTIM:
            times.append(sample.id)
            if len(times) == number:
                act()
        return read(self, sample)

    monkeypatch.setattr(FilesDataSet, "picture", picture)


def rows(store: Store) -> list[int]:
    return [manifest.n for cell in store.planned() if (manifest := store.manifest(cell))]


@pytest.mark.parametrize("shards", [1, 10])
@pytest.mark.parametrize("act", [removed, changed])
def test_the_run_goes_on_without_the_picture_and_tells(
    picture_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    act: Callable[[Path], None],
    shards: int,
) -> None:
    backup = shutil.copy2(picture_folder / VICTIM, tmp_path / "backup.png")
    out = tmp_path / "out"
    at_reading(monkeypatch, 2, lambda: act(picture_folder / VICTIM))
    store = run(config(picture_folder, shards), out, Reporter())
    assert rows(store) == [10, 9, 9]
    for cell in store.planned()[1:]:
        assert VICTIM not in set(store.rows(store.manifest(cell))["sample_id"])
    assert capsys.readouterr().err.count(f"not measured: {VICTIM}: it was removed or changed") == 1
    listed = json.loads((out / "skipped.json").read_text())
    assert [found["path"] for found in listed] == [VICTIM]
    summary = (write_report(out).folder / "summary.csv").read_text().splitlines()
    counts = [line.split(",")[summary[0].split(",").index("n")] for line in summary[1:]]
    assert counts == ["10", "9", "9"]

    shutil.copy2(backup, picture_folder / VICTIM)  # it is back, and the same command heals
    assert rows(run(config(picture_folder, shards), out, Reporter(quiet=True))) == [10, 10, 10]
    assert not (out / "skipped.json").exists()


def test_a_disk_that_is_gone_ends_the_run(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_reading(monkeypatch, 2, lambda: picture_folder.rename(tmp_path / "unplugged"))
    with pytest.raises(UserError, match=r"8 of 10 pictures can no longer be read, such as test/"):
        run(config(picture_folder, 2), tmp_path / "out", Reporter(quiet=True))
    (tmp_path / "unplugged").rename(picture_folder)
    monkeypatch.undo()
    store = run(config(picture_folder, 2), tmp_path / "out", Reporter(quiet=True))
    assert rows(store) == [10, 10, 10]


def test_training_stops_at_a_picture_that_is_gone(picture_folder: Path, tmp_path: Path) -> None:
    from bench.training.loop import stacked

    dataset = open_layout(Folder(root=picture_folder))
    sample = dataset.samples("train")[3]
    (picture_folder / sample.id).unlink()
    with pytest.raises(UnreadablePicture, match="removed or changed"):
        dataset.picture(sample)
    with pytest.raises(UserError, match=f"{sample.id} of faces, train: it was removed"):
        stacked(dataset, "train", 32)
