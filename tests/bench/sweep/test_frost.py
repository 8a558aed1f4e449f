"""Frost needs photographs that may be missing: said before anything is trained."""

from pathlib import Path

import pytest

from bench.config import parse
from bench.perturb.corruptions import weather
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter


def test_missing_photographs_are_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weather.importlib.util, "find_spec", lambda name: None)
    weather._frost_photograph.cache_clear()
    content = {
        "classifiers": {"a": {"kind": "baseline", "architecture": "test_resnet"}},
        "perturbations": {"corruptions": {"imagecorruptions.frost": [1]}},
    }
    with pytest.raises(UserError, match="pip install --no-deps imagecorruptions-imaug"):
        run(parse(content, "here"), tmp_path / "out", Reporter(quiet=True))
    assert not (tmp_path / "out").exists()
