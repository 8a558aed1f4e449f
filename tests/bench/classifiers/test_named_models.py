"""Models that people have are measured by naming them: transformers' and timm's, with no code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from made_up_models import vit
from safetensors.torch import load_file, save_file
from transformers import ViTForImageClassification, ViTImageProcessor

from bench.config import parse
from bench.labels import BASIC, canonical
from bench.sweep.run import run
from bench.util import rng
from bench.util.errors import UserError
from bench.util.progress import Reporter

CPU = torch.device("cpu")
RUN = {
    "data": {"kind": "faces", "train": 14, "val": 14, "test": 14},
    "perturbations": {"corruptions": {}, "attacks": {"fgsm": [4]}, "attack_limit": 7},
    "execution": {"workers": 1, "shards": 1},
}
#: Nine ways in which people write the seven names.
SPELLINGS = [
    BASIC,
    ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Anger", "Disgust"),
    ("neutral", "happy", "sad", "surprised", "fearful", "angry", "disgusted"),
    ("NEUTRAL", "HAPPY", "SAD", "SURPRISE", "FEAR", "ANGRY", "DISGUST"),
    ("neutrality", "joy", "sadness", "surprise", "afraid", "anger", "disgust"),
    ("neutral", "joy", "sad", "surprise", "scared", "angry", "disgusted"),
    ("sad", "disgust", "angry", "neutral", "fear", "surprise", "happy"),
    ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    ("Surprised ", "Fearful", "Disgusted", "Happy", "Sad", "Angry", "Neutral"),
]


def spec(entry: dict[str, Any]) -> Any:
    return parse({**RUN, "classifiers": {"mine": entry}}, "x")


@pytest.mark.parametrize("names", SPELLINGS, ids=lambda names: names[1])
def test_a_saved_vit_knows_its_classes_whatever_their_spelling(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    config = spec({"kind": "huggingface", "model": str(vit(tmp_path, names))})
    own = config.classifiers["mine"].load("mine", None, config, CPU)
    assert own.classes == tuple(map(canonical, names)) and set(own.classes) == set(BASIC)
    assert own.digest == config.classifiers["mine"].identity("mine")


def test_a_saved_vit_says_what_transformers_says_and_has_a_gradient(tmp_path: Path) -> None:
    folder = vit(tmp_path, BASIC)
    config = spec({"kind": "huggingface", "model": str(folder)})
    own = config.classifiers["mine"].load("mine", None, config, CPU)
    picture = rng.generator("vit").integers(0, 256, (32, 32, 3), dtype=np.uint8)
    published = ViTForImageClassification.from_pretrained(folder).eval()
    values = ViTImageProcessor.from_pretrained(folder)(picture, return_tensors="pt")
    with torch.no_grad():
        expected = published(**values).logits.numpy()
    assert np.allclose(own.measure([picture], ["a"]).logits, expected, atol=1e-5)
    images = torch.rand(2, 3, 50, 41, requires_grad=True)
    own.attack_target("a")(images)[:, 1].sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0


def tiny_timm(tmp_path: Path) -> dict[str, Any]:
    with rng.fenced("tiny", "timm"):
        network = timm.create_model("test_vit", num_classes=7)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    path = str(tmp_path / "weights.safetensors")
    return {"kind": "timm", "model": "test_vit", "checkpoint": path, "classes": "raf_db"}


@pytest.mark.parametrize("kind", ["huggingface", "timm"])
def test_named_models_are_measured_and_attacked(kind: str, tmp_path: Path) -> None:
    if kind == "timm":
        entry = tiny_timm(tmp_path)
    else:
        entry = {"kind": kind, "model": str(vit(tmp_path / "vit", SPELLINGS[2]))}
    store = run(spec(entry | {"check_class_order": False}), tmp_path / "out", Reporter(quiet=True))
    measured = {cell.condition: store.manifest(cell) for cell in store.planned()}
    assert measured["clean"] and measured["clean"].n == 14
    assert measured["fgsm"] and measured["fgsm"].n == 7


def test_a_timm_checkpoint_may_be_wrapped_and_of_data_parallel(tmp_path: Path) -> None:
    entry = tiny_timm(tmp_path)
    plain = spec(entry).classifiers["mine"]
    wrapped = {f"module.{k}": v for k, v in load_file(entry["checkpoint"]).items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "net.pth")
    other = spec(entry | {"checkpoint": str(tmp_path / "net.pth")}).classifiers["mine"]
    assert plain.identity("mine") == other.identity("mine")
    assert other.load("mine", None, spec(entry), CPU).model.inputs.size == (160, 160)


def _edited(folder: Path, file: str, **fields: Any) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **fields}))


@pytest.mark.parametrize(
    ("file", "fields", "words"),
    [
        ("config.json", {"id2label": {"0": "happy", "1": "cat", "2": "dog"}}, "cat, dog"),
        ("config.json", {"id2label": {"0": "happy", "1": "joy"}}, "twice"),
        ("config.json", {"architectures": ["BertModel"]}, "names BertModel"),
        ("preprocessor_config.json", {"resample": 5}, "resample: 5"),
        ("preprocessor_config.json", {"size": {"side": 3}}, "not an image processor's"),
    ],
)
def test_what_a_folder_cannot_be_measured_by_is_named_before_any_work(
    file: str, fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = vit(tmp_path, BASIC)
    _edited(folder, file, **fields)
    with pytest.raises(UserError, match=f"classifier 'mine'.*{words}"):
        spec({"kind": "huggingface", "model": str(folder)}).classifiers["mine"].check("mine")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "resnte18"}, "Did you mean"),
        ({"checkpoint": None}, "say where its weights are"),
        ({"checkpoint": "nowhere.pth"}, "no file nowhere.pth"),
        ({"checkpoint": None, "pretrained": True, "model": "resnet18"}, "1000 classes, not 7"),
    ],
)
def test_what_timm_cannot_open_is_named_before_any_work(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"classifier 'mine'.*{words}"):
        spec(tiny_timm(tmp_path) | fields).classifiers["mine"].check("mine")
