"""Clip networks: shapes, published weights, what each reading of the paper changes, resuming."""

from pathlib import Path

import pytest
import torch
from torch import nn

from baselines.clips import NETWORKS, ClipClassifier, DistributionalAttention
from baselines.clips.classifier import ClipCheckpointError, ClipTrainConfig, ClipTrainer, load, save
from baselines.clips.hdf import ScalingConfig, dct_basis
from baselines.clips.x3d import X3D, load_kinetics
from baselines.train import SharpnessAware, frozen_statistics

CLASSES = ("onset", "offset")


def moving(count: int, frames: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips whose class is the direction in which the light changes: no single frame shows it."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    ramp = torch.linspace(0, 100, frames)
    light = torch.stack([ramp if label else ramp.flip(0) for label in labels])
    noise = torch.randint(0, 100, (count, 3, frames, 32, 32), generator=generator)
    return (noise + light[:, None, :, None, None]).to(torch.uint8), labels


@pytest.mark.parametrize(
    ("architecture", "options"),
    [*((name, {}) for name in NETWORKS), ("x3d", {"dam": {}}), ("x3d", {"width": 0.25})],
    ids=str,
)
def test_any_size_in_logits_out_differentiable(
    architecture: str, options: dict[str, object]
) -> None:
    torch.manual_seed(0)
    classifier = ClipClassifier(architecture, CLASSES, frames=8, size=48, **options).eval()
    clips = torch.rand(2, 3, 8, 50, 40, requires_grad=True)
    logits = classifier(clips)
    assert logits.shape == (2, 2)
    assert torch.allclose(classifier.logits_and_features(clips)[0], logits, atol=1e-6)
    logits.sum().backward()
    assert clips.grad is not None and clips.grad.abs().max() > 0


@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_checkpoint_gives_the_same_logits(architecture: str, tmp_path: Path) -> None:
    options = {"width": 0.25, "depth": 0.2, "dam": {"variant": "released"}}
    given = options if architecture == "x3d" else {}
    torch.manual_seed(0)
    classifier = ClipClassifier(architecture, CLASSES, frames=4, size=32, **given).eval()
    save(classifier, tmp_path)
    again = load(tmp_path)
    clips = torch.rand(1, 3, 4, 40, 40)
    assert torch.equal(again(clips), classifier(clips))
    assert (again.classes, again.frames, again.size) == (CLASSES, 4, 32)
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ClipCheckpointError, match="no readable network of clips"):
        load(tmp_path)


def test_a_narrow_shallow_x3d_is_small() -> None:
    def size(**options: float) -> int:
        return sum(weight.numel() for weight in X3D(7, **options).parameters())

    assert size(width=0.5) < 0.4 * size() and size(depth=0.2) < 0.6 * size()
    assert len(X3D(7, depth=0.3).stages[2]) == 4  # 11 blocks, rounded up


def test_x3d_has_the_published_size_and_reads_the_published_names() -> None:
    """3.79 M weights at 400 classes; the names are PyTorchVideo's."""
    torch.manual_seed(0)
    network = X3D(400)
    assert sum(weight.numel() for weight in network.parameters()) == 3_794_274
    published = {public_name(name): weight for name, weight in network.state_dict().items()}
    assert "blocks.3.res_blocks.10.branch2.norm_b.1.block.0.weight" in published
    loaded = X3D(400)
    load_kinetics(loaded, published)
    for name, weight in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    with pytest.raises(ValueError, match="not X3D's published weights"):
        load_kinetics(X3D(400), published | {"blocks.9.surplus.weight": torch.zeros(1)})
    del published["blocks.0.norm.weight"]
    with pytest.raises(ValueError, match="stem_norm"):
        load_kinetics(X3D(400), published)


def public_name(own: str) -> str:
    """PyTorchVideo's name of one of our weights."""
    from baselines.clips.x3d import _ENDS, _PARTS

    if own.startswith("stages."):
        _, stage, block, rest = own.split(".", 3)
        module, kind = rest.rsplit(".", 1)
        part = {ours: theirs for theirs, ours in _PARTS.items()}[module]
        return f"blocks.{int(stage) + 1}.res_blocks.{block}.{part}.{kind}"
    module, kind = own.rsplit(".", 1)
    return f"{ {ours: theirs for theirs, ours in _ENDS.items()}[module] }.{kind}"


@pytest.mark.parametrize("frames", [1, 5, 16])
@pytest.mark.parametrize("side", [1, 2, 4, 9])
def test_dam_takes_any_length_and_size(frames: int, side: int) -> None:
    torch.manual_seed(0)
    module = DistributionalAttention(frames=8)
    maps = torch.randn(2, 6, frames, side, side)
    assert module(maps).shape == maps.shape
    assert module(maps).isfinite().all()


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_kernels_are_cut_without_changing_the_result(side: int) -> None:
    """On a small map only the middle of a 7x7 kernel meets pixels; the rest multiplied zeros."""
    from baselines.clips.hdf import _convolve

    maps = torch.randn(2, 1, side, side, dtype=torch.float64)
    kernels = dct_basis().double()
    whole = torch.nn.functional.conv2d(maps, kernels, padding=3)
    assert torch.allclose(_convolve(maps, kernels), whole, atol=1e-12)


