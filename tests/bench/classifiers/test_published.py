"""`kind: published` measures released files by naming the architecture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from published_names import drawn

from baselines.fer import ARCHITECTURES
from bench.classifiers.kinds import entry
from bench.config import parse
from bench.labels import ORDERS
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter

CPU = torch.device("cpu")
RUN = {
    "data": {"kind": "faces", "train": 14, "val": 14, "test": 14},
    "perturbations": {"corruptions": {}, "attacks": {"fgsm": [4]}, "attack_limit": 2},
    "execution": {"workers": 1, "shards": 1},
}


def released(folder: Path, name: str = "scn", classes: int = 7) -> dict[str, Any]:
    content = {"iter": 1, "model_state_dict": drawn(name, classes), "optimizer_state_dict": {}}
    path = folder / f"{name}.pth"
    torch.save(content, path)
    order = "affectnet" if classes == 8 else "raf_db"
    return {"kind": "published", "architecture": name, "checkpoint": str(path), "classes": order}


def spec(entry: dict[str, Any]) -> Any:
    return parse({**RUN, "classifiers": {"mine": entry}}, "x")


def test_a_released_file_is_measured_and_attacked(tmp_path: Path) -> None:
    given = released(tmp_path) | {"check_class_order": False}
    store = run(spec(given), tmp_path / "out", Reporter(quiet=True))
    measured = {cell.condition: store.manifest(cell) for cell in store.planned()}
    assert measured["clean"] and measured["clean"].n == 14
    assert measured["fgsm"] and measured["fgsm"].n == 2
    assert tuple(measured["clean"].classes) == ORDERS["raf_db"]


def test_pictures_are_resized_and_normalised_as_published(tmp_path: Path) -> None:
    config = spec(released(tmp_path, classes=8))
    own = config.classifiers["mine"].load("mine", None, config, CPU)
    assert own.classes == ORDERS["affectnet"]
    assert own.digest == config.classifiers["mine"].identity("mine")
    images = torch.full((1, 3, 50, 41), 0.25, requires_grad=True)
    network = own.attack_target("a")
    prepared = network.inputs(images)
    assert prepared.shape == (1, 3, 224, 224)
    expected = (0.25 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert np.allclose(prepared.mean((0, 2, 3)).detach(), expected, atol=1e-5)
    network(images)[:, 1].sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_orders_of_released_files_are_known(name: str) -> None:
    assert ARCHITECTURES[name].order in ORDERS


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"architecture": "don"}, "no published architecture called 'don'. Did you mean dan"),
        ({"checkpoint": "nowhere.pth"}, "there is no file nowhere.pth"),
    ],
)
def test_what_cannot_be_opened_is_named_before_any_work(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"classifier 'mine'.*{words}"):
        spec(released(tmp_path) | fields).classifiers["mine"].check("mine")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"classes": "affectnet"}, r"as scn with 8 classes: fc\.weight is a tensor \(7, 512\)"),
        ({"architecture": "dan"}, r"as dan with 7 classes: it lacks cat_head0\."),
        ({"architecture": "eac_resnet18"}, r"holds what this network has not, alpha\.0\.weight"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_the_tensor(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"classifier 'mine': .*scn\.pth .*{words}"):
        spec(released(tmp_path) | fields).classifiers["mine"].identity("mine")


def test_classes_are_an_order_or_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no class order called 'raf'"):
        spec(released(tmp_path) | {"classes": "raf"})


def arm(folder: Path, pictures: int = 3) -> dict[str, Any]:
    (folder / "reference").mkdir()
    for number in range(pictures):
        shade = np.full((40, 40, 3), 40 * number + 60, np.uint8)
        shade[:20] //= 2
        Image.fromarray(shade).save(folder / "reference" / f"{number}.png")
    return released(folder, "arm") | {"reference": str(folder / "reference")}


def test_arms_batch_statistic_is_frozen_and_marked(tmp_path: Path) -> None:
    config = spec(arm(tmp_path))
    kind = config.classifiers["mine"]
    own = kind.load("mine", None, config, CPU)
    assert own.training["batch_statistic"] == "frozen over 3 pictures"
    (told,) = kind.probe(own, attacked=False)
    assert "frozen over 3 pictures" in told and "not that of its paper" in told
    images = torch.rand(3, 3, 60, 60)
    network = own.attack_target("a")
    together = network(images)
    alone = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(together, alone, rtol=1e-3, atol=1e-4)
    before = kind.identity("mine")
    (tmp_path / "reference" / "2.png").unlink()
    assert kind.identity("mine") != before  # other pictures, another classifier


@pytest.mark.parametrize(
    ("name", "reference", "words"),
    [
        ("arm", None, "Name a folder of training pictures as reference"),
        ("arm", "nowhere", "no pictures lie in nowhere"),
        ("scn", "nowhere", "scn needs no reference pictures"),
    ],
)
def test_reference_pictures_are_arms_and_must_be_there(
    name: str, reference: str | None, words: str, tmp_path: Path
) -> None:
    given = released(tmp_path, name) | {"reference": reference}
    with pytest.raises(UserError, match=words):
        spec(given).classifiers["mine"].check("mine")


def test_a_line_names_a_released_file(tmp_path: Path) -> None:
    path = released(tmp_path)["checkpoint"]
    name, kind = entry(f"published:scn,checkpoint={path},classes=raf_db")
    kind.check(name)
    assert name == "scn" and kind.kind == "published"
