"""What holds for every attack: one table of them, whatever their kind and norm."""

import dataclasses
import sys
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn
from toy_nets import Linear, blobs, trained

from bench.perturb import ATTACKS
from bench.perturb.attacks import BuiltIn, OfTorchattacks
from bench.perturb.attacks.base import packed_change, unpacked_change, visible
from bench.perturb.attacks.blackbox import RayS, Square
from bench.perturb.attacks.gradient import (
    APGD,
    PGD,
    APGDOnRatio,
    LowFrequency,
    Momentum,
    TargetedAPGD,
)
from bench.perturb.attacks.victim import Victim, dlr, dlr_towards, gap, margin
from bench.util import rng

ADDRESS = {"seed": 0, "dataset": "d", "sample_id": "a"}
SMALL = {
    "square": {"budget": 40}, "rays": {"budget": 40}, "transfer": {"source": "other"},
    "strong_pgd": {"steps": 12, "last_whole": 4}, "mislead": {"steps": 12},
    "apgd_ce": {"steps": 12}, "apgd_dlr": {"steps": 12}, "apgd_targeted": {"steps": 12},
}  # fmt: skip
EVERY: dict[str, BuiltIn] = {
    f"{name} {norm}": made(norm=norm, **SMALL.get(name, {}))
    for name, made in ATTACKS.items()
    for norm in ("linf", "l2")
} | {
    name: OfTorchattacks.made("theirs", f"torchattacks.{name}", own)
    for name, own in {"MIFGSM": {}, "CW": {"steps": 3}, "PGDRSL2": {"steps": 2}}.items()
}
#: Those that raise a linear loss as far as it goes.
STRONGEST = {
    "fgsm": {}, "pgd": {}, "momentum": {}, "strong_pgd": {"loss": "ce"}, "apgd_ce": {},
    "apgd_dlr": {}, "apgd_targeted": {},
}  # fmt: skip


def picture() -> np.ndarray:
    return rng.generator("attacked").integers(60, 190, (8, 8, 3), dtype=np.uint8)


def as_image(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None] / np.float32(255))


def unbeatable() -> Linear:
    """No attack of 8/255 overcomes its lead, and cross-entropy still has a gradient."""
    clean = margin(Linear()(as_image(picture())), torch.tensor([0]))
    return Linear(30 + float(clean))


def length(found: np.ndarray, norm: str) -> float:
    change = found.astype(float) - picture()
    return float(np.abs(change).max() if norm == "linf" else np.sqrt((change**2).sum()))


@pytest.mark.parametrize(
    ("rounding", "eps"), [(None, 0.5), (None, 20), (True, 0.5), (True, 3), (False, 3)]
)
@pytest.mark.parametrize("which", EVERY)
def test_results_are_within_the_budget_and_on_the_range(
    which: str, rounding: bool | None, eps: float
) -> None:
    attack = EVERY[which]
    changed = dataclasses.replace(attack, rounding=rounding)
    found = changed(picture(), 0, Linear(0.5), eps, **ADDRESS)
    whole = attack.norm == "linf" and isinstance(eps, int)
    assert found.dtype == (np.uint8 if (whole if rounding is None else rounding) else np.float32)
    assert found.shape == picture().shape and found.min() >= 0 and found.max() <= 255
    assert length(found, attack.norm) <= eps + (1e-3 if found.dtype == np.float32 else 0)


@pytest.mark.parametrize("which", EVERY)
def test_a_result_is_a_function_of_its_address(which: str) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = EVERY[which](picture(), 0, Linear(0.5), 4, **ADDRESS)
    assert torch.equal(torch.rand(1), expected)
    np.testing.assert_array_equal(first, EVERY[which](picture(), 0, Linear(0.5), 4, **ADDRESS))
    assert np.random.get_state()[1][0] != 0  # noqa: NPY002


