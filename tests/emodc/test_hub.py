import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import yaml
from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline
from PIL import Image
from pipelines import PROMPTS, TINY, tiny
from safetensors.torch import load_file, save_file

from emodc import CheckpointError, EmoDC, EmoDCPipeline, Evaluation, Prompts, hub
from emodc.card import render
from emodc.decisions.fit import Fit


def test_a_saved_classifier_loads_to_the_same_bits(
    tiny_emodc: EmoDC, images: torch.Tensor, tmp_path: Path
) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    loaded = EmoDC.from_pretrained(tmp_path)
    assert loaded.classes == tiny_emodc.classes
    assert loaded.evaluation == tiny_emodc.evaluation
    picture = images[:1].float() / 255
    assert torch.equal(loaded.trace(picture).errors, tiny_emodc.trace(picture).errors)


def test_the_folder_is_a_diffusers_pipeline_without_pickles(
    tiny_emodc: EmoDC, tmp_path: Path
) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    pipeline = EmoDCPipeline.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert type(pipeline.scheduler).__name__ == "DDPMScheduler"
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".safetensors"}
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == {
        "unet", "text_encoder", "tokenizer", "vae", "scheduler",
    }  # fmt: skip


def test_a_folder_tells_nothing_of_the_one_it_was_loaded_from(
    tiny_emodc: EmoDC, tmp_path: Path
) -> None:
    first, second = tmp_path / "of_a_user", tmp_path / "again"
    tiny_emodc.save_pretrained(first)
    EmoDC.from_pretrained(first).save_pretrained(second)
    for path in (p for p in second.rglob("*") if p.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes(), path
        assert b"of_a_user" not in path.read_bytes(), path


@pytest.mark.parametrize("file", ["model_index.json", "emodc.json", "unet/config.json"])
def test_a_missing_file_is_named(tiny_emodc: EmoDC, tmp_path: Path, file: str) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CheckpointError, match="not a readable EmoDC checkpoint"):
        EmoDC.from_pretrained(tmp_path)


def test_an_editor_may_put_a_byte_order_mark_in_front(tiny_emodc: EmoDC, tmp_path: Path) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    for name in ("emodc.json", "model_index.json"):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert EmoDC.from_pretrained(tmp_path).prompts == tiny_emodc.prompts
    assert not hub.wants_fit(tmp_path, Evaluation(steps=3))  # of other errors than these


def test_damaged_weights_are_refused(tiny_emodc: EmoDC, tmp_path: Path) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    weights = next((tmp_path / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError):
        EmoDC.from_pretrained(tmp_path)


def test_a_folder_that_asks_for_other_code_is_refused(tiny_emodc: EmoDC, tmp_path: Path) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index["unet"] = ["os", "system"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="asks for"):
        EmoDC.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", sorted(TINY))
def test_every_kind_of_pipeline_loads_to_the_same_bits(
    kind: str, images: torch.Tensor, tmp_path: Path
) -> None:
    model = EmoDC(tiny(kind), PROMPTS, Evaluation(steps=3, precision="float32")).eval()
    model.save_pretrained(tmp_path)
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".safetensors", ".txt"}
    loaded = EmoDC.from_pretrained(tmp_path)
    assert type(loaded.denoiser) is type(model.denoiser)
    assert loaded.prompts == model.prompts
    assert loaded.evaluation == model.evaluation
    for name, part in model.denoiser.parts().items():
        if isinstance(part, torch.nn.Module):
            theirs = loaded.denoiser.parts()[name].state_dict()
            assert all(torch.equal(value, theirs[key]) for key, value in part.state_dict().items())
    picture = images[:1].float() / 255
    assert torch.equal(loaded.trace(picture).errors, model.trace(picture).errors)


@pytest.mark.parametrize(
    ("kind", "pipeline"),
    [
        ("latent unet", StableDiffusionPipeline),
        ("flow with t5", StableDiffusion3Pipeline),
        ("pixel unet", EmoDCPipeline),
    ],
)
def test_the_folder_opens_as_the_pipeline_it_came_from(
    kind: str, pipeline: type, tmp_path: Path
) -> None:
    EmoDC(tiny(kind), PROMPTS).save_pretrained(tmp_path)
    opened = pipeline.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert json.loads((tmp_path / "model_index.json").read_text())["_class_name"] == (
        type(opened).__name__
    )


