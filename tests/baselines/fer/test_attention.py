"""What is special in each published network, against a few lines of numpy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from scipy.special import expit, log_softmax
from torch import Tensor, nn

from baselines.fer import ARCHITECTURES
from baselines.fer.dan import affinity_loss, partition_loss
from baselines.fer.eac import consistency_loss
from baselines.fer.scn import ranking_loss, relabelled


def made(name: str, classes: int = 7) -> Any:
    """With weights, biases and statistics of the right size that are nowhere 0 or 1."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = ARCHITECTURES[name](classes).eval()
        for key, tensor in network.state_dict().items():
            if tensor.ndim <= 1 and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) * 0.5 + (0.75 if "var" in key else 0.1))
    return network.requires_grad_(False)


def pictures(count: int, size: int = 64) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@contextmanager
def outputs(**modules: nn.Module) -> Iterator[dict[str, np.ndarray]]:
    """What each module returns, by the names given."""
    seen: dict[str, np.ndarray] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, returned: Tensor) -> None:
            seen[name] = returned.detach().double().numpy()

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    yield seen
    for handle in handles:
        handle.remove()


def numbers(module: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias."""
    return tuple(getattr(module, n).detach().double().numpy() for n in ("weight", "bias"))


def test_scn_scales_the_logits_by_certainty() -> None:
    network = made("scn")
    with outputs(trunk=network.trunk) as seen:
        logits = network(pictures(3)).numpy()
    features = seen["trunk"].mean((2, 3))
    (w, b), (wide, offset) = numbers(network.fc), numbers(network.alpha[0])
    certainty = expit(features @ wide.T + offset)
    assert np.allclose(logits, certainty * (features @ w.T + b), atol=1e-5)


@pytest.mark.parametrize("count", [2, 5, 10])
def test_scn_ranks_the_certain_above_the_uncertain(count: int) -> None:
    alpha = np.random.default_rng(count).random(count) * 0.2
    ordered, top = np.sort(alpha)[::-1], int(np.floor(0.7 * count))
    expected = max(0.0, 0.15 - (ordered[:top].mean() - ordered[top:].mean()))
    assert float(ranking_loss(torch.tensor(alpha))) == pytest.approx(expected)
    assert float(ranking_loss(torch.tensor([0.9, 0.9, 0.1]))) == 0.0
    assert float(ranking_loss(torch.tensor([0.5]))) == 0.0  # no second group


def test_scn_relabels_what_is_surely_another_class() -> None:
    p = np.array([[0.5, 0.4, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.1, 0.8, 0.1]])
    found = relabelled(torch.tensor(p).log(), torch.tensor([1, 1, 2, 0]))
    assert found.tolist() == [1, 0, 2, 1]


def test_dan_multiplies_by_agreed_attention_and_partitions_across_heads() -> None:
    network = made("dan")
    with outputs(trunk=network.trunk, pooled=network.fc) as seen:
        logits, features, heads = network.attended(pictures(3))
    maps, raw = seen["trunk"], []
    for head in network.heads:
        parts = {n: getattr(head.sa, n) for n in ("conv_3x3", "conv_1x3", "conv_3x1")}
        with outputs(**parts) as inner:
            head.sa(torch.tensor(maps).float())
        spatial = np.maximum(sum(inner.values()), 0).sum(1, keepdims=True)
        mean = (maps * spatial).mean((2, 3))
        first, norm, _, second, _ = head.ca.attention
        (w1, b1), (gain, shift), (w2, b2) = numbers(first), numbers(norm), numbers(second)
        running = norm.running_mean.double().numpy(), norm.running_var.double().numpy()
        inner_ = (mean @ w1.T + b1 - running[0]) / np.sqrt(running[1] + 1e-5) * gain + shift
        raw.append(mean * expit(np.maximum(inner_, 0) @ w2.T + b2))
    stacked = np.stack(raw, 1)
    logs = log_softmax(stacked, axis=1)  # (B, H, C), across H
    assert np.allclose(heads.numpy(), logs, rtol=1e-3, atol=1e-4)
    assert np.allclose(features.numpy(), maps.mean((2, 3)), atol=1e-5)
    w, b = numbers(network.fc)
    assert np.allclose(seen["pooled"], logs.sum(1) @ w.T + b, rtol=1e-3, atol=1e-2)
    assert torch.equal(logits, network(pictures(3)))


def test_dan_losses_are_the_formulas() -> None:
    draws = np.random.default_rng(0)
    f, c = draws.normal(size=(6, 4)), draws.normal(size=(3, 4))
    labels = np.array([0, 1, 2, 0, 1, 2])
    affinity = ((f - c[labels]) ** 2).sum(1).mean() / c.var(axis=0, ddof=1).sum()
    found = affinity_loss(torch.tensor(f), torch.tensor(labels), torch.tensor(c))
    assert float(found) == pytest.approx(affinity)
    heads = draws.normal(size=(6, 4, 5))
    partition = np.log(1 + 4 / heads.var(axis=1, ddof=1).mean())
    assert float(partition_loss(torch.tensor(heads))) == pytest.approx(partition)


@pytest.mark.parametrize("name", ["eac_resnet18", "eac"])
def test_eac_maps_are_the_classifier_at_every_place(name: str) -> None:
    network = made(name)
    with outputs(trunk=network.trunk) as seen:
        logits, maps = network.mapped(pictures(2, 96))
    w, b = numbers(network.fc)
    assert np.allclose(maps.numpy(), np.einsum("kc,bchw->bkhw", w, seen["trunk"]), atol=1e-3)
    assert np.allclose(logits.numpy(), seen["trunk"].mean((2, 3)) @ w.T + b, atol=1e-3)
    mirrored = maps.flip(3) + 0.5
    assert float(consistency_loss(maps, mirrored)) == pytest.approx(0.25, abs=1e-5)


def test_eac_resnet50_is_of_caffes_build() -> None:
    """torchvision's with strides on the first convolutions, and pooling that rounds up."""
    network, plain = made("eac"), torchvision.models.resnet50()
    for stage in (plain.layer2, plain.layer3, plain.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    plain.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
    plain.fc = nn.Identity()
    weights = network.trunk.state_dict()
    plain.load_state_dict(weights)
    expected = plain.eval()(pictures(1, 224)).detach()
    maps = network.trunk(pictures(1, 224))
    assert maps.shape == (1, 2048, 7, 7)
    assert torch.allclose(maps.mean((2, 3)), expected, rtol=1e-3, atol=1e-4)
