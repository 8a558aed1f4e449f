"""Frost needs photographs that may be missing: said before anything is trained."""

from functools import partial
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from bench.cli import app
from bench.config import load, parse
from bench.perturb.corruptions import weather
from bench.sweep.run import dry_run, run
from bench.util.errors import UserError
from bench.util.progress import Reporter


@pytest.fixture(autouse=True)
def no_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weather.importlib.util, "find_spec", lambda name: None)
    weather._frost_photograph.cache_clear()


def content(perturbations: dict[str, object]) -> dict[str, object]:
    return {
        "data": {"kind": "faces", "train": 14, "val": 7, "test": 7},
        "classifiers": {"a": {"kind": "baseline", "architecture": "test_resnet"}},
        "perturbations": perturbations,
    }


def test_missing_photographs_are_told_before_any_work(tmp_path: Path) -> None:
    chosen = parse(content({"corruptions": {"imagecorruptions.frost": [1]}}), "here")
    for begin in (lambda out: run(chosen, out, Reporter(quiet=True)), partial(dry_run, chosen)):
        with pytest.raises(UserError, match="pip install --no-deps imagecorruptions-imaug"):
            begin(tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_preset_runs_its_other_members_and_says_so(tmp_path: Path) -> None:
    config = tmp_path / "frost.yaml"
    config.write_text(yaml.safe_dump(content({"presets": ["imagecorruptions"]})))
    command = ["run", "robustness", "-c", str(config), "--out", str(tmp_path / "o"), "--dry-run"]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert "left out: imagecorruptions.frost" in told.output
    planned = dry_run(load(config), tmp_path / "o").cells
    names = {p.cell.perturbation for p, _, _ in planned if p.cell.family == "corruption"}
    assert len(names) == 18


def test_show_draws_the_others_and_says_so(tmp_path: Path) -> None:
    picture, page = tmp_path / "p.png", tmp_path / "page.png"
    Image.new("RGB", (24, 24), (90, 120, 150)).save(picture)
    told = CliRunner().invoke(app, ["perturb", "show", str(picture), "--out", str(page)])
    assert told.exit_code == 0, told.output
    assert "left out: imagecorruptions.frost" in told.output and page.exists()
