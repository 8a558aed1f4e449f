"""Pretrained networks that stay as they are: probes, and classes told in words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from made_up_models import PROCESSOR, TINY, clip
from safetensors.torch import save_file
from transformers import CLIPModel, CLIPTokenizer, ViTConfig, ViTModel

import bench
from bench.config import parse
from bench.util import rng
from bench.util.errors import UserError

CPU = torch.device("cpu")
DATA = {"kind": "faces", "train": 28, "val": 14, "test": 7}


def vit(folder: Path, seed: int = 0) -> Path:
    with rng.fenced("vit", seed):
        network = ViTModel(ViTConfig(image_size=32, patch_size=16, **TINY))
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


def timm_file(path: Path) -> Path:
    with rng.fenced("timm"):
        save_file(timm.create_model("test_vit", num_classes=0).state_dict(), path)
    return path


@pytest.fixture(params=["vit", "clip", "timm"])
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "timm":
        file = timm_file(tmp_path / "w.safetensors")
        found = {"library": "timm", "model": "test_vit", "checkpoint": str(file)}
    else:
        made = {"vit": vit, "clip": clip}[request.param](tmp_path / "model")
        found = {"model": str(made)}
    return {"kind": "probe"} | found


def run(entry: dict[str, Any], out: Path) -> Any:
    content = {
        "data": DATA,
        "classifiers": {"one": entry},
        "perturbations": {"attacks": {"fgsm": [4]}, "attack_limit": 2},
        "execution": {"workers": 1},
    }
    return bench.run(content, out=out, quiet=True)


def test_a_probe_is_fitted_and_measured(entry: dict[str, Any], tmp_path: Path) -> None:
    frame = run(entry, tmp_path / "out").to_pandas()
    assert set(frame["perturbation"]) == {"clean", "fgsm"}
    (folder,) = (tmp_path / "out" / "checkpoints").glob("probe-*")
    config = parse({"data": DATA, "classifiers": {"one": entry}}, "c")
    classifier = config.classifiers["one"].load("one", folder, config, CPU)
    assert {"accuracy", "nll", "penalty"} <= set(classifier.validation)
    # What is measured is what was fitted: pictures are prepared alike.
    dataset = bench.open_dataset("faces", train=28, val=14, test=7)
    samples = dataset.samples("val")
    logits = classifier.measure([dataset.picture(s) for s in samples], [s.id for s in samples])
    said = [classifier.classes[k] for k in logits.logits.argmax(axis=1)]
    accuracy = np.mean([one == s.label for one, s in zip(said, samples, strict=True)])
    assert accuracy == classifier.validation["accuracy"]
    places = [classifier.classes.index(s.label) for s in samples]
    log_p = torch.from_numpy(logits.logits).log_softmax(1)[range(len(places)), places]
    assert -log_p.mean().item() == pytest.approx(classifier.validation["nll"], abs=1e-4)


def test_a_probe_of_another_network_is_fitted_anew(tmp_path: Path) -> None:
    folder = vit(tmp_path / "model")
    entry = {"kind": "probe", "model": str(folder)}
    run(entry, tmp_path / "out")
    vit(folder, seed=1)
    run(entry, tmp_path / "out")
    assert len(list((tmp_path / "out" / "checkpoints").glob("probe-*"))) == 2
    assert len(list((tmp_path / "out" / "cells" / "one").iterdir())) == 6


def test_words_alone_choose_the_class(tmp_path: Path) -> None:
    folder = clip(tmp_path / "model")
    templates = ["a face of {}", "{} in a photo"]
    entry = {"kind": "zero_shot", "model": str(folder), "templates": templates}
    config = parse({"data": DATA, "classifiers": {"one": entry}}, "c")
    classifier = config.classifiers["one"].load("one", None, config, CPU)
    picture = rng.generator("picture").integers(0, 256, (40, 32, 3), np.uint8)
    found = classifier.measure([picture], ["a"]).logits[0]

    network = CLIPModel.from_pretrained(folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    image = torch.from_numpy(picture).movedim(-1, 0)[None].float() / 255
    image = torch.nn.functional.interpolate(image, (32, 32), mode="bicubic", antialias=True)
    means = []
    for name in classifier.classes:  # one text at a time, without padding
        units = []
        for template in templates:
            tokens = tokenizer([template.format(name)], return_tensors="pt")
            pair = network(**tokens, pixel_values=(image.clamp(0, 1) - 0.5) / 0.5)
            units.append(pair.text_embeds[0])
        mean = torch.stack(units).mean(0)
        towards = mean / mean.norm()
        cosine = (pair.image_embeds[0] @ towards).item()
        means.append(cosine * network.logit_scale.exp().item())
    assert found == pytest.approx(means, abs=2e-3)
    assert np.ptp(means) > 0.01


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"kind": "probe", "model": "no/such/folder"}, "there is no folder no/such/folder"),
        ({"kind": "probe", "library": "timm", "model": "tset_vit"}, "no model of timm.*test_vit"),
        ({"kind": "probe", "model": "a/b", "checkpoint": "x.pth"}, "is for library: timm"),
        ({"kind": "zero_shot", "model": "a/b", "templates": ["a face"]}, "has one {}"),
    ],
)
def test_what_is_not_there_is_told(entry: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse({"classifiers": {"x": entry}}, "c").classifiers["x"].check("x")


def test_without_texts_there_is_no_zero_shot(tmp_path: Path) -> None:
    entry = {"kind": "zero_shot", "model": str(vit(tmp_path / "model"))}
    config = parse({"classifiers": {"one": entry}}, "c")
    with pytest.raises(UserError, match="no texts to compare"):
        config.classifiers["one"].load("one", None, config, CPU)
