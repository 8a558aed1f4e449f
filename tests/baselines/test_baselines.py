import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from baselines import BaselineCheckpointError, FaceClassifier, networks
from baselines.train import BaselineTrainConfig, BaselineTrainer
from bench.classifiers.kinds.baseline import BaselineClassifier
from bench.config import parse
from bench.store.store import Store
from bench.sweep.run import run as run_config
from bench.util.errors import UserError
from bench.util.progress import Reporter

CLASSES = ("neutral", "happiness")


def tinted(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures whose class is their colour."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, 3, 64, 64), generator=generator, dtype=torch.uint8)
    images[torch.arange(count), labels] += 100
    return images, labels


def trainer(steps: int = 6) -> BaselineTrainer:
    torch.manual_seed(0)
    config = BaselineTrainConfig(steps=steps, validate_every=2, learning_rate=2e-3)
    return BaselineTrainer(FaceClassifier("test_resnet", CLASSES), config, tinted(16))


def run(subject: BaselineTrainer, until: int) -> None:
    images, labels = tinted(16)
    while subject.position < until:
        subject.step(images.float() / 255, labels)


@pytest.mark.parametrize("architecture", ["resnet18", "vit_small", "test_resnet"])
def test_any_size_in_logits_out_differentiable(architecture: str) -> None:
    classifier = FaceClassifier(architecture, CLASSES).eval()
    pictures = torch.rand(2, 3, 90, 70, requires_grad=True)
    logits = classifier(pictures)
    assert logits.shape == (2, 2)
    logits.sum().backward()
    assert pictures.grad is not None and pictures.grad.abs().max() > 0


def test_an_easy_task_is_learned_and_the_best_weights_are_kept() -> None:
    subject = trainer(steps=20)
    run(subject, 20)
    best = subject.best()
    images, labels = tinted(16)
    accuracy = (best(images.float() / 255).argmax(1) == labels).double().mean().item()
    assert accuracy == subject.best_accuracy > 0.8


def test_progress_names_the_best_accuracy_once_there_is_one() -> None:
    subject = trainer(steps=20)
    images, labels = tinted(16)
    told = [subject.step(images.float() / 255, labels) for _ in range(20)]
    assert set(told[0]) == {"loss"}
    assert told[-1]["best_accuracy"] == subject.best_accuracy >= 0


def test_a_restored_trainer_continues_exactly() -> None:
    undisturbed = trainer()
    run(undisturbed, 6)
    killed = trainer()
    run(killed, 3)
    resumed = trainer()
    resumed.load_state_dict(killed.state_dict())
    run(resumed, 6)
    assert resumed.best_accuracy == undisturbed.best_accuracy
    for name, value in undisturbed.classifier.state_dict().items():
        assert torch.equal(value, resumed.classifier.state_dict()[name]), name


def test_a_saved_classifier_loads_to_the_same_bits(tmp_path: Path) -> None:
    classifier = FaceClassifier("test_resnet", CLASSES).eval()
    networks.save(classifier, tmp_path)
    loaded = networks.load(tmp_path)
    pictures = torch.rand(2, 3, 64, 64)
    assert loaded.classes == CLASSES
    assert torch.equal(loaded(pictures), classifier(pictures))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    networks.save(FaceClassifier("test_resnet", CLASSES), tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(BaselineCheckpointError, match="not a readable baseline"):
        networks.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["hf-hub:someone/net", "local-dir:folder/net", "../net", "resnte18"]
)
def test_a_card_names_an_architecture_of_timm_and_nothing_else(name: str, tmp_path: Path) -> None:
    networks.save(FaceClassifier("test_resnet", CLASSES), tmp_path)
    card = {"architecture": name, "classes": list(CLASSES)}
    (tmp_path / "classifier.json").write_text(json.dumps(card))
    with pytest.raises(BaselineCheckpointError, match="timm has no architecture called"):
        networks.load(tmp_path)


def pretrained(classes: int = 1000) -> dict[str, Any]:
    torch.manual_seed(5)
    return timm.create_model("test_resnet", num_classes=classes).state_dict()


def test_weights_to_start_from_fill_all_but_the_last_layer() -> None:
    given, made = pretrained(), FaceClassifier("test_resnet", CLASSES)
    last = made.network.fc.weight.detach().clone()
    networks.start_from(made, given)
    own = made.network.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in own if not name.startswith("fc."))
    assert torch.equal(made.network.fc.weight, last)
    headed = FaceClassifier("test_resnet", CLASSES, "scn")
    networks.start_from(headed, given)
    assert torch.equal(headed.network.trunk.conv1[0].weight, given["conv1.0.weight"])


def test_parts_of_a_papers_network_start_from_files_of_their_own() -> None:
    torch.manual_seed(1)
    made, other = (FaceClassifier("dcs", CLASSES, size=224) for _ in range(2))
    file = {
        name.removeprefix("ir_back."): value
        for name, value in other.network.state_dict().items()
        if name.startswith("ir_back.")
    }
    file["output_layer.3.weight"] = torch.zeros(512, 7)  # what the trunk was trained to tell
    networks.start_from(made, file, "ir_back")
    assert torch.equal(
        made.network.ir_back.state_dict()["body3.0.res_layer.1.weight"],
        file["body3.0.res_layer.1.weight"],
    )
    assert not torch.equal(made.network.conv1.weight, other.network.conv1.weight)
    with pytest.raises(ValueError, match="dcs has no part 'irback', but ir_back, VIT"):
        networks.start_from(made, file, "irback")


