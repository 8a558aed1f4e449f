"""HDF's modules and M3DFEL's normalisation against numpy, written from their formulas alone.

Parameters are drawn at random, because a factor of 1 or a summand of 0 would hide its own absence.
"""

from collections.abc import Mapping
from math import ceil, cos, exp, floor, log, pi, sqrt

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn
from torch.func import functional_call

from baselines.clips.classifier import NETWORKS, ClipClassifier, ClipTrainConfig, ClipTrainer
from baselines.clips.hdf import (
    Balance,
    DistributionalAttention,
    FrequencyGate,
    ScalingConfig,
    TimeGate,
    Variant,
    balance,
    contrastive,
    dct_basis,
    released_contrastive,
    scaled_loss,
    start,
    total_variance,
)
from baselines.clips.m3dfel import InstanceNormalisation
from baselines.clips.x3d import X3D
from baselines.train import SharpnessAware

Numbers = Mapping[str, np.ndarray]


def stirred(module: nn.Module) -> nn.Module:
    """The module in float64 with all parameters drawn anew."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.double().parameters():
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = 0.4 * drawn + 0.1
    return module


def numbers(module: nn.Module) -> Numbers:
    return {name: value.detach().numpy() for name, value in module.named_parameters()}


def drawn(*shape: int, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


# DAM


def reference_basis() -> np.ndarray:
    """B_k(i, j) = a(v) a(h) cos(pi v (i + 1/2) / 7) cos(pi h (j + 1/2) / 7) at k = 7 h + v."""
    scale = [sqrt(1 / 7)] + [sqrt(2 / 7)] * 6
    basis = np.empty((49, 7, 7))
    for k, i, j in np.ndindex(basis.shape):
        h, v = divmod(k, 7)
        wave = cos(pi * v * (i + 0.5) / 7) * cos(pi * h * (j + 0.5) / 7)
        basis[k, i, j] = scale[v] * scale[h] * wave
    return basis


def reference_places(maps: np.ndarray, p: Numbers) -> np.ndarray:
    """S (H, W) of one clip's maps (C, T, H, W)."""
    windows = sliding_window_view(np.pad(maps.mean(1).sum(0), 3), (7, 7))
    d = np.einsum("yxij,kij->kyx", windows, reference_basis())
    spread = np.sqrt(((d - d.mean((1, 2), keepdims=True)) ** 2).sum((1, 2), keepdims=True))
    shift = p["noise"] * p["noise_scale"] * np.sign(d)
    shift = shift + 0.05 * p["spread_scale"] * spread * np.sign(d)
    mixed = (p["plain_weight"] * d + p["perturbed_weight"] * (d + shift)) / 2
    deviation = mixed.std(0, ddof=1, keepdims=True) + 1e-5
    squashed = np.tanh(p["slope"] * mixed / deviation) * p["gain"] + p["offset"]
    padded = np.pad(squashed, ((0, 0), (3, 3), (3, 3)))
    windows = sliding_window_view(padded, (7, 7), axis=(1, 2))
    return sigmoid(np.einsum("kyxij,kij->yx", windows, p["mix.weight"][0]))


def reference_frames(maps: np.ndarray, p: Numbers, variant: str) -> np.ndarray:
    """g (T,) of one clip's maps (C, T, H, W)."""
    channels, frames = maps.shape[:2]
    means, maxima, change = (np.zeros((frames, frames)) for _ in range(3))
    for t, k in np.ndindex(frames, frames):
        low, high = floor(k * channels / frames), ceil((k + 1) * channels / frames)
        means[t, k], maxima[t, k] = maps[low:high, t].mean(), maps[low:high, t].max()
    for t, k in np.ndindex(frames, frames):
        if variant == "time" and t > 0:
            change[t, k] = abs(means[t, k] - means[t - 1, k])
        if variant == "released" and k > 0:
            change[t, k] = abs(means[t, k] - means[t, k - 1])
    spread = np.array([[np.linalg.norm(row - row.mean())] for row in means])
    statistics = p["mean_weight"] * means + p["max_weight"] * maxima
    gated = sigmoid(p["statistics_scale"] * statistics + p["spread_scale"] * spread - change)
    tokens = p["over_time.weight"] @ gated
    query, key, value = (
        tokens @ p[f"{name}.weight"].T + p[f"{name}.bias"] for name in ("query", "key", "value")
    )
    scores = np.exp(query @ key.T / sqrt(frames))
    return sigmoid((scores / scores.sum(1, keepdims=True) @ value).mean(1))


