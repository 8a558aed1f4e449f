import json
from pathlib import Path

import pytest
import torch

from baselines import BaselineCheckpointError, FaceClassifier, networks
from baselines.train import BaselineTrainConfig, BaselineTrainer

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
