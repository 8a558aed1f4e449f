"""The doors for models that people have: each is one line, with no code (`bench run --model`)."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from made_up_models import onnx_file
from torch import Tensor, nn
from typer.testing import CliRunner

import bench
from bench.classifiers.check import examine
from bench.classifiers.kinds import entry
from bench.classifiers.kinds.python import PythonClassifier
from bench.cli import app
from bench.config import parse
from bench.data.open import open_dataset
from bench.labels import BASIC
from bench.util import rng
from bench.util.errors import UserError

CPU = torch.device("cpu")
NAMES = "[" + ", ".join(BASIC) + "]"
SMALL = {"data": {"kind": "faces", "train": 14, "val": 14, "test": 14}}


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ({}, {}),
        ({"last": True}, {"channels": "bgr"}),
        ({"gray": True}, {"scale": 255}),
        ({"softmax": True}, {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3]}),
        ({"batch": 1}, {}),
    ],
)
def test_an_onnx_file_says_what_it_computes(
    layout: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    file, weights = onnx_file(tmp_path / "net.onnx", **layout)
    content = {"kind": "onnx", "file": str(file), "classes": list(BASIC), **options}
    config = parse({**SMALL, "classifiers": {"mine": content}}, "x")
    spec = config.classifiers["mine"]
    own = spec.load("mine", None, config, CPU)
    pictures = rng.generator("pictures").integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    values = pictures / 255 * options.get("scale", 1)
    values = (values - options.get("mean", 0)) / options.get("std", 1)
    if layout.get("gray"):
        values = values @ np.array([[0.299], [0.587], [0.114]])
    elif options.get("channels") == "bgr":
        values = values[..., ::-1]
    logits = values.mean(axis=(1, 2)) @ weights
    if layout.get("softmax"):
        logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    found = own.measure(list(pictures), ["a", "b"]).logits
    assert np.allclose(found, logits, rtol=1e-4, atol=1e-4)
    assert own.digest == spec.identity("mine")
    other = parse({**SMALL, "classifiers": {"mine": {**content, "scale": 7}}}, "x")
    assert other.classifiers["mine"].identity("mine") != own.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.unlink(), "there is no file"),
        (lambda path: path.write_bytes(b"no network"), "cannot be opened"),
    ],
)
def test_an_onnx_file_that_is_none(change: Any, said: str, tmp_path: Path) -> None:
    file, _ = onnx_file(tmp_path / "net.onnx")
    change(file)
    name, spec = entry(f"mine=onnx:{file},classes={NAMES}")
    config = parse({**SMALL, "classifiers": {name: spec}}, "x")
    with pytest.raises(UserError, match=rf"'mine'.*{said}"):
        spec.load(name, None, config, CPU)


def test_weights_beside_an_onnx_file_are_what_it_is_known_by(tmp_path: Path) -> None:
    digests = []
    for number in range(2):
        folder = tmp_path / str(number)
        (folder / "weights").mkdir(parents=True)
        file, weights = onnx_file(folder / "net.onnx")
        model = onnx.load(str(file))
        onnx.save_model(
            model, str(file), save_as_external_data=True, location="weights/all.bin",
            size_threshold=0,
        )  # fmt: skip
        beside = folder / "weights" / "all.bin"
        assert beside.read_bytes() == weights.tobytes()
        beside.write_bytes((weights * (1 + number)).tobytes())
        digests.append(entry(f"onnx:{file},classes={NAMES}")[1].identity("net"))
    assert len(set(digests)) == 2


def test_another_number_of_classes_is_named(tmp_path: Path) -> None:
    file, _ = onnx_file(tmp_path / "net.onnx")
    name, spec = entry(f"onnx:{file},classes=[neutral, anger]")
    config = parse({**SMALL, "classifiers": {name: spec}}, "x")
    with pytest.raises(UserError, match=r"returns \(2, 7\) for 2 pictures, and `classes` names 2"):
        spec.load(name, None, config, CPU)


class Colour(nn.Module):
    """Logits that follow the colours of a picture, whatever its size; a class each."""

    classes = BASIC

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 7, generator=draws))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3)) @ self.weight


class Norm(Colour):
    """What a network does that was left in training mode."""

    def forward(self, images: Tensor) -> Tensor:
        means = super().forward(images)
        return means - means.mean(dim=0) / 2


class Steps(Colour):
    """Quantised: no slope anywhere."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward((images * 255).round() / 255)


