"""`bench run steps`: beside what a run measured, and never in its place."""

import json
from pathlib import Path

import pytest
import yaml
from command_line import call_apart
from support import TINY

from bench.config import load
from bench.store.store import Store
from bench.util.errors import UserError


def test_steps_go_beside_what_a_run_measured(capsys, monkeypatch, tmp_path: Path) -> None:
    content = yaml.safe_load(TINY.read_text()) | {"views": 0, "validation": False}
    content["classifiers"] = {"test_resnet": content["classifiers"]["test_resnet"]}
    config, out = tmp_path / "tiny.yaml", tmp_path / "out"
    config.write_text(yaml.safe_dump(content))
    flags = ("-c", config, "--out", out)
    noise = ("--perturbations", "gaussian_noise")
    assert call_apart(capsys, monkeypatch, "run", "robustness", *flags, *noise)[0] == 0
    before = {cell.id: Store(out).folder(cell).stat().st_mtime_ns for cell in Store(out).planned()}
    code, text, err = call_apart(capsys, monkeypatch, "run", "steps", *flags, "--json")
    assert code == 0, err
    found = json.loads(text)
    assert [row["label"] for row in found["rows"]] == [
        *(
            "1 augmentation",
            "2 augmentations",
            "4 augmentations",
            "8 augmentations",
            "all augmentations",
        )
    ]
    assert {row["n"] for row in found["rows"]} == {14}
    whole = found["rows"][-1]
    assert whole["agreement"] is None and whole["evaluations"]["value"] == 16
    after = Store(out).planned()
    assert {(c.family, c.perturbation) for c in after} == {
        ("clean", "clean"),
        ("views", "clean"),
        ("corruption", "gaussian_noise"),
    }
    assert {
        c.id: Store(out).folder(c).stat().st_mtime_ns for c in after if c.id in before
    } == before


def test_what_stops_early_is_refused_before_any_work(capsys, monkeypatch, tmp_path: Path) -> None:
    content = yaml.safe_load(TINY.read_text())
    evaluation = content["classifiers"]["emodc_base"].setdefault("evaluation", {})
    evaluation["decision"] = {"kind": "sequential"}
    config, out = tmp_path / "tiny.yaml", tmp_path / "out"
    config.write_text(yaml.safe_dump(content))
    code, _, err = call_apart(capsys, monkeypatch, "run", "steps", "-c", config, "--out", out)
    assert code == 2 and "'emodc_base' stops early" in err and not out.exists()


def test_suites_have_their_configs_and_places() -> None:
    from bench.cli.run import Suite, for_steps

    assert Suite.steps.config == Suite.robustness.config == Path("default.yaml")
    assert Suite.steps.out == Suite.robustness.out
    config = for_steps(load(TINY), clean=True)
    assert not config.perturbations.names()
    assert config.views == load(TINY).views  # the config's own number of views
    assert for_steps(load(TINY).model_copy(update={"views": 0}), clean=False).views == 16


def test_the_default_run_decides_early_and_on_clean_pictures_never() -> None:
    from bench.cli.run import Suite, for_steps

    default = load(Suite.steps.config)
    assert for_steps(default, clean=True).classifiers == default.classifiers
    with pytest.raises(UserError, match="'emodc_base' stops early"):
        for_steps(default, clean=False)