def test_a_released_file_with_older_names_is_a_start_too() -> None:
    torch.manual_seed(1)
    made, other = (FaceClassifier("dcs", CLASSES, size=224) for _ in range(2))
    file = {n.replace("VIT.", "VIT_base."): v for n, v in other.network.state_dict().items()}
    networks.start_from(made, file)
    assert torch.equal(made.network.VIT.cls_token, other.network.VIT.cls_token)
    assert not torch.equal(made.network.VIT.head.linear.weight, file["VIT_base.head.linear.weight"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda given: given.pop("conv1.0.weight"), "it lacks conv1.0.weight"),
        (lambda given: given.update({"conv1.0.weight": "text"}), "it lacks conv1"),
        (
            lambda given: given.update(more=torch.zeros(1)),
            "it holds what this network has not, more",
        ),
        (
            lambda given: given.update({"conv1.0.weight": torch.zeros(2)}),
            r"conv1.0.weight is a tensor \(2,\)",
        ),
    ],
)
def test_weights_of_another_network_are_refused(
    change: Callable[[dict[str, Any]], object], words: str
) -> None:
    given = pretrained()
    change(given)
    with pytest.raises(ValueError, match=words):
        networks.start_from(FaceClassifier("test_resnet", CLASSES), given)


def test_size_and_normalisation_are_kept_and_the_usual_ones_not_written(tmp_path: Path) -> None:
    normalisation = ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    classifier = FaceClassifier("test_resnet", CLASSES, size=96, normalisation=normalisation).eval()
    pictures = torch.rand(2, 3, 50, 60)
    assert classifier.prepared(pictures).shape == (2, 3, 96, 96)
    networks.save(classifier, tmp_path / "own")
    assert torch.equal(networks.load(tmp_path / "own")(pictures), classifier(pictures))
    networks.save(FaceClassifier("test_resnet", CLASSES), tmp_path / "usual")
    card = json.loads((tmp_path / "usual" / "classifier.json").read_text())
    assert set(card) == {"architecture", "classes"}


def entry(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "baseline",
        "architecture": "test_resnet",
        "steps": 2,
        "batch_size": 4,
        **fields,
    }


def measured(tmp_path: Path, **fields: Any) -> Store:
    content = {
        "data": {"kind": "faces", "train": 14, "val": 7, "test": 7},
        "classifiers": {"mine": entry(**fields)},
        "perturbations": {"corruptions": {}},
        "execution": {"workers": 1, "shards": 1},
    }
    return run_config(parse(content, "x"), tmp_path / "out", Reporter(quiet=True))


def test_a_run_starts_from_a_file_at_a_size_and_follows_its_content(tmp_path: Path) -> None:
    file = tmp_path / "imagenet.safetensors"
    save_file(pretrained(), file)
    fields = {"pretrained": str(file), "image_size": 96, "ema": 0.5, "cutmix": 1.0}
    store = measured(tmp_path, **fields)
    [cell] = [cell for cell in store.planned() if cell.condition == "clean"]
    manifest = store.manifest(cell)
    assert manifest and manifest.n == 7
    [folder] = (tmp_path / "out" / "checkpoints").glob("test_resnet-*")
    card = json.loads((folder / "classifier.json").read_text())
    assert card["size"] == 96 and card["std"] == list(timm.get_pretrained_cfg("test_resnet").std)
    spec = BaselineClassifier.model_validate(entry(**fields))
    [before] = spec.recipes({})
    save_file(pretrained(7), file)
    assert spec.recipes({})[0]["pretrained"] != before["pretrained"]


def test_parts_are_normalised_as_the_whole_whose_recipe_they_share(tmp_path: Path) -> None:
    file = tmp_path / "imagenet.safetensors"
    save_file(pretrained(), file)
    whole, parts = (
        BaselineClassifier.model_validate(entry(pretrained=given))
        for given in (str(file), {"": str(file)})
    )
    assert whole.recipes({}) == parts.recipes({})
    made = [spec.start("mine", CLASSES).normalisation for spec in (whole, parts)]
    assert made[0] == made[1] != (networks.MEAN, networks.STD)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pretrained": "nowhere.pth"}, "there is no file nowhere.pth"),
        ({"pretrained": {"fc2": "FILE"}}, "test_resnet has no part 'fc2'"),
        ({"pretrained": {"fc": "FILE"}}, "fc is the last layer, which is new"),
        ({"pretrained": True, "architecture": "test_resnet.no"}, "Invalid pretrained tag"),
        ({"architecture": "test_convnext", "image_size": 16}, "no pictures of image_size: 16"),
        ({"pretrained": "OTHER"}, "no weights that a test_resnet can start from: it "),
        ({"pretrained": True, "architecture": "vit_small"}, "timm has no weights of vit_small"),
        ({"image_size": 80, "architecture": "test_vit"}, "160 px alone, not of 80"),
        ({"layer_decay": 0.5, "objective": "scn"}, "layer_decay is for timm's architectures"),
    ],
)
def test_what_cannot_be_started_from_is_told(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    save_file(pretrained(), tmp_path / "FILE")
    save_file({"strange": torch.zeros(2)}, tmp_path / "OTHER")
    for name in ("FILE", "OTHER"):
        (tmp_path / name).rename(tmp_path / f"{name}.safetensors")
    text = json.dumps(fields)
    for name in ("FILE", "OTHER"):
        text = text.replace(f'"{name}"', json.dumps(str(tmp_path / f"{name}.safetensors")))
    with pytest.raises(UserError, match=words):
        measured(tmp_path, **json.loads(text))


def test_larger_pictures_are_expected_to_take_longer() -> None:
    small, large = (BaselineClassifier.model_validate(entry(image_size=n)) for n in (64, 224))
    for seconds in ("train_step_seconds", "verdict_seconds"):
        assert getattr(large, seconds) == pytest.approx(12.25 * getattr(small, seconds))
