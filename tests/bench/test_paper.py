"""The papers' experiments: what is there is planned and run, what is missing is named."""

import csv
from pathlib import Path

import pytest
from command_line import assert_refused, call_apart

from bench import paper
from bench.data.readers import make_like
from bench.util.errors import UserError


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of folders of look-alikes of two data sets."""
    folder = tmp_path_factory.mktemp("roots")
    for name in ("raf_db", "sfew"):
        make_like(name, folder / name, 2)
    lines = [f"{name}: {folder / name}" for name in ("raf_db", "sfew")]
    (folder / "roots.yaml").write_text("\n".join(lines) + "\n")
    return folder / "roots.yaml"


def test_a_full_plan_names_what_is_missing_and_needs_no_network(
    roots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.sweep.costs.measured", lambda *given: None)  # it takes seconds each
    call = ("run", "paper", "--scale", "full", "--roots", roots, "--out", tmp_path, "--dry-run")
    code, out, err = call_apart(capsys, monkeypatch, *call, "--i-hold-the-agreement")
    assert code == 0, err
    assert "left out: affectnet: no root" in err
    assert "left out: raf_db_compound: no root" in err
    for name in ("emodc_amdit_non_class", "resnet18_pgd", "eac"):
        assert out.count(f"train {name}, seed 2") == 2  # of two data sets
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", paper.DATA_SETS)
@pytest.mark.parametrize("scale", list(paper.Scale))
def test_every_config_is_valid(scale: paper.Scale, name: str, tmp_path: Path) -> None:
    (found,), missing = paper.experiments(scale, {name: tmp_path}, tmp_path, [name])
    assert not missing
    assert found.config.data.kind == name
    kinds = {spec.kind for spec in found.config.classifiers.values()}
    assert {"emodc", "baseline"} <= kinds
    assert found.config.perturbations.names()


def test_the_tiny_scale_draws_trains_measures_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ("run", "paper", "--scale", "tiny", "--data", "sfew", "--out", tmp_path)
    only = ("--classifiers", "emodc_base,resnet", "--perturbations", "gaussian_blur")
    code, _, err = call_apart(capsys, monkeypatch, *call, *only, "--limit", 7)
    assert code == 0, err
    assert "sfew: drawn faces in its layout" in err
    report = tmp_path / "sfew" / "report"
    rows = csv.DictReader((report / "summary.csv").read_text().splitlines())
    cells = {(row["classifier"].partition(" (")[0], row["perturbation"]) for row in rows}
    asked = {(c, p) for c in ("emodc_base", "resnet") for p in ("clean", "gaussian_blur")}
    assert asked <= cells
    assert (report / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--scale tiny, small or full"),
        (("--scale", "tny"), "Did you mean tiny?"),
        (("--scale", "full"), "no data set of the paper is there"),
        (("--scale", "full", "--data", "raf-db"), "Did you mean raf_db"),
        (("--scale", "full", "--data", "sfew", "--root", "nowhere"), "sfew: there is no folder"),
        (("--scale", "tiny", "--config", "default"), "takes no --config"),
        (("--scale", "tiny", "--json"), "bench report --json"),
        (("--scale", "tiny", "--root", "x"), "name it with --data"),
    ],
)
def test_what_cannot_be_run_is_told(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = ("run", "paper", *arguments, "--out", tmp_path / "out")
    code, out, err = call_apart(capsys, monkeypatch, *call)
    assert_refused((code, out + err), words)
    assert not (tmp_path / "out").exists()


def test_a_file_of_roots_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "roots.yaml"
    path.write_text("raf_bd: x\n")
    with pytest.raises(UserError, match="Did you mean raf_db"):
        paper.read_roots(path)
    path.write_text("[a, b]\n")
    with pytest.raises(UserError, match="a mapping of data sets to folders"):
        paper.read_roots(path)
