"""What is said when a data set is opened for a run."""

from pathlib import Path

import pytest

from bench.config import parse
from bench.data.open import open_dataset
from bench.data.readers.folder import Folder
from bench.sweep.run import run
from bench.util.progress import Reporter

TINY = {"kind": "baseline", "architecture": "test_resnet", "steps": 2, "batch_size": 4}


def heard(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    open_dataset(Folder(root=folder), 0, Reporter())
    return capsys.readouterr().err


def test_another_number_than_the_published_one_is_told(
    picture_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "published" not in heard(picture_folder, capsys)
    whole = {"train": {"neutral": 10, "happiness": 10}, "test": {"": 10}}
    monkeypatch.setattr(Folder, "published", lambda self: whole)
    monkeypatch.setattr(Folder, "published_total", lambda self: 30)
    assert "published" not in heard(picture_folder, capsys)  # val is a part of train
    (picture_folder / "test" / "happy" / "000.png").unlink()
    said = heard(picture_folder, capsys)
    assert "test has 9 of 10, 29 of 30 in all" in said and "bench data verify folder" in said


def test_a_run_tells_the_first_skipped_files_and_where_all_are_listed(
    picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(14):
        (picture_folder / "train" / "happy" / f"broken{number}.png").write_bytes(b"nothing")
    config = {
        "data": {"kind": "folder", "root": str(picture_folder)},
        "limit": 2,
        "classifiers": {"tiny": TINY},
        "perturbations": {"corruptions": {"gaussian_noise": [3]}},
        "execution": {"workers": 1, "device": "cpu"},
    }
    run(parse(config, "test"), tmp_path / "out", Reporter())
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("skipped train/happy/broken") for line in lines) == 10
    assert any(line.startswith("14 files skipped, listed in") for line in lines)