def test_the_dct_basis_is_orthonormal_and_its_horizontal_frequency_runs_slowest() -> None:
    basis = dct_basis().double().reshape(49, 7, 7).numpy()
    assert np.abs(basis - reference_basis()).max() < 1e-7
    assert np.abs(np.einsum("kij,lij->kl", basis, basis) - np.eye(49)).max() < 1e-6
    assert np.ptp(basis[7 * 3], axis=0).max() < 1e-7  # h = 3, v = 0: all rows are equal
    assert np.ptp(basis[3], axis=1).max() < 1e-7


@pytest.mark.parametrize("size", [(9, 5), (4, 4), (2, 8), (1, 1)])
def test_the_frequency_gate(size: tuple[int, int]) -> None:
    module = stirred(FrequencyGate())
    maps = drawn(2, 3, 4, *size)
    gates = module(maps)[:, 0].detach().numpy()
    expected = [reference_places(clip, numbers(module)) for clip in maps.numpy()]
    assert np.allclose(gates, expected, atol=1e-6)
    assert gates.std() > 0.01


@pytest.mark.parametrize("perturbation", ["descent", "ascent"])
def test_black_maps_have_a_gate_and_finite_gradients(perturbation: str) -> None:
    """All coefficients are 0: no sign, no spread, no deviation."""
    module = stirred(FrequencyGate(perturbation))  # type: ignore[arg-type]
    maps = torch.zeros(1, 3, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    gates = module(maps)
    assert np.allclose(
        gates[0, 0].detach().numpy(), reference_places(maps[0].detach().numpy(), numbers(module))
    )
    gates.sum().backward()
    for gradient in (maps.grad, *(p.grad for p in module.parameters())):
        assert gradient is not None and gradient.isfinite().all()


@pytest.mark.parametrize("variant", ["time", "released"])
@pytest.mark.parametrize("channels", [8, 6, 3], ids=["even", "overlapping", "fewer_than_frames"])
def test_the_time_gate(variant: Variant, channels: int) -> None:
    module = stirred(TimeGate(4, variant))
    maps = drawn(2, channels, 4, 3, 5)
    expected = [reference_frames(clip, numbers(module), variant) for clip in maps.numpy()]
    assert np.allclose(module(maps).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("variant", ["time", "released"])
def test_the_fusion(variant: Variant) -> None:
    module = stirred(DistributionalAttention(3, variant))
    p = numbers(module)
    maps = drawn(2, 5, 3, 4, 6)
    for clip, fused in zip(maps.numpy(), module(maps).detach().numpy(), strict=True):
        frames = reference_frames(clip, numbers(module.time), variant)  # type: ignore[arg-type]
        places = reference_places(clip, numbers(module.frequency))  # type: ignore[arg-type]
        in_time = clip * frames[:, None, None] + clip
        in_space = clip * places + clip
        expected = (p["time_weight"] * in_time + p["frequency_weight"] * in_space) / 2
        assert np.allclose(fused, expected, atol=1e-6)


def test_dam_starts_with_the_published_constants() -> None:
    """.8 for time and .3 for frequency: with gates at 1/2 the maps are scaled by .825."""
    module = DistributionalAttention(4).double()
    for part in (module.frequency.mix.weight, module.time.value.weight, module.time.value.bias):
        torch.nn.init.zeros_(part)
    maps = drawn(1, 4, 4, 5, 5)
    assert torch.allclose(module(maps), 0.825 * maps)
    p = numbers(module)
    for name, value in {
        "frequency.noise_scale": 1.0,
        "frequency.spread_scale": 0.0,
        "frequency.plain_weight": 0.5,
        "frequency.perturbed_weight": 0.5,
        "frequency.slope": 0.5,
        "time.mean_weight": 0.5,
        "time.max_weight": 0.5,
        "time.statistics_scale": 1.0,
        "time.spread_scale": 0.0,
    }.items():
        assert (p[name] == value).all(), name
    assert 0.05 < p["frequency.noise"].std() < 0.15


@pytest.mark.parametrize("count", [2, 4, 8])
def test_a_still_clip_has_the_same_time_gate_at_any_length(count: int) -> None:
    """Resized maps keep their values; resized linear layers keep the sum over their inputs."""
    module = TimeGate(4).double()
    for layer, value in ((module.over_time, 0.3), (module.query, 0.2), (module.value, 0.1)):
        torch.nn.init.constant_(layer.weight, value)
    torch.nn.init.constant_(module.value.bias, -0.2)
    still = torch.full((1, 8, count, 3, 3), 0.7, dtype=torch.float64)
    expected = sigmoid(np.array(4 * 0.1 * 4 * 0.3 * sigmoid(np.array(0.7)) - 0.2))
    assert np.allclose(module(still).detach().numpy(), expected, atol=1e-12)


PERTURBATION = ("frequency.noise", "frequency.noise_scale", "frequency.spread_scale")


@pytest.mark.parametrize("variant", ["time", "released"])
@pytest.mark.parametrize("perturbation", ["descent", "ascent"])
def test_gradients_of_dam_are_those_of_finite_differences(
    variant: Variant, perturbation: str
) -> None:
    """Under "ascent" those of the perturbation's three parameters have the other sign."""
    module = stirred(DistributionalAttention(3, variant, perturbation))  # type: ignore[arg-type]
    maps, weights = drawn(2, 4, 3, 4, 4), drawn(2, 4, 3, 4, 4, seed=3)
    values = {name: value.detach() for name, value in module.named_parameters()} | {"maps": maps}

    def loss(changed: Mapping[str, Tensor]) -> Tensor:
        state = {name: value for name, value in changed.items() if name != "maps"}
        return (functional_call(module, state, changed["maps"]) * weights).sum()

    leaves = {name: value.clone().requires_grad_() for name, value in values.items()}
    gradients = torch.autograd.grad(loss(leaves), list(leaves.values()))
    for name, gradient in zip(leaves, gradients, strict=True):
        turned = perturbation == "ascent" and name in PERTURBATION
        direction = drawn(*gradient.shape, seed=4)
        up, down = (
            loss(values | {name: values[name] + step * direction}).item() for step in (1e-6, -1e-6)
        )
        slope = (gradient * direction).sum().item() * (-1 if turned else 1)
        assert slope == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-7), name


def test_x3d_hands_each_stage_to_its_attachment() -> None:
    """Behind stages 1 to 4: 24, 48, 96, 192 channels at 1/4 ... 1/32 of the side, all frames."""
    seen: list[tuple[int, ...]] = []

    class Recorder(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.channels = channels

        def forward(self, maps: Tensor) -> Tensor:
            seen.append((self.channels, *maps.shape[1:]))
            return maps

    X3D(2, Recorder).eval().features(torch.rand(1, 3, 5, 64, 96))
    assert seen == [
        (channels, channels, 5, 64 // part, 96 // part)
        for channels, part in ((24, 4), (48, 8), (96, 16), (192, 32))
    ]


# DSM

LABELS = {
    "lone_anchor": [0, 0, 1, 1, 2],
    "one_class": [3, 3, 3, 3],
    "no_positives": [0, 1, 2],
    "pair": [1, 1],
    "batch_of_one": [0],
}


def units(labels: list[int]) -> np.ndarray:
    features = drawn(len(labels), 3).numpy()
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def positives(labels: list[int], i: int) -> list[int]:
    return [p for p, label in enumerate(labels) if label == labels[i] and p != i]


def reference_contrastive(z: np.ndarray, labels: list[int], tau: float, eta: float) -> float:
    s, terms = z @ z.T, []
    for i in range(len(z)):
        others = sum(
            exp(-((s[i, a] - eta) ** 2) / (2 * eta**2)) * exp(s[i, a] / tau)
            for a in range(len(z))
            if a != i
        )
        if found := positives(labels, i):
            terms.append(-sum(log(exp(s[i, p] / tau) / others) for p in found) / len(found))
    return sum(terms) / len(terms) if terms else 0.0


def reference_released(z: np.ndarray, labels: list[int], tau: float, eta: float) -> float:
    logits = z @ z.T / tau
    logits = logits - logits.max(1, keepdims=True)
    w = np.exp(-((logits - eta) ** 2) / (2 * eta**2))
    w = w / w.sum(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    pairs = [(i, p) for i in range(len(z)) for p in positives(labels, i)]
    return -sum(w[pair] * log_p[pair] for pair in pairs) / max(1, len(pairs))


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize(("tau", "eta"), [(0.07, 0.2), (0.5, 0.6)])
def test_the_contrastive_terms(labels: list[int], tau: float, eta: float) -> None:
    config = ScalingConfig(temperature=tau, eta=eta)
    z, y = units(labels), torch.tensor(labels)
    for term, reference in (
        (contrastive, reference_contrastive),
        (released_contrastive, reference_released),
    ):
        leaf = torch.tensor(z, requires_grad=True)
        loss = term(leaf, y, config)
        assert loss.item() == pytest.approx(reference(z, labels, tau, eta), rel=1e-9, abs=1e-12)
        loss.backward()
        assert leaf.grad is not None and leaf.grad.isfinite().all()


@pytest.mark.parametrize("cosine", [0.2, 0.3, 0.1, 0.97, -1.0])
def test_the_weight_of_a_pair_peaks_at_eta(cosine: float) -> None:
    """Two samples of a class: the exponentials cancel, and what is left is log w_01."""
    pair = torch.tensor([[1.0, 0.0], [cosine, sqrt(1 - cosine**2)]], dtype=torch.float64)
    loss = contrastive(pair, torch.tensor([0, 0]), ScalingConfig(eta=0.2))
    assert loss.item() == pytest.approx(-((cosine - 0.2) ** 2) / 0.08, abs=1e-9)


def test_the_released_weights_leave_only_the_sample_itself() -> None:
    """Weight .61 of a sample with itself, .007 at cosine .97, 4e-15 at .90: the loss vanishes."""
    losses = []
    for cosine, weight in ((0.97, 0.00715), (0.90, 4.0e-15)):
        pair = torch.tensor([[1.0, 0.0], [cosine, sqrt(1 - cosine**2)]], dtype=torch.float64)
        losses.append(released_contrastive(pair, torch.tensor([0, 0]), ScalingConfig()).item())
        logit = (cosine - 1) / 0.07
        expected = weight / (exp(-0.5) + weight) * (log(1 + exp(logit)) - logit)
        assert losses[-1] == pytest.approx(expected, rel=0.02)
    assert losses[0] > 1e-3 and losses[1] < 1e-13


@pytest.mark.parametrize("count", [1, 2, 6])
def test_the_bottleneck_is_the_trace_of_the_covariance(count: int) -> None:
    z = units([0] * count)
    expected = np.trace(np.cov(z.T)) if count > 1 else 0.0
    assert total_variance(torch.tensor(z)).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_the_whole_loss_and_its_gradient(sign: float, released: bool, labels: list[int]) -> None:
    config = ScalingConfig(bottleneck=0.7, bottleneck_sign=sign, released=released)
    features = 5 * drawn(len(labels), 3)
    y, entropy = torch.tensor(labels), drawn(1)[0]
    z = (features / features.norm(dim=1, keepdim=True)).numpy()
    contrast = (reference_released if released else reference_contrastive)(z, labels, 0.07, 0.2)
    trace = np.trace(np.cov(z.T)) if len(z) > 1 else 0.0
    expected = 3.0 * entropy.item() + 0.4 * (contrast + sign * 0.7 * trace)

    def loss(entropy: Tensor, features: Tensor) -> Tensor:
        return scaled_loss(entropy, features, y, Balance(3.0, 0.4), config)

    assert loss(entropy, features).item() == pytest.approx(expected, rel=1e-9)
    inputs = (entropy.requires_grad_(), features.requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("norm", [0.0, 0.25, 1.0, 9.0, 1e12])
def test_steep_losses_favour_cross_entropy_and_calm_ones_the_contrast(norm: float) -> None:
    config = ScalingConfig(alpha=4.0, beta=0.3)
    entropy, contrast = balance(norm, config)
    assert entropy == pytest.approx(norm / (norm + 1) * 4.0)
    assert contrast == pytest.approx(1 / (norm + 1) * 0.3, rel=1e-3)
    assert start(config) == (4.0, 0.3)


class Linear(nn.Module):
    """A network small enough to differentiate by hand."""

    def __init__(self, num_classes: int, frames: int) -> None:
        super().__init__()
        self.project, self.classify = nn.Linear(3, 4), nn.Linear(4, num_classes)

    def features(self, clips: Tensor) -> Tensor:
        projected: Tensor = self.project(clips.mean((2, 3, 4)))
        return projected

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.features(clips))
        return logits


@pytest.mark.parametrize("sam", [0.05, 0.0], ids=["sam", "plain"])
def test_the_balance_follows_the_gradient_of_the_pass_before(
    sam: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SAM the first pass sets the weights of the second, and of the next step's first."""
    monkeypatch.setitem(NETWORKS, "linear", Linear)
    used: list[Balance] = []
    norms: list[float] = []

    def spied(*arguments: object) -> Tensor:
        loss = scaled_loss(*arguments)  # type: ignore[arg-type]
        leaves = list(classifier.parameters())
        gradients = torch.autograd.grad(loss, leaves, retain_graph=True)
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        used.append(arguments[3])  # type: ignore[arg-type]
        return loss

    monkeypatch.setattr("baselines.clips.classifier.scaled_loss", spied)
    torch.manual_seed(0)
    classifier = ClipClassifier("linear", ("a", "b"), frames=2, size=4)
    clips, labels = torch.rand(6, 3, 2, 4, 4), torch.tensor([0, 0, 0, 1, 1, 1])
    config = ClipTrainConfig(steps=9, scaling=ScalingConfig(), sam=sam)
    trainer = ClipTrainer(classifier, config, (clips.mul(255).byte(), labels))
    for _ in range(2):
        trainer.step(clips, labels)
    sources = [0, 0, 2] if sam else [0]
    assert used[0] == (10.0, 0.1)
    for weights, source in zip(used[1:], sources, strict=True):
        norm = norms[source]
        assert weights == pytest.approx((10 * norm / (norm + 1), 0.1 / (norm + 1)), rel=1e-4)
    assert len({round(weights.cross_entropy, 4) for weights in used}) == (3 if sam else 2)


# SAM


@pytest.mark.parametrize("scale", [1.0, 0.0], ids=["slope", "flat"])
def test_sam_moves_all_weights_along_one_normalised_gradient(scale: float) -> None:
    """rho g / |g| over all groups together; a flat loss and a weight outside it stay."""
    values = [drawn(3), drawn(2, 2, seed=5), drawn(2, seed=6)]
    weights = [nn.Parameter(value.clone()) for value in values]
    groups: list[dict[str, object]] = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.02}]
    sam = SharpnessAware(torch.optim.SGD(groups, lr=0.1), rho=0.3)

    def loss() -> Tensor:
        return scale * ((weights[0] ** 3).sum() + (weights[1] ** 2).sum())

    def gradients(at: list[np.ndarray]) -> list[np.ndarray]:
        return [scale * 3 * at[0] ** 2, scale * 2 * at[1]]

    before = [value.numpy() for value in values[:2]]
    first = gradients(before)
    norm = sqrt(sum((g**2).sum() for g in first))
    near = [w + 0.3 * g / max(norm, 1e-12) for w, g in zip(before, first, strict=True)]
    loss().backward()
    assert sam.ascend() == pytest.approx(norm)
    for weight, expected in zip(weights, [*near, values[2].numpy()], strict=True):
        assert np.allclose(weight.detach().numpy(), expected, atol=1e-12)
    loss().backward()
    sam.descend()
    second = gradients(near)
    after = [before[0] - 0.1 * second[0], before[1] - 0.02 * second[1], values[2].numpy()]
    for weight, expected in zip(weights, after, strict=True):
        assert np.allclose(weight.detach().numpy(), expected, atol=1e-12)


# M3DFEL


def test_instance_normalisation_mixes_the_statistics_of_the_feature_and_of_the_bag() -> None:
    module = stirred(InstanceNormalisation(5))
    p, bags = numbers(module), drawn(2, 4, 5)

    def mixed(weights: np.ndarray, first: np.ndarray, second: float) -> np.ndarray:
        shares = np.exp(weights) / np.exp(weights).sum()
        return shares[0] * first + shares[1] * second

    for bag, normalised in zip(bags.numpy(), module(bags).detach().numpy(), strict=True):
        mean = mixed(p["mean_mix"], bag.mean(0), bag.mean())
        variance = mixed(p["variance_mix"], bag.var(0), bag.var())
        expected = (bag - mean) / np.sqrt(variance + 1e-5) * p["gain"] + p["offset"]
        assert np.allclose(normalised, expected, atol=1e-12)
    assert torch.autograd.gradcheck(module, bags.requires_grad_())