def test_identity_init_begins_as_the_identity_and_learns() -> None:
    torch.manual_seed(0)
    module = DistributionalAttention(frames=4, identity_init=True)
    maps = torch.randn(2, 6, 4, 5, 5)
    assert torch.equal(module(maps), maps)
    (module(maps) ** 3).sum().backward()
    assert module.share is not None and module.share.grad is not None
    assert module.share.grad.abs() > 0


def test_the_released_variant_takes_differences_over_channel_bins() -> None:
    """Frames that are all equal have no change over time, but their channels differ."""
    torch.manual_seed(0)
    ours = DistributionalAttention(frames=4)
    released = DistributionalAttention(frames=4, variant="released")
    released.load_state_dict(ours.state_dict())
    still = torch.randn(1, 8, 1, 5, 5).expand(-1, -1, 4, -1, -1)
    assert not torch.allclose(ours(still), released(still))
    flat = torch.ones(1, 8, 4, 5, 5) * torch.arange(4.0)[:, None, None]
    assert not torch.allclose(ours(flat), released(flat))


def test_ascent_turns_the_gradient_of_the_perturbation_alone() -> None:
    torch.manual_seed(0)
    down = DistributionalAttention(frames=4)
    up = DistributionalAttention(frames=4, perturbation="ascent")
    up.load_state_dict(down.state_dict())
    maps = torch.randn(2, 6, 4, 5, 5)
    for module in (down, up):
        (module(maps) ** 2).sum().backward()
    assert torch.allclose(up.frequency.noise.grad, -down.frequency.noise.grad)  # type: ignore[operator, arg-type]
    assert down.frequency.noise.grad.abs().max() > 0  # type: ignore[union-attr]
    assert torch.allclose(up.frequency.gain.grad, down.frequency.gain.grad)  # type: ignore[arg-type]


def test_unknown_choices_are_named() -> None:
    with pytest.raises(ValueError, match="'sideways' is none of descent, ascent"):
        DistributionalAttention(4, perturbation="sideways")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none of x3d, r3d_18"):
        ClipClassifier("x4d", CLASSES)


def trainer(**choices: object) -> ClipTrainer:
    torch.manual_seed(0)
    classifier = ClipClassifier("x3d", CLASSES, frames=4, size=32, width=0.25, depth=0.2, dam={})
    config = ClipTrainConfig(steps=4, validate_every=2, **choices)  # type: ignore[arg-type]
    return ClipTrainer(classifier, config, moving(8))


def run(subject: ClipTrainer, until: int) -> None:
    clips, labels = moving(8)
    while subject.position < until:
        torch.manual_seed(subject.position)  # dropout
        subject.step(clips.float() / 255, labels)


@pytest.mark.parametrize(
    "choices",
    [{}, {"sam": 0.05}, {"scaling": ScalingConfig()}, {"scaling": ScalingConfig(), "sam": 0.05}],
    ids=["plain", "sam", "dsm", "hdf"],
)
def test_a_restored_trainer_continues_exactly(choices: dict[str, object]) -> None:
    undisturbed = trainer(**choices)
    run(undisturbed, 4)
    killed = trainer(**choices)
    run(killed, 2)
    resumed = trainer(**choices)
    resumed.load_state_dict(killed.state_dict())
    run(resumed, 4)
    for name, value in undisturbed.classifier.state_dict().items():
        assert torch.equal(value, resumed.classifier.state_dict()[name]), name


def test_sam_steps_from_the_first_weights_with_the_gradient_of_the_second() -> None:
    """On w^2 / 2 with plain descent: w - rate * (w + rho)."""
    weight = nn.Parameter(torch.tensor([3.0]))
    sam = SharpnessAware(torch.optim.SGD([weight], lr=0.1), rho=0.5)
    (weight**2 / 2).sum().backward()
    assert sam.ascend() == 3.0
    assert weight.item() == pytest.approx(3.5)
    (weight**2 / 2).sum().backward()
    sam.descend()
    assert weight.item() == pytest.approx(3.0 - 0.1 * 3.5)
    with pytest.raises(RuntimeError, match="needs an ascend"):
        sam.descend()


def test_the_second_pass_leaves_batchnorm_statistics() -> None:
    norm = nn.BatchNorm1d(2)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with frozen_statistics(norm):
        normalised = norm(torch.randn(8, 2) + 5)
    assert normalised.mean().abs() < 1e-5  # by the batch, as in training
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name]), name
    norm(torch.randn(8, 2) + 5)
    assert norm.running_mean is not None and norm.running_mean.abs().min() > 0.1
