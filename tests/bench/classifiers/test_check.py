"""`bench check classifier`: a table and exit code 0, or the cause and exit code 2."""

import json
from pathlib import Path

import pytest
import torch
from command_line import call_apart
from diffusers import StableDiffusionPipeline
from PIL import Image
from pipelines import PROMPTS, tiny
from typer.testing import CliRunner

from bench.classifiers import check as classifier_check
from bench.cli import app
from bench.config import parse
from bench.util.errors import UserError
from emodc import EmoDC, Evaluation, small_denoiser
from emodc.training.trainer import EmoDCTrainer, TrainConfig

COMMAND = ["check", "classifier"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small EmoDC that learned to denoise drawn faces."""
    torch.manual_seed(0)
    faces = classifier_check._images(None, 48)
    denoiser = small_denoiser((faces * 255).byte(), PROMPTS, block_out_channels=(16, 24, 32))
    config = TrainConfig(steps=150, learning_rate=4e-3, precision="float32")
    trainer = EmoDCTrainer(denoiser, PROMPTS, config)
    for _ in range(config.steps):
        trainer.step(faces[:24], torch.arange(24) % 3)
    folder = tmp_path_factory.mktemp("trained")
    EmoDC(trainer.finish(), PROMPTS, Evaluation(precision="float32")).save_pretrained(folder)
    return folder


def test_a_trained_classifier_passes(trained: Path) -> None:
    result = CliRunner().invoke(app, [*COMMAND, str(trained)])
    assert result.exit_code == 0, result.output
    assert "It denoises" in result.output
    assert "450-500" in result.output


def test_a_picture_of_ones_own_and_json(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    face = classifier_check._images(None, 3)[2].permute(1, 2, 0).mul(255).byte().numpy()
    Image.fromarray(face).save(tmp_path / "face.png")
    arguments = [*COMMAND, str(trained), "--image", str(tmp_path / "face.png"), "--json"]
    code, out, _ = call_apart(capsys, monkeypatch, *arguments)
    report = json.loads(out)
    assert code == 0 and report["passed"] is True
    assert len(report["bins"]) == 10 and {"name", "passed", "detail"} == set(report["findings"][0])


def test_an_untrained_pipeline_is_refused_with_the_cause(tmp_path: Path) -> None:
    StableDiffusionPipeline(
        **tiny("latent unet").parts(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(tmp_path)
    result = CliRunner().invoke(app, [*COMMAND, str(tmp_path), "--pictures", "2"])
    assert result.exit_code == 2
    assert "Not a working port" in result.output and "refused" in result.output
    named = CliRunner().invoke(app, [*COMMAND, str(tmp_path), "--classes", "sad, glad", "--json"])
    assert named.exit_code == 2 and json.loads(named.output)["cause"]


@pytest.mark.parametrize(
    ("source", "words"),
    [("nowhere/at-all", "no folder nowhere/at-all"), ("/not/there", "model_index.json")],
)
def test_what_cannot_be_read_is_named(source: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        classifier_check.run(source, (), None, 1)


def test_a_picture_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(UserError, match="not a picture"):
        classifier_check.run("any", (), tmp_path / "x.png", 1)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "there is no "),
        ("net.safetensors", "kind: timm"),
        ("net.pth", "kind: timm"),
        ("folder/config.json", "kind: huggingface"),
        ("folder/classifier.json", "baseline's checkpoint"),
        ("folder/notes.txt", "it holds notes.txt"),
    ],
)
def test_what_is_no_such_checkpoint_is_recognised(
    files: str | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / (files or "nosuchdir").split("/")[0]
    if files:
        (tmp_path / files).parent.mkdir(exist_ok=True)
        (tmp_path / files).write_text("{}")
    with pytest.raises(UserError, match=words):
        classifier_check.run(str(path), (), None, 1)
    spec = parse({"classifiers": {"x": {"kind": "checkpoint", "path": str(path)}}}, "x")
    with pytest.raises(UserError, match=words) as refused:
        spec.classifiers["x"].check("x")
    assert "delete" not in str(refused.value)
