"""Attacks side by side: as each is alone, whoever its neighbours are."""

import random
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.perturb import Address, Batch
from bench.perturb.attacks import APGD, FGSM, PGD, Attack, OfTorchattacks, RayS, Square, StrongPGD
from bench.perturb.attacks.victim import side_by_side
from bench.perturb.user_code import UserAttack
from bench.sweep.worker import Worker
from bench.util import rng

LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]


@pytest.fixture
def pictures() -> list[np.ndarray]:
    draws = np.random.default_rng(0)
    return [draws.integers(0, 256, (12, 12, 3), dtype=np.uint8) for _ in LABELS]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(800, 3)]
    return nn.Sequential(*layers).eval()


def jobs(
    attack: Attack, pictures: list[np.ndarray], chosen: list[int]
) -> list[Callable[[nn.Module], np.ndarray]]:
    where = {"seed": 0, "dataset": "toy"}
    return [
        partial(
            lambda number, target: attack(
                pictures[number], LABELS[number], target, 4, sample_id=f"{number}", **where
            ),
            number,
        )
        for number in chosen
    ]


@pytest.mark.parametrize(
    "attack",
    [
        PGD(),
        PGD(steps=6, restarts=2, keep="hit"),
        PGD(norm="l2", rounding=False),
        StrongPGD(steps=5),
        FGSM(),
        APGD(steps=8),
        Square(budget=30),
        RayS(budget=30),
        OfTorchattacks("torchattacks.DIFGSM", attack="DIFGSM"),
    ],
    ids=lambda attack: attack.name,
)
def test_neighbours_change_no_bit(
    attack: Attack, network: nn.Module, pictures: list[np.ndarray]
) -> None:
    everyone = list(range(len(LABELS)))
    whole = side_by_side(network, jobs(attack, pictures, everyone))
    assert any((found != picture).any() for found, picture in zip(whole, pictures, strict=True))
    for chosen in ([3], [9, 2], everyone[::-1], everyone[4:]):
        found = side_by_side(network, jobs(attack, pictures, chosen))
        for number, picture in zip(chosen, found, strict=True):
            np.testing.assert_array_equal(picture, whole[number])


def test_of_a_network_that_adds_exactly_it_is_what_each_is_alone(
    pictures: list[np.ndarray],
) -> None:
    """On whole numbers no order of adding matters, so batches have no rounding of their own."""

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.Parameter(
                torch.randint(-8, 9, (432, 3), generator=torch.Generator().manual_seed(1)).double()
            )

        def forward(self, images: Tensor) -> Tensor:
            return images.double().mul(255).flatten(1) @ self.weights

    network, everyone = Whole(), list(range(len(LABELS)))
    for attack in (FGSM(), PGD(loss="margin")):
        asked = jobs(attack, pictures, everyone)
        for together, alone in zip(
            side_by_side(network, asked), [job(network) for job in asked], strict=True
        ):
            np.testing.assert_array_equal(together, alone)


def test_what_holds_for_the_whole_process_is_put_back(
    network: nn.Module, pictures: list[np.ndarray]
) -> None:
    """Attacks that set it take no turns: the first to end would put back what the next one set."""
    classifier = DiscriminativeClassifier(network, ("a", "b", "c"), "toy", torch.device("cpu"))
    classifier.shares_batches = True
    before, labels = sys.stdout, ["abc"[label] for label in LABELS[:2]]
    batch = Batch(pictures[:2], ["0", "1"], labels)
    for attack in (FGSM(), OfTorchattacks("torchattacks.DIFGSM", attack="DIFGSM")):
        found = attack.apply(batch, "4/255", Address(0, "toy"), classifier)
        assert any((one != two).any() for one, two in zip(found, pictures, strict=False))
        assert sys.stdout is before
    assert not UserAttack.shares_passes


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_a_gpu_attacks_take_no_turns(device: str) -> None:
    """Autograd has one thread there, which a turn that waits would hold."""
    spec = SimpleNamespace(
        shares_batches=True,
        load=lambda name, folder, config, device: DiscriminativeClassifier(
            nn.Identity(), ("a",), "toy", torch.device("cpu")
        ),
    )
    worker: Any = Worker.__new__(Worker)
    worker.config, worker.folders = SimpleNamespace(classifiers={"one": spec}), {}
    worker.dataset = SimpleNamespace(classes=("a",), clips=None)
    worker.device = torch.device(device)
    assert worker._loaded("one", 0).shares_batches == (device == "cpu")