def test_what_is_given_replaces_what_the_folder_says(tiny_emodc: EmoDC, tmp_path: Path) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    plan = Evaluation(steps=2)
    loaded = EmoDC.from_pretrained(tmp_path, prompts=Prompts(("a", "b")), evaluation=plan)
    assert loaded.classes == ("a", "b")
    assert loaded.evaluation == plan


def test_a_network_of_ones_own_has_no_folder_format(tiny_emodc: EmoDC, tmp_path: Path) -> None:
    tiny_emodc.denoiser.vae = torch.nn.Identity()
    with pytest.raises(ValueError, match="no folder format"):
        tiny_emodc.save_pretrained(tmp_path)


def test_predictions_are_ranked_and_do_not_depend_on_company(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    arrays = [image.permute(1, 2, 0).numpy() for image in images[:3]]
    pictures = [arrays[0], Image.fromarray(arrays[1][:40]), arrays[2]]
    together = tiny_emodc.predict(pictures)
    for answer in together:
        scores = [entry["score"] for entry in answer]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1.0, abs=1e-5)
        assert {entry["label"] for entry in answer} == set(tiny_emodc.classes)
    assert tiny_emodc.predict(pictures[::-1]) == together[::-1]
    assert tiny_emodc.predict(images[:1].float() / 255)[0] == together[0]
    logits = tiny_emodc(images[:1].float() / 255, ["x"])[0]
    best = tiny_emodc.predict(arrays[:1], ["x"])[0][0]
    assert best["label"] == tiny_emodc.classes[int(logits.argmax())]


def test_a_stored_fit_calibrates_predictions_and_nothing_else(
    tiny_emodc: EmoDC, images: torch.Tensor, tmp_path: Path
) -> None:
    picture = [images[0].permute(1, 2, 0).numpy()]
    raw, logits = tiny_emodc.predict(picture)[0], tiny_emodc(images[:1].float() / 255, ["x"])
    flat = {"edges": [0.0, 500.0], "values": [1.0]}
    content = {"n": 40, "temperature": 12000.0, "bound": 1.0, "profile": flat}
    tiny_emodc.fit = Fit.from_dict({**content, "weights": flat, "range": flat})
    tiny_emodc.save_pretrained(tmp_path)
    loaded = EmoDC.from_pretrained(tmp_path)
    assert loaded.fit == tiny_emodc.fit
    sharp = loaded.predict(picture)[0]
    assert [entry["label"] for entry in sharp] == [entry["label"] for entry in raw]
    assert sharp[0]["score"] > raw[0]["score"] + 0.1
    errors = loaded.trace(images[:1].float() / 255, ["x"]).errors[0].mean(dim=1)
    expected = (-12000 * errors).softmax(0)  # whatever the scale of logits
    found = {entry["label"]: entry["score"] for entry in loaded.predict(picture, ["x"])[0]}
    assert [found[name] for name in loaded.classes] == pytest.approx(expected.tolist(), abs=1e-6)
    assert torch.equal(loaded(images[:1].float() / 255, ["x"]), logits)
    other = EmoDC.from_pretrained(tmp_path, evaluation=Evaluation(steps=4))
    assert other.fit is None  # it was learned with another evaluation


def test_a_fit_beside_the_weights_belongs_to_how_errors_were_measured(
    tiny_emodc: EmoDC, tmp_path: Path
) -> None:
    flat = {"edges": [0.0, 500.0], "values": [1.0]}
    numbers = {"n": 40, "temperature": 3.0, "bound": 1.0, "profile": flat}
    fit = Fit.from_dict({**numbers, "weights": flat, "range": flat})
    tiny_emodc.save_pretrained(tmp_path)
    own, other = tiny_emodc.evaluation, replace(tiny_emodc.evaluation, noise_aware=True)
    assert hub.wants_fit(tmp_path, own) and not hub.wants_fit(tmp_path, other)
    hub.write_fit(tmp_path, fit, other)
    assert EmoDC.from_pretrained(tmp_path).fit is None
    assert EmoDC.from_pretrained(tmp_path, evaluation=other).fit is None
    hub.write_fit(tmp_path, fit, replace(own, seed=7))
    assert EmoDC.from_pretrained(tmp_path).fit == fit
    assert not hub.wants_fit(tmp_path, own)
    for damaged in ("", "[1]", '{"fit": {}}', "[" * 10**5):
        (tmp_path / "fit.json").write_text(damaged)
        with pytest.raises(CheckpointError, match=r"fit\.json is not readable.*delete it"):
            EmoDC.from_pretrained(tmp_path)