class Noisy(Colour):
    """Another answer each time."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + torch.randn(7)


@pytest.mark.parametrize(
    ("model", "failed"),
    [
        (Colour, []),
        (Norm, ["neighbours"]),
        (Steps, ["gradient is zero"]),
        (Noisy, ["neighbours", "two equal calls"]),
    ],
)
def test_a_check_names_what_a_measurement_would_suffer_from(
    model: type[nn.Module], failed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.classifiers.discriminative.loaded", lambda _: model)
    spec = PythonClassifier(kind="python", factory="m:f")
    config = parse({**SMALL, "classifiers": {"mine": spec}}, "x")
    own = spec.load("mine", None, config, CPU)
    found = examine("mine", own, open_dataset(config.data, 0))
    assert found.parameters == 21 and found.classes == BASIC
    assert len(found.failed) == len(failed), found.failed
    for sentence, part in zip(found.failed, failed, strict=True):
        assert part in sentence


@pytest.mark.parametrize("spelled", ["", "mine="])
def test_models_check_and_run_take_the_same_line(spelled: str, tmp_path: Path) -> None:
    file, _ = onnx_file(tmp_path / "a net.onnx")
    name = "mine" if spelled else "a_net"
    line = f"{spelled}onnx:{file},classes={NAMES}"
    told = CliRunner().invoke(app, ["models", "check", line])
    assert told.exit_code == 2 and f"{name}: " in told.output
    assert "FAILED: its gradient is none" in told.output
    config = tmp_path / "c.yaml"
    config.write_text(
        "data: {kind: faces, train: 14, val: 14, test: 14}\n"
        "classifiers: {theirs: {kind: python, factory: 'no:where'}}\n"
        "perturbations: {corruptions: {gaussian_noise: [3]}, attacks: {}}\n"
        "execution: {workers: 1, shards: 1}\n"
    )
    run = ["run", "robustness", "-c", str(config), "--model", line, "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, run)
    assert done.exit_code == 0, done.output
    table = bench.load_results(tmp_path / "o").to_pandas()
    assert set(table.classifier) == {name}
    assert set(table.perturbation) == {"clean", "gaussian_noise"}
    assert (table.n == 14).all()


def test_attacks_that_need_a_gradient_are_refused_before_any_work(tmp_path: Path) -> None:
    file, _ = onnx_file(tmp_path / "net.onnx")
    model = entry(f"onnx:{file},classes={NAMES}")[1]
    with pytest.raises(UserError, match=r"no gradient, which fgsm.*square.*transfer"):
        bench.evaluate(model, SMALL["data"], {"pgd": [2]}, tmp_path / "o", name="net", quiet=True)
    assert not list((tmp_path / "o").glob("cells/*/*/*.parquet"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("folder", "a model is given as"),
        ("hg:folder", "'hg'.*[Dd]id you mean hf"),
        ("timm:resnet18", "'classes'"),
        ("onnx:f.onnx,clases=raf_db", "clases"),
        ("onnx:f.onnx,classes=rafdb", "rafdb"),
        ("python:nothing", "factory"),
        ("fer:fr", "'fr'"),
    ],
)
def test_a_line_that_names_no_model(line: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        entry(line)


def test_two_models_of_one_name_are_told_apart_by_the_user(tmp_path: Path) -> None:
    line = "python:m:f"
    told = CliRunner().invoke(
        app, ["run", "robustness", "--model", line, "--model", line, "--dry-run"]
    )
    assert isinstance(told.exception, UserError)
    assert "two classifiers are called f" in str(told.exception)
