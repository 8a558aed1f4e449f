"""What is special in each published network, against a few lines of numpy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from published_names import drawn
from scipy.special import expit, log_softmax, ndtr, softmax
from torch import Tensor, nn

from baselines.fer import ARCHITECTURES
from baselines.fer.dan import affinity_loss, partition_loss
from baselines.fer.eac import consistency_loss
from baselines.fer.ran import regions
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


def test_ran_weighs_regions_and_their_relation_to_the_face() -> None:
    network = made("ran")
    views = torch.rand(2, 6, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with outputs(trunk=network.trunk) as seen:
        logits, alpha = network.weighted(views)
    f = seen["trunk"].mean((2, 3)).reshape(2, 6, 512)
    (wa, ba), (wb, bb), (wf, bf) = map(numbers, (network.alpha[0], network.beta[0], network.fc))
    a = softmax(expit(f @ wa.T + ba), axis=1)
    face = (a * f).sum(1, keepdims=True) / a.sum(1, keepdims=True)
    joined = np.concatenate([f, np.repeat(face, 6, 1)], 2)
    ab = a * softmax(expit(joined @ wb.T + bb), axis=1)
    pooled = (ab * joined).sum(1) / ab.sum(1)
    assert np.allclose(alpha.numpy(), a[..., 0], atol=1e-5)
    assert np.allclose(logits.numpy(), pooled @ wf.T + bf, rtol=1e-3, atol=1e-3)


def test_ran_cuts_five_regions_and_keeps_the_face_last() -> None:
    image = pictures(1, 224)
    cut = regions(image)
    assert cut.shape == (1, 6, 3, 224, 224) and torch.equal(cut[:, 5], image)
    corner = nn.functional.interpolate(image[..., :168, :168], (224, 224), mode="bilinear")
    assert torch.allclose(cut[:, 0], corner, atol=1e-6)


def test_arm_adds_the_frozen_mean_of_reference_pictures() -> None:
    network, images = made("arm"), pictures(5, 224)
    with pytest.raises(ValueError, match="not frozen"):
        network(images)
    with outputs(maps=network.arm) as seen:
        network.amended(images[:4])
        assert network.freeze(iter(images[:4])) == 4
        network.amended(images[:4])
    maps = seen["maps"]
    assert maps.shape == (4, 2, 11, 11)
    w, b = numbers(network.fc)
    features = maps.mean(1) + network.arm.alpha.item() * maps.mean((0, 1))
    together = network(images[:4])
    assert np.allclose(together.numpy(), features.reshape(4, 121) @ w.T + b, atol=1e-3)
    alone = torch.cat([network(image[None]) for image in images[:4]])
    assert torch.allclose(together, alone, atol=1e-4)  # whatever stands beside it


def test_arm_filters_two_rearranged_maps_with_one_kernel() -> None:
    network = made("arm")
    maps = torch.randn(1, 512, 7, 7, generator=torch.Generator().manual_seed(4))
    amended = network.arm(network.rearrange(maps))
    kernel = network.arm.de_albino.weight[0, 0].numpy()
    gain, shift = numbers(network.arm.bn)
    mean, var = network.arm.bn.running_mean.numpy(), network.arm.bn.running_var.numpy()
    for channel in (0, 1):
        block = maps[0, channel * 256 : (channel + 1) * 256].numpy()
        picture = block.reshape(16, 16, 7, 7).transpose(2, 0, 3, 1).reshape(112, 112)
        raw = (picture[8:40, 80:112] * kernel).sum()
        normal = (raw - mean[channel]) / np.sqrt(var[channel] + 1e-5) * gain[channel] + shift[
            channel
        ]
        assert float(amended[0, channel, 1, 10]) == pytest.approx(normal, rel=1e-3, abs=1e-3)


def test_ma_net_tiles_quarters_of_attentive_branches() -> None:
    network = made("ma_net")
    heads = {f"p{n}": getattr(network, f"layer4_1_p{n}") for n in range(1, 5)}
    with outputs(whole=network.layer4_2, maps=network.layer2, **heads) as seen:
        logits = network(pictures(1, 224))
    assert seen["maps"].shape == (1, 128, 28, 28) and seen["p1"].shape == (1, 512, 7, 7)
    left = np.concatenate([seen["p1"], seen["p3"]], 2)
    tiled = np.concatenate([left, np.concatenate([seen["p2"], seen["p4"]], 2)], 3)
    (w1, b1), (w2, b2) = numbers(network.fc_1), numbers(network.fc_2)
    local, whole = tiled.mean((2, 3)) @ w1.T + b1, seen["whole"].mean((2, 3)) @ w2.T + b2
    assert np.allclose(logits.numpy(), 0.6 * local + 0.4 * whole, rtol=1e-3)
    third = network.layer3_1_p4(torch.tensor(seen["maps"][..., 14:, 14:]).float())
    assert np.allclose(network.layer4_1_p4(third).numpy(), seen["p4"], rtol=1e-3, atol=1e-3)


def test_ma_net_multi_scale_blocks_chain_groups_in_both_directions() -> None:
    block = made("ma_net").layer3_2[1]
    maps = torch.randn(1, 256, 4, 4, generator=torch.Generator().manual_seed(4))
    groups = block.bn1(block.conv1(maps)).relu().split(64, dim=1)

    def unit(name: str, given: Tensor) -> Tensor:
        return getattr(block, f"bn{name}")(getattr(block, f"conv{name}")(given))

    a = [unit("1_2_1", groups[0])]
    for n in (1, 2, 3):
        a.append(unit(f"1_2_{n + 1}", a[-1].relu() + groups[n]))
    b = [unit("2_2_4", groups[3])]
    for n in (2, 1, 0):
        b.insert(0, unit(f"2_2_{n + 1}", b[0].relu() + groups[n]))
    expected = (torch.cat(a, 1) + torch.cat(b, 1) + maps).relu()
    assert torch.allclose(block(maps), expected, rtol=1e-4, atol=1e-4)


def test_ma_net_attends_to_channels_then_places() -> None:
    cbam = made("ma_net").layer3_1_p1[0].cbam
    maps = torch.randn(2, 256, 5, 5, generator=torch.Generator().manual_seed(4))
    x = maps.double().numpy()
    (w1, b1), (w2, b2) = numbers(cbam.ChannelGate.mlp[1]), numbers(cbam.ChannelGate.mlp[3])

    def mlp(v: np.ndarray) -> np.ndarray:
        return np.maximum(v @ w1.T + b1, 0) @ w2.T + b2

    x = x * expit(mlp(x.mean((2, 3))) + mlp(x.max((2, 3))))[:, :, None, None]
    with outputs(places=cbam.SpatialGate.spatial) as seen:
        found = cbam(maps)
        pooled = torch.tensor(np.stack([x.max(1), x.mean(1)], 1)).float()
        cbam.SpatialGate.spatial(pooled)
    assert np.allclose(found.numpy(), x * expit(seen["places"]), rtol=1e-3, atol=1e-4)


def test_ddamfn_multiplies_by_the_larger_of_two_direction_heads() -> None:
    network = made("ddamfn")
    parts = {f"head{n}": getattr(network, f"cat_head{n}").CoordAtt for n in (0, 1)}
    with outputs(maps=network.features, filtered=network.Linear.conv, **parts) as seen:
        logits, heads = network.attended(pictures(1, 112))
    attended = seen["maps"] * np.maximum(seen["head0"], seen["head1"])
    kernel = network.Linear.conv.weight.double().numpy()[:, 0]
    assert np.allclose(seen["filtered"][0, :, 0, 0], (attended[0] * kernel).sum((1, 2)), rtol=1e-3)
    assert logits.shape == (1, 7) and heads.shape == (1, 2, 512, 7, 7)


def test_ddamfn_heads_are_an_outer_product_of_rows_and_columns() -> None:
    head = made("ddamfn").cat_head0.CoordAtt
    maps = torch.randn(1, 512, 7, 7, generator=torch.Generator().manual_seed(4))
    with outputs(rows=head.Linear_h, columns=head.Linear_w) as seen:
        weights = head(maps)
    x = maps.double().numpy()[0]
    across = np.einsum("chw,cw->ch", x, head.Linear_h.conv.weight.double().numpy()[:, 0, 0])
    bn = head.Linear_h.bn
    scale = bn.weight.double().numpy() / np.sqrt(bn.running_var.double().numpy() + 1e-5)
    normal = (across - bn.running_mean.numpy()[:, None]) * scale[:, None]
    assert np.allclose(seen["rows"][0, :, :, 0], normal + bn.bias.numpy()[:, None], atol=1e-4)
    w = weights.double().numpy()[0]
    outer = w[:, :, :1] * w[:, :1, :] / w[:, :1, :1]  # of rank 1 in rows and columns
    assert np.allclose(w, outer, rtol=1e-3)


def test_dcs_gates_the_class_token() -> None:
    network = made("dcs")
    with outputs(norm=network.VIT.norm, three=network.conv3) as seen:
        logits = network(pictures(1, 224))
    assert seen["three"].shape == (1, 256, 7, 7) and seen["norm"].shape == (1, 148, 768)
    token = seen["norm"][:, 0]
    (w1, b1), (w2, b2) = map(numbers, (network.VIT.se_block.linear1, network.VIT.se_block.linear2))
    w, b = numbers(network.VIT.head.linear)
    gated = token * expit(np.maximum(token @ w1.T + b1, 0) @ w2.T + b2)
    assert np.allclose(logits.numpy(), gated @ w.T + b, rtol=1e-3, atol=1e-3)


def test_dcs_opens_old_and_new_names_of_its_embeddings() -> None:
    tensors = drawn("dcs")
    renamed = dict(tensors)
    for old, new in (("embed_q", "embed_1"), ("embed_k", "embed_2"), ("embed_v", "embed_3")):
        renamed = {key.replace(old, new): tensor for key, tensor in renamed.items()}
    found = []
    for content in (tensors, renamed):
        network = ARCHITECTURES["dcs"](7)
        network.load_released(content)
        found.append(network.state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_poster_lets_landmarks_attend_to_the_image() -> None:
    network = made("poster++")
    draws = torch.Generator().manual_seed(4)
    landmarks, maps = (torch.randn(1, 256, 7, 7, generator=draws) for _ in range(2))
    found = network.attended(3, landmarks, maps).double().numpy().reshape(256, 49).T
    q, x = (part.double().numpy().reshape(256, 49).T for part in (landmarks, maps))

    def norm(v: np.ndarray, layer: nn.Module) -> np.ndarray:
        gain, shift = numbers(layer)
        centred = v - v.mean(1, keepdims=True)
        return centred / np.sqrt(v.var(1, keepdims=True) + 1e-5) * gain + shift

    x = norm(x, network.window3.norm)
    w, b = numbers(network.attn3.qkv)
    keys, values = np.split(x @ w.T + b, 2, axis=1)
    table = network.attn3.relative_position_bias_table.double().numpy()
    mixed = np.zeros_like(x)
    for head in range(8):
        own = slice(32 * head, 32 * head + 32)
        scores = q[:, own] @ keys[:, own].T / np.sqrt(32)
        for i in range(49):
            for j in range(49):
                down, across = i // 7 - j // 7 + 6, i % 7 - j % 7 + 6
                scores[i, j] += table[13 * down + across, head]
        mixed[:, own] = softmax(scores, axis=1) @ values[:, own]
    w, b = numbers(network.attn3.proj)
    ffn = network.ffn3
    y = x + ffn.gamma1.double().numpy() * (mixed @ w.T + b)
    (w1, b1), (w2, b2) = numbers(ffn.mlp.fc1), numbers(ffn.mlp.fc2)
    inner = norm(y, ffn.norm) @ w1.T + b1
    inner = inner * ndtr(inner)  # GELU
    expected = y + ffn.gamma2.double().numpy() * (inner @ w2.T + b2)
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_posters_landmark_network_keeps_its_statistics_in_training() -> None:
    network = made("poster++").train()
    before = network.face_landback.conv1.bn.running_mean.clone()
    assert network(pictures(2, 224)).shape == (2, 7)
    assert torch.equal(before, network.face_landback.conv1.bn.running_mean)
    assert not any(p.requires_grad for p in network.face_landback.parameters())