def test_grey_and_turned_pictures_are_pictures(tiny_emodc: EmoDC) -> None:
    grey = np.full((20, 30), 90, np.uint8)
    assert tiny_emodc.predict([grey]) == tiny_emodc.predict([Image.fromarray(grey)])


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8, 3)),
        np.zeros((8, 8, 4), np.uint8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    ],
)
def test_other_pictures_are_refused(tiny_emodc: EmoDC, wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        tiny_emodc.predict(wrong if isinstance(wrong, torch.Tensor) else [wrong])


class RecordingHub:
    """Stands in for the hub's API and keeps what it was given."""

    calls: ClassVar[list[tuple[str, dict[str, Any]]]] = []
    files: ClassVar[dict[str, str]] = {}

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create", {"repo_id": repo_id, **options}))

    def upload_folder(self, *, folder_path: Path, **options: Any) -> None:
        self.calls.append(("upload", options))
        for path in folder_path.rglob("*"):
            if path.is_file():
                text = path.read_text() if path.suffix in (".md", ".json") else ""
                self.files[str(path.relative_to(folder_path))] = text


def test_a_push_uploads_the_folder_with_its_card(
    tiny_emodc: EmoDC, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emodc.hub.HfApi", RecordingHub)
    address = tiny_emodc.push_to_hub(
        "someone/emodc", private=True, training={"data": {"kind": "faces"}, "base": {"steps": 5}}
    )
    assert address.endswith("/someone/emodc")
    (created, options), (uploaded, where) = RecordingHub.calls
    assert (created, uploaded) == ("create", "upload")
    assert options["private"] is True and options["exist_ok"] is True
    assert where["repo_id"] == "someone/emodc"
    assert {"emodc.json", "model_index.json", "README.md"} <= set(RecordingHub.files)
    card = RecordingHub.files["README.md"]
    assert "base.steps | 5" in card
    assert "nothing about real faces" in card
    for word in ("happiness", "a photo of a sad face", "Out of scope", "6 \\(timestep"):
        assert word.replace("\\(", "(") in card
    head = yaml.safe_load(card.split("---")[1])
    assert head["pipeline_tag"] == "image-classification"


def test_a_card_is_no_place_for_markup(tiny_emodc: EmoDC) -> None:
    name = "x | y\n# loud <script>alert(1)</script> [link](javascript:1) `code`"
    tiny_emodc.prompts = Prompts((name, "other"))
    card = render(tiny_emodc, "some/one", {"note": name})
    assert "<script>" not in card
    assert "\n# loud" not in card
    assert "](javascript" not in card
    rows = [line for line in card.splitlines() if line.startswith("| x ")]
    assert len(rows) == 1 and len(re.findall(r"(?<!\\)\|", rows[0])) == 3
    assert "drawn" in card  # the limits are named even where the recipe is silent


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_weights_that_lack_a_tensor_are_refused_and_not_made_up(part: str, tmp_path: Path) -> None:
    EmoDC(tiny("latent unet"), PROMPTS).save_pretrained(tmp_path)
    weights = next((tmp_path / part).glob("*.safetensors"))
    tensors = load_file(weights)
    del tensors[sorted(tensors)[0]]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="no fitting weights for 1 tensors"):
        EmoDC.from_pretrained(tmp_path)


def test_another_format_is_named(tiny_emodc: EmoDC, tmp_path: Path) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    card = json.loads((tmp_path / "emodc.json").read_text()) | {"format": 1}
    (tmp_path / "emodc.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="format 1, and this version reads 2"):
        EmoDC.from_pretrained(tmp_path)
