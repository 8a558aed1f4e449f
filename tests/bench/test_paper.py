"""The papers' experiments: what is there is planned and run, what is missing is named."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import quick_figures
from command_line import assert_refused, call_apart

from bench import paper
from bench.config import Config
from bench.data.readers import make_like
from bench.sweep.run import require_ready
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
    assert "stable-diffusion-v1-5/stable-diffusion-v1-5 is not on this machine" in err
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


def test_the_tiny_scale_draws_trains_measures_and_reports_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of it but the rendering of figures: four data sets in one report."""
    quick_figures.quicken(monkeypatch)
    call = ("run", "paper", "--scale", "tiny", "--out", tmp_path)
    code, _, err = call_apart(capsys, monkeypatch, *call)
    assert code == 0, err
    assert err.count("drawn faces in its layout") == 4
    report, found = tmp_path / "report", set()
    for row in csv.DictReader((report / "summary.csv").read_text().splitlines()):
        place = row["dataset"], row["classifier"].partition(" (")[0], row["perturbation"]
        found.add((*place, row["severity"]))
    names = ["raf_db", "raf_db_compound", "sfew", "affectnet_7"]
    variants = ["base", "margin", "amdit", "amdit_null", "amdit_non_class"]
    classifiers = [*(f"emodc_{name}" for name in variants), "resnet"]
    conditions = [("clean", "0"), ("pgd", "4/255")]
    conditions += [(f"gaussian_{what}", s) for what in ("noise", "blur") for s in "35"]
    assert found == {
        (data, classifier, *condition)
        for data in names
        for classifier in classifiers
        for condition in conditions
    }
    tables, figures = ({p.stem for p in (report / n).iterdir()} for n in ("tables", "figures"))
    own = [f"emodc_{name}-{what}" for name in variants for what in ("correlation", "margins")]
    common = ["ablation", "attacks", "calibration", "confusion", "confusion-emodc", "corruptions"]
    assert figures >= {
        "across-confusion",
        *(f"{d}-{w}" for d in names for w in own + common),
    }
    assert any(name.endswith("-example") for name in figures)
    common = ["clean", "steps", "failure", "curves", "pgd", "gaussian_noise", "ablation", *own]
    assert tables >= {
        "across",
        "across-variants",
        *(f"{d}-{w}" for d in names for w in common),
    }
    assert (report / "index.html").exists()
    article = (report / "tables" / "all.tex").read_text()
    assert re.search(r"Errors under other prompts, EmoDC \(Base\)[^,]*, RAF-DB basic", article)
    assert "Data set RAF-DB compound" in (report / "tables/raf_db_compound-clean.tex").read_text()


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


def no_network(*given: object, **options: object) -> None:
    raise ConnectionError("Network is unreachable")


def with_classifier(config: Config, name: str, **fields: object) -> Config:
    spec = config.classifiers[name].model_copy(update=fields)
    return config.model_copy(update={"classifiers": {**config.classifiers, name: spec}})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c, r, m: with_classifier(c, "resnet18", architecture="convnext_tny"),
         "'resnet18'.*Did you mean convnext_tiny"),
        (lambda c, r, m: with_classifier(c, "emodc_base", pretrained="/no/such/place"),
         "'emodc_base': pretrained: there is no folder /no/such/place"),
        (lambda c, r, m: m.setattr("bench.classifiers.kinds.emodc.find_spec", lambda name: None),
         "'emodc_base': .* needs peft: pip install"),
        (lambda c, r, m: m.setattr("emodc.adapters.open.snapshot_download", no_network),
         "'emodc_base': pretrained: .*could not be fetched .*Without a network, give the folder"),
        (lambda c, r, m: shutil.rmtree(next(r.rglob("EmoLabel"))), "expected .*EmoLabel"),
        (lambda c, r, m: [path.unlink() for path in r.rglob("test_*.jpg")],
         "no pictures of the test split .*not there"),
    ],
    ids=["architecture", "folder", "peft", "network", "labels", "half"],
)  # fmt: skip
def test_what_would_stop_a_run_is_told_before_it_begins(
    spoil: Callable[..., object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "raf_db"
    make_like("raf_db", root, 2)
    (found,), _ = paper.experiments(paper.Scale.full, {"raf_db": root}, tmp_path, ["raf_db"])
    spoiled = spoil(found.config, root, monkeypatch)
    config = spoiled if isinstance(spoiled, Config) else found.config
    with pytest.raises(UserError, match=words) as caught:
        require_ready(config, tmp_path / "out")
    assert "\n" not in str(caught.value).strip()
    assert not (tmp_path / "out").exists()


def test_the_last_data_set_is_tried_before_the_first_is_trained_on(
    roots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    known = roots.read_text().splitlines()[0]
    (tmp_path / "roots.yaml").write_text(f"{known}\nsfew: {tmp_path / 'empty'}\n")
    call = ("run", "paper", "--scale", "full", "--roots", tmp_path / "roots.yaml")
    code, out, err = call_apart(
        capsys, monkeypatch, *call, "--out", tmp_path / "out", "--classifiers", "resnet18"
    )
    assert_refused((code, out + err), str(tmp_path / "empty"))
    assert not (tmp_path / "out" / "checkpoints").exists()