@pytest.mark.parametrize("which", EVERY)
def test_no_budget_gives_the_picture_and_modes_are_kept(
    which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    net = nn.Sequential(Linear(0.5), nn.Dropout(0.5)).eval()
    net[1].train()  # a mode of its own
    np.testing.assert_array_equal(EVERY[which](picture(), 0, net, 0, **ADDRESS), picture())
    EVERY[which](picture(), 0, net, 4, **ADDRESS)
    assert [module.training for module in net.modules()] == [False, False, True]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", STRONGEST)
def test_a_linear_model_gets_the_strongest_attack_within_the_budget(name: str, norm: str) -> None:
    net, attack = unbeatable(), ATTACKS[name](norm=norm, rounding=False, **STRONGEST[name])
    found = attack(picture(), 0, net, 8, **ADDRESS)
    weight = (net.weight[1] - net.weight[0]).double()
    best = float(weight.abs().sum() if norm == "linf" else weight.norm()) * 8 / 255
    zero = torch.tensor([0])
    raised = margin(net(as_image(found)), zero) - margin(net(as_image(picture())), zero)
    assert 0.99 * best <= float(raised) <= best * 1.0001 + 1e-3


@pytest.mark.parametrize("which", [name for name in EVERY if "random" not in name])
def test_random_noise_of_the_same_size_is_weaker(which: str) -> None:
    net, attack, eps, zero = unbeatable(), EVERY[which], 8, torch.tensor([0])
    if attack.kind == "rays":
        pytest.skip("it sees decisions, and here all are alike")
    noise = ATTACKS["random_noise"](norm=attack.norm)(picture(), 0, net, eps, **ADDRESS)
    found = attack(picture(), 0, net, eps, **ADDRESS)
    before = margin(net(as_image(picture())), zero)
    gained, by_noise = (float(margin(net(as_image(f)), zero) - before) for f in (found, noise))
    if which == "CW":  # it gives the picture back where it finds nothing
        assert gained == 0
    else:
        assert gained > max(by_noise, 0) + 0.05


@pytest.mark.parametrize("classes", [2, 3, 7, 8, 11])
def test_ratios_are_right_for_any_number_of_classes(classes: int) -> None:
    logits = torch.randn(40, classes, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(40) % classes
    found = dlr(logits, labels)
    best = logits.detach().sort(1, descending=True).values
    right = logits.detach()[torch.arange(40), labels]
    other = torch.where(logits.argmax(1) == labels, best[:, 1], best[:, 0])
    under = torch.ones(40) if classes == 2 else best[:, 0] - best[:, 2]
    torch.testing.assert_close(found.detach(), (other - right) / under)
    assert ((found > 0) == (logits.argmax(1) != labels)).all()
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    sure = logits.argmax(1) == labels
    assert gradient.isfinite().all() and (gradient[sure].abs().sum(1) > 0).all() and sure.any()
    towards = dlr_towards(1)(logits, labels)
    assert towards.isfinite().all() and (towards[labels == 1] == 0).all()
    if classes > 2:
        torch.testing.assert_close(dlr(7 * logits, labels), found)
        torch.testing.assert_close(dlr_towards(1)(7 * logits, labels), towards)


# ------------------------------------------------------------------------------------------------
# Against torchattacks, on a trained network at equal budgets.

N = 300
EPS = 8 / 255


def batch(classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = blobs(N, 2, classes)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().contiguous() / 255
    return images, torch.from_numpy(labels)


@pytest.fixture(scope="module")
def toys() -> tuple[torch.Tensor, torch.Tensor]:
    return batch()


def wrong(images: torch.Tensor, labels: torch.Tensor, network: nn.Module | None = None) -> float:
    answers = (network or trained())(images).argmax(1)
    return float((answers != labels).double().mean())


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (ATTACKS["fgsm"](), "FGSM", {}),
        (PGD(steps=7), "PGD", {"steps": 7, "alpha": EPS / 4}),
        (Momentum(), "MIFGSM", {"steps": 10, "alpha": EPS / 10, "decay": 1.0}),
    ],
)
def test_simple_attacks_equal_those_of_torchattacks(
    ours: BuiltIn, theirs: str, arguments: dict, toys: tuple[torch.Tensor, torch.Tensor]
) -> None:
    import torchattacks

    images, labels = toys
    with rng.fenced("one"):
        expected = getattr(torchattacks, theirs)(trained(), eps=EPS, **arguments)(images, labels)
    with rng.fenced("one"):
        found = ours.attacked(images, labels, Victim(trained(), 0, lambda x: x), EPS)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert 0.2 < wrong(found, labels) < 0.95 and wrong(images, labels) < 0.15


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (APGD(steps=10), "APGD", {"steps": 10, "loss": "ce"}),
        (APGDOnRatio(steps=10), "APGD", {"steps": 10, "loss": "dlr"}),
        (APGD(steps=10, norm="l2"), "APGD", {"steps": 10, "norm": "L2"}),
        (Square(budget=60), "Square", {"n_queries": 60, "p_init": 0.8, "loss": "margin"}),
        (PGD(steps=10, norm="l2"), "PGDL2", {"steps": 10}),
    ],
    ids=lambda one: "" if isinstance(one, dict) else getattr(one, "name", one),
)
def test_success_is_within_a_point_of_torchattacks(
    ours: BuiltIn, theirs: str, arguments: dict, toys: tuple[torch.Tensor, torch.Tensor]
) -> None:
    import torchattacks

    images, labels = toys
    eps = {"linf": EPS, "l2": EPS * 12}[ours.norm] * (3 if theirs == "Square" else 1)
    if theirs == "PGDL2":
        arguments = arguments | {"alpha": eps / 4}
    if theirs == "Square":
        arguments = arguments | {"n_restarts": 1}
    with rng.fenced("theirs"):
        expected = getattr(torchattacks, theirs)(trained(), eps=eps, **arguments)(images, labels)
    found = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        with rng.fenced("ours", number):
            victim = Victim(trained(), int(label), lambda x: x)
            found.append(ours.attacked(image[None], label[None], victim, eps).detach())
    rates = wrong(torch.cat(found), labels), wrong(expected, labels)
    assert 0.2 < rates[1] < 0.97
    # A stronger one is no fault. Square is a random search, whose seeds differ by two points.
    assert rates[0] >= rates[1] - (0.03 if theirs == "Square" else 0.01), rates


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("loss", "classes"), [("ce", 3), ("dlr", 3), ("ce", 7), ("dlr", 7), ("targeted", 7)]
)
def test_success_is_within_a_point_of_adv_lib(
    loss: str, classes: int, norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its plots need a package that does not install everywhere; its attacks do without.
    monkeypatch.setitem(sys.modules, "visdom", mock.MagicMock())
    theirs = pytest.importorskip("adv_lib.attacks.auto_pgd")
    network = trained(classes)
    images, labels = batch(classes)
    eps, order = (EPS, float("inf")) if norm == "linf" else (EPS * 12, 2)
    with rng.fenced("theirs"):
        if loss == "targeted":
            ours: BuiltIn = TargetedAPGD(steps=10, norm=norm)
            expected = theirs.apgd_targeted(network, images, labels, eps, order, n_iter=10)
        else:
            ours = (APGD if loss == "ce" else APGDOnRatio)(steps=10, norm=norm)
            expected = theirs.apgd(
                network, images, labels, eps, order, n_iter=10, loss_function=loss
            )
    found = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        with rng.fenced("ours", number):
            victim = Victim(network, int(label), lambda x: x)
            found.append(ours.attacked(image[None], label[None], victim, eps).detach())
    rates = [wrong(one, labels, network) for one in (torch.cat(found), expected)]
    assert 0.2 < rates[1] < 0.99
    assert rates[0] >= rates[1] - 0.01, rates


@pytest.mark.parametrize("classes", [2, 7])
def test_stronger_attacks_find_more(classes: int) -> None:
    pictures, labels = blobs(40, 3, classes)
    shares = {}
    for attack in (
        ATTACKS["random_noise"](), ATTACKS["fgsm"](), PGD(), APGDOnRatio(steps=12),
        TargetedAPGD(steps=12), RayS(budget=200), LowFrequency(scale=4), ATTACKS["strong_pgd"](),
    ):  # fmt: skip
        seen = [
            attack.run(p, int(label), trained(classes), 8, seed=0, dataset="d", sample_id=str(i))
            for i, (p, label) in enumerate(zip(pictures, labels, strict=True))
        ]
        shares[attack.name] = np.mean([one.believed for _, one in seen])
        answers = [trained(classes)(as_image(found)).argmax() for found, _ in seen]
        assert [one.believed for _, one in seen] == [
            bool(a != label) for a, label in zip(answers, labels, strict=True)
        ]
    least = shares["random_noise"]
    assert least + 0.1 < shares["pgd"] and least <= shares["low_frequency"]
    assert shares["fgsm"] - 0.03 <= shares["pgd"] <= shares["strong_pgd"] + 0.03
    assert shares["apgd_dlr"] >= shares["pgd"] - 0.03
    assert shares["apgd_targeted"] >= shares["pgd"] - 0.03
    assert shares["rays"] <= shares["apgd_dlr"]
    assert shares["rays"] > least or classes == 2


def test_a_slow_down_brings_the_two_best_classes_together() -> None:
    pictures, labels = blobs(20, 5, 7)

    def leads(found: list[np.ndarray]) -> np.ndarray:
        best = torch.cat([trained(7)(as_image(own)) for own in found]).sort(1).values
        return (best[:, -1] - best[:, -2]).numpy()

    attack = ATTACKS["slow_down"](rounding=False)
    slowed = [
        attack(own, int(label), trained(7), 4, seed=0, dataset="d", sample_id=str(number))
        for number, (own, label) in enumerate(zip(pictures, labels, strict=True))
    ]
    before, after = leads(list(pictures)), leads(slowed)
    assert np.median(after) < 0.25 * np.median(before)
    assert (after <= before + 1e-3).mean() > 0.9
    np.testing.assert_allclose(gap(torch.tensor([[1.0, 4.0, 2.5]]), labels), [-1.5])


@pytest.mark.parametrize("largest", [1, 4, 100, 127])
def test_a_change_in_8_bits_comes_back_exactly(largest: int) -> None:
    draws = rng.generator("change", largest)
    change = draws.integers(-largest, largest + 1, (8, 8, 3))
    change[0, 0, 0] = -largest
    clean = np.full((8, 8, 3), 128, np.uint8)
    attacked = (clean + change).clip(0, 255).astype(np.uint8)
    levels, found = packed_change(clean, attacked)
    assert (levels.dtype, levels.min(), found) == (np.int8, -127, largest)
    back = unpacked_change(levels, found, clean)
    np.testing.assert_array_equal(np.rint(back), attacked.astype(int) - clean)
    with pytest.raises(ValueError, match="reshape"):
        unpacked_change(levels, found, clean[:4])


def test_a_change_of_less_than_a_grey_level_is_kept_to_a_254th() -> None:
    change = rng.generator("change").uniform(-0.5, 0.5, (8, 8, 3)).astype(np.float32)
    levels, largest = packed_change(picture(), picture() + change)
    assert largest == pytest.approx(np.abs(change).max(), abs=1e-5)
    back = unpacked_change(levels, largest, picture())
    np.testing.assert_allclose(back, change, atol=largest / 254 + 1e-5)
    assert packed_change(picture(), picture())[1] == 0
    assert not unpacked_change(*packed_change(picture(), picture()), picture()).any()


def test_of_a_clip_the_middle_frame_is_kept_and_large_pictures_are_thinned() -> None:
    clip = rng.generator("clip").integers(0, 256, (5, 300, 200, 3), dtype=np.uint8)
    np.testing.assert_array_equal(visible(clip), clip[2, ::3, ::3])
    assert visible(clip[:, :128, :128]).shape == (128, 128, 3)
    moved = clip ^ 1
    levels, largest = packed_change(clip, moved)
    back = visible(clip) + unpacked_change(levels, largest, clip)
    np.testing.assert_array_equal(np.rint(back), visible(moved))