def test_pictures_of_all_sizes_share_a_pass(pictures: list[np.ndarray]) -> None:
    """Each is brought to the network's size by itself, so its neighbours may be of any size."""
    asked: list[int] = []

    class Sized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(12, 3)

        def prepared(self, images: Tensor) -> Tensor:
            return nn.functional.interpolate(images, (2, 2))

        def of_prepared(self, images: Tensor) -> Tensor:
            asked.append(len(images))
            found: Tensor = self.network(images.flatten(1))
            return found

        def forward(self, images: Tensor) -> Tensor:
            return self.of_prepared(self.prepared(images))

    pictures = [picture[: 12 - number % 4] for number, picture in enumerate(pictures)]
    classifier = DiscriminativeClassifier(Sized(), ("a", "b", "c"), "toy", torch.device("cpu"))
    classifier.shares_batches = True
    ids = [str(number) for number in range(len(pictures))]
    together = classifier.measure(pictures, ids).logits
    assert asked == [8, 8]
    for number, picture in enumerate(pictures):
        alone = classifier.measure([picture], ids[:1]).logits
        np.testing.assert_array_equal(together[number : number + 1], alone)
    asked.clear()
    batch = Batch(pictures, ids, ["abc"[label] for label in LABELS])
    found = FGSM().apply(batch, "4/255", Address(0, "toy"), classifier)
    assert asked == [8] * 4  # a gradient and a last look
    for number, job in enumerate(jobs(FGSM(), pictures, list(range(len(pictures))))):
        [alone] = side_by_side(classifier.model, [job])
        np.testing.assert_array_equal(found[number], alone)


def test_generators_go_with_the_turn(network: nn.Module) -> None:
    """Draws between questions are those of an attack that runs alone; the caller's go on."""
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))

    def attack(seed: int, target: nn.Module) -> list[float]:
        drawn = []
        with rng.fenced(seed):
            for _ in range(3):
                drawn += [random.random(), float(torch.rand(()))]
                drawn.append(float(np.random.rand()))  # noqa: NPY002
                target(image)
        return drawn

    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate()
    found = side_by_side(network, [partial(attack, seed) for seed in range(9)], rows=4)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert found == [attack(seed, network) for seed in range(9)]


def test_a_gradient_is_that_of_the_picture_asked_about(network: nn.Module) -> None:
    def gradient(seed: int, target: nn.Module) -> Tensor:
        image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
        image.requires_grad_()
        loss = target(image).square().sum() + target(image * 0.5).sum()  # two passes, one way back
        return torch.autograd.grad(loss, image)[0]

    found = side_by_side(network, [partial(gradient, seed) for seed in range(5)], rows=3)
    for seed, together in enumerate(found):
        torch.testing.assert_close(together, gradient(seed, network))
        assert together.abs().sum() > 0


def test_sizes_several_images_and_no_gradient() -> None:
    """Pictures of another size have a pass of their own, several images are passed on."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    batches: list[int] = []
    network.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))

    def ask(images: Tensor, target: nn.Module) -> Tensor:
        found: Tensor = target(images)
        return found

    asked = [torch.rand(n, 3, side, side) for n, side in ((1, 8), (1, 9), (5, 8), (1, 8))]
    with torch.no_grad():
        found = side_by_side(network, [partial(ask, images) for images in asked])
        assert sorted(batches) == [5, 8, 8]
        for images, logits in zip(asked, found, strict=True):
            torch.testing.assert_close(logits, network(images))

    class Blind(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.detach().flatten(1)[:, :2]

    def gradient(target: nn.Module) -> Tensor:
        image = torch.rand(1, 3, 8, 8, requires_grad=True)
        (found,) = torch.autograd.grad(target(image).sum(), image)
        return found

    assert not side_by_side(Blind(), [gradient])[0].any()


@pytest.mark.parametrize("broken", ["attack", "network"])
def test_an_error_is_raised_and_no_thread_is_left(network: nn.Module, broken: str) -> None:
    def attack(number: int, target: nn.Module) -> int:
        for step in range(4):
            target(torch.zeros(1, 3, 12, 12))
            if broken == "attack" and (number, step) == (2, 1):
                raise ValueError("attack: out of ideas")
        return number

    if broken == "network":
        calls: list[int] = []

        def fail(*_: object) -> None:
            calls.append(0)
            if len(calls) == 3:
                raise ValueError("network: out of memory")

        network.register_forward_pre_hook(fail)
    before = threading.active_count()
    with pytest.raises(ValueError, match=f"{broken}: out of"):
        side_by_side(network, [partial(attack, number) for number in range(6)], rows=4)
    assert threading.active_count() == before
