"""Training with the losses of SCN, DAN and EAC: small, resumable, and with the state they need."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from baselines import FaceClassifier, networks
from baselines.fer.dan import affinity_loss, partition_loss
from baselines.fer.scn import ranking_loss
from baselines.networks import require_architecture
from baselines.train import OBJECTIVES, BaselineTrainConfig, BaselineTrainer, SelfCure
from bench.classifiers.kinds.baseline import BaselineClassifier
from bench.config import parse
from bench.sweep.run import run
from bench.training.loop import Batches
from bench.util.errors import UserError
from bench.util.progress import Reporter

CLASSES = ("neutral", "happiness")
HEADED = tuple(networks.HEADS)  # MA-Net's loss goes with its network


def tinted(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures whose class is their colour."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, 3, 64, 64), generator=generator, dtype=torch.uint8)
    images[torch.arange(count), labels] += 100
    return images, labels


def trainer(name: str, steps: int = 6, wrong: int = 0, **options: Any) -> BaselineTrainer[Any]:
    torch.manual_seed(0)
    images, labels = tinted(16)
    known = labels.clone()
    known[:wrong] = 1 - known[:wrong]
    classifier = FaceClassifier("test_resnet", CLASSES, name)
    config = BaselineTrainConfig(
        steps=steps, validate_every=2, learning_rate=3e-3, label_smoothing=0.0, **options
    )
    objective = OBJECTIVES[name](classifier, known)
    return BaselineTrainer(classifier, config, (images, labels), objective)


def advance(subject: BaselineTrainer[Any], until: int) -> None:
    images, labels = tinted(16)
    given = torch.arange(16) if subject.objective.by_number else labels  # type: ignore[union-attr]
    while subject.position < until:
        subject.step(images.float() / 255, given)


@pytest.mark.parametrize("name", HEADED)
def test_an_easy_task_is_learned(name: str) -> None:
    subject = trainer(name, steps=20)
    advance(subject, 20)
    images, labels = tinted(16)
    found = subject.best()(images.float() / 255).argmax(1)
    assert (found == labels).double().mean().item() == subject.best_accuracy > 0.8


@pytest.mark.parametrize("options", [{}, {"sam": 0.05}], ids=["plain", "sam"])
@pytest.mark.parametrize("name", HEADED)
def test_a_restored_trainer_continues_exactly(name: str, options: dict[str, Any]) -> None:
    undisturbed, killed, resumed = (trainer(name, wrong=4, **options) for _ in range(3))
    advance(undisturbed, 6)
    advance(killed, 4)
    resumed.load_state_dict(killed.state_dict())
    advance(resumed, 6)
    for part in ("classifier", "objective"):
        expected = undisturbed.state_dict()[part]
        for key, value in resumed.state_dict()[part].items():
            assert torch.equal(value, expected[key]), key


def test_scn_relabels_in_its_table_and_nowhere_else() -> None:
    subject = trainer("scn", steps=30, wrong=3)
    early = subject.objective.table.clone()  # type: ignore[union-attr]
    advance(subject, 4)  # a seventh of 30 steps
    assert torch.equal(subject.objective.table, early)  # type: ignore[union-attr]
    objective = SelfCure(torch.tensor([0, 0, 1]), relabel_after=0.0)
    objective._logits = torch.tensor([[0.0, 3.0], [1.0, 1.1]])
    objective.finish(torch.tensor([1, 2]), 0.5)
    assert objective.table.tolist() == [0, 1, 1]  # the second was surely class 1, the third it is


def test_losses_are_the_papers_terms() -> None:
    images, labels = torch.rand(6, 3, 64, 64), torch.arange(6) % 2
    for name, subject in ((name, trainer(name)) for name in HEADED):
        network: Any = subject.classifier.eval()
        assert subject.objective is not None
        with torch.no_grad():
            told = subject.objective(network, images, labels, 0.0)
            entropy = F.cross_entropy(network(images), labels)
            prepared = network.prepared(images)
            if name == "scn":
                more = ranking_loss(network.network.weighted(prepared)[0], 0.07)
            elif name == "dan":
                _, features, heads = network.network.attended(prepared)
                more = affinity_loss(features, labels, subject.objective.centres)  # type: ignore[arg-type]
                more = more + partition_loss(heads)
            else:
                one = network.network.mapped(prepared)[1]
                other = network.network.mapped(prepared.flip(3))[1].flip(3)
                more = 5 * (one - other).square().mean()
        assert float(told) == pytest.approx(float(entropy + more), rel=1e-4)


def test_ma_nets_loss_weighs_its_branches_as_its_logits() -> None:
    """Against cross-entropies written out in numpy."""
    torch.manual_seed(0)
    classifier = FaceClassifier("ma_net", CLASSES, size=224).eval()
    images, labels = torch.rand(2, 3, 224, 224), torch.tensor([1, 0])
    with torch.no_grad():
        told = OBJECTIVES["ma_net"](classifier, labels)(classifier, images, labels, 0.0)
        both = [one.double().numpy() for one in classifier.network.branches(images)]
        assert torch.allclose(
            classifier(images), torch.tensor(0.6 * both[0] + 0.4 * both[1]).float()
        )
    entropies = [np.log(np.exp(o).sum(1)) - o[[0, 1], labels] for o in both]
    expected = 0.6 * entropies[0].mean() + 0.4 * entropies[1].mean()
    assert float(told) == pytest.approx(expected, rel=1e-5)


def test_batches_may_give_numbers_in_the_place_of_labels() -> None:
    images, labels = tinted(16)
    plain = Batches(images, labels, 5, 3)
    numbered = Batches(images, labels, 5, 3, numbers=True)
    pictures, given = numbered(2)
    assert torch.equal(pictures, plain(2)[0])
    assert torch.equal(labels[given], plain(2)[1])


@pytest.mark.parametrize("name", HEADED)
def test_a_saved_classifier_keeps_its_head(name: str, tmp_path: Path) -> None:
    classifier = FaceClassifier("test_resnet", CLASSES, name).eval()
    networks.save(classifier, tmp_path)
    loaded = networks.load(tmp_path)
    pictures = torch.rand(2, 3, 64, 64)
    assert torch.equal(loaded(pictures), classifier(pictures))


@pytest.mark.parametrize("name", ["vit_small", "efficientnet_b0", "test_vit"])
def test_heads_are_those_of_resnets(name: str) -> None:
    with pytest.raises(ValueError, match="dan needs the maps of a ResNet"):
        require_architecture(name, "dan")


def spec(**fields: Any) -> BaselineClassifier:
    given = {"kind": "baseline", "architecture": "resnet18", **fields}
    return BaselineClassifier.model_validate(given)


def test_recipes_without_an_objective_are_what_they_were() -> None:
    assert "objective" not in spec().recipes({})[0]
    assert spec(objective="scn").recipes({})[0]["objective"] == "scn"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"objective": "scn", "mixup": 0.2}, "scn has a loss of its own; remove mixup"),
        ({"objective": "eac", "adversarial": {}}, "remove adversarial"),
        ({"architecture": "ma_net", "image_size": 224, "cutmix": 1.0}, "remove cutmix"),
        ({"architecture": "scn"}, "architecture: resnet18, objective: scn"),
        ({"architecture": "dcs"}, "pictures of 224 px alone, not of 64. Set image_size: 224"),
        ({"architecture": "poster++", "image_size": 224}, "Name both files of its authors"),
        ({"architecture": "dcs", "image_size": 224, "layer_decay": 0.7}, "remove it"),
        ({"objective": "dan", "batch_size": 1}, "batch_size of 2 or more"),
        ({"objective": "dan", "architecture": "vit_small"}, "needs the maps of a ResNet"),
    ],
)
def test_what_does_not_go_together_is_refused_at_planning(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        spec(**fields).check("mine")


@pytest.mark.parametrize("name", HEADED)
def test_a_run_trains_and_measures_it(name: str, tmp_path: Path) -> None:
    entry = {"kind": "baseline", "architecture": "test_resnet", "steps": 2, "batch_size": 8}
    config = parse(
        {
            "data": {"kind": "faces", "train": 14, "val": 14, "test": 14},
            "classifiers": {"mine": {**entry, "objective": name}},
            "perturbations": {"corruptions": {}, "attacks": {"fgsm": [4]}, "attack_limit": 2},
            "execution": {"workers": 1, "shards": 1},
        },
        "x",
    )
    store = run(config, tmp_path, Reporter(quiet=True))
    measured = {cell.condition: store.manifest(cell) for cell in store.planned()}
    assert measured["clean"] and measured["clean"].n == 14
    assert measured["clean"].training["objective"] == name
    assert measured["fgsm"] and measured["fgsm"].n == 2
