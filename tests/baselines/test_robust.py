from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import FaceClassifier
from baselines.train import (
    AUGMENTATIONS,
    AdversarialTraining,
    BaselineTrainConfig,
    BaselineTrainer,
    Schedule,
    _beta,
    _pasted,
    augmented,
)
from bench.classifiers.kinds import trained_with
from bench.classifiers.kinds.baseline import BaselineClassifier
from bench.training.loop import Batches

EPS = 8 / 255


class Linear(nn.Module):
    """Logits (0, w . x + b): every inner maximum is known."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 48).roll(5))
        self.bias = nn.Parameter(torch.tensor(0.1))

    def forward(self, images: Tensor) -> Tensor:
        score = images.flatten(1) @ self.weight + self.bias
        return torch.stack([torch.zeros_like(score), score], dim=1)


def pictures(count: int = 6) -> tuple[Tensor, Tensor]:
    """Away from 0 and 1, so that the ball is whole."""
    draws = torch.Generator().manual_seed(3)
    return 0.2 + 0.6 * torch.rand(count, 3, 4, 4, generator=draws), torch.arange(count) % 2


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_pgd_finds_a_linear_models_worst_point() -> None:
    model, (images, labels) = Linear(), pictures()
    found = AdversarialTraining("pgd", EPS, steps=10).attacked(model, images, labels, draws())
    away = (1 - 2 * labels)[:, None] * model.weight.detach().sign()  # lowers the true class's score
    worst = images + EPS * away.view_as(images)
    assert torch.allclose(found, worst, atol=1e-6)


def test_pgd_at_is_the_cross_entropy_there() -> None:
    model, (images, labels) = Linear(), pictures()
    loss = AdversarialTraining("pgd", EPS, steps=10).loss(model, images, labels, 0.0, draws())
    margin = (2 * labels - 1) * (model(images)[:, 1]) - EPS * model.weight.abs().sum()
    assert torch.isclose(loss, F.softplus(-margin).mean(), atol=1e-5)


def test_trades_adds_the_divergence_of_the_farthest_answer() -> None:
    model, (images, labels) = Linear(), pictures()
    loss = AdversarialTraining("trades", EPS, steps=10, beta=3.0).loss(
        model, images, labels, 0.0, draws()
    )
    score, reach = model(images)[:, 1].detach(), EPS * model.weight.detach().abs().sum()
    p = torch.sigmoid(score)

    def divergence(moved: Tensor) -> Tensor:
        q = torch.sigmoid(moved)
        return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()

    farthest = torch.maximum(divergence(score + reach), divergence(score - reach))
    entropy = F.cross_entropy(model(images), labels)
    # A step from the picture may climb the lower of the two sides.
    lower = torch.minimum(divergence(score + reach), divergence(score - reach))
    assert entropy + 3 * lower.mean() - 1e-5 <= loss <= entropy + 3 * farthest.mean() + 1e-5


@pytest.mark.parametrize("method", ["pgd", "trades"])
def test_an_attack_stays_in_its_ball_and_leaves_the_mode(method: str) -> None:
    model = FaceClassifier("test_resnet", ("neutral", "happiness")).train()
    images = torch.rand(4, 3, 64, 64)
    found = AdversarialTraining(method, EPS, steps=3).attacked(  # type: ignore[arg-type]
        model, images, torch.zeros(4, dtype=torch.int64), draws()
    )
    assert model.training
    assert (found - images).abs().max() <= EPS + 1e-6
    assert found.min() >= 0 and found.max() <= 1 and not torch.equal(found, images)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_half_of_the_pictures_are_augmented(name: str) -> None:
    torch.manual_seed(0)
    images = 0.2 + 0.6 * torch.rand(64, 3, 16, 16)
    changed = augmented(images, [name])
    moved = (changed - images).flatten(1).abs().amax(dim=1) > 0.01
    assert changed.shape == images.shape and changed.min() >= 0 and changed.max() <= 1
    assert 12 <= int(moved.sum()) <= 45


def test_augmented_batches_are_a_function_of_seed_and_step() -> None:
    images = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8)
    made = [
        Batches(images, torch.arange(20) % 2, 8, 5, augment=lambda b: augmented(b, ["noise"]))
        for _ in range(2)
    ]
    made[0](3)
    torch.rand(7)  # whatever else draws
    assert torch.equal(made[0](4)[0], made[1](4)[0])
    assert not torch.equal(made[0](4)[0], made[0](5)[0])


def _plain(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ({}, _plain),
        ({"ema": 0.9}, _plain),
        ({"cutmix": 1e-6}, _plain),  # all of a picture is its own, or another's
        ({"mixup": 1e-6}, _plain),  # Beta(0, 0) is 0 or 1: nothing is mixed, only reordered
        ({"adversarial": AdversarialTraining("pgd", 1e-7, steps=1)}, _plain),
        ({"adversarial": AdversarialTraining("trades", 1e-7, steps=1)}, _plain),
    ],
)
def test_each_option_contains_plain_training(
    options: dict[str, object], loss: Callable[..., Tensor]
) -> None:
    model, (images, labels) = Linear(), pictures()
    expected = loss(model, images, labels).item()
    config = BaselineTrainConfig(steps=5, label_smoothing=0.0, **options)  # type: ignore[arg-type]
    trainer = BaselineTrainer(model, config, ((images * 255).byte(), labels))
    assert trainer.step(images, labels)["loss"] == pytest.approx(expected, abs=1e-4)


def test_mixup_mixes_pictures_and_labels_by_the_same_share() -> None:
    """A linear model's logits of mixed pictures are its mixed logits, and so the loss is known."""
    model, (images, labels) = Linear(), pictures()
    draws = torch.Generator().manual_seed(0)
    order, share = torch.randperm(6, generator=draws), _beta(0.4, draws)
    assert 0.02 < share < 0.98 and not torch.equal(labels[order], labels)
    scores = model(images)[:, 1].detach()
    mixed = share * scores + (1 - share) * scores[order]
    own, other = (F.softplus(-(2 * names - 1) * mixed).mean() for names in (labels, labels[order]))
    config = BaselineTrainConfig(steps=5, label_smoothing=0.0, mixup=0.4, seed=0)
    trainer = BaselineTrainer(model, config, ((images * 255).byte(), labels))
    told = trainer.step(images, labels)["loss"]
    assert told == pytest.approx((share * own + (1 - share) * other).item(), abs=1e-5)
    assert abs(told - own.item()) > 1e-3  # the labels are mixed, too


def test_cutmix_pastes_a_rectangle_and_shares_by_its_area() -> None:
    images = torch.zeros(3, 3, 20, 30)
    shares = set()
    for seed in range(40):
        draws = torch.Generator().manual_seed(seed)
        mixed, share = _pasted(images, images + 1, 1.0, draws)
        assert share == pytest.approx(1 - mixed.mean().item(), abs=1e-6)
        [rows], [columns] = (mixed[0, 0].amax(dim=d).nonzero(as_tuple=True) for d in (1, 0))
        filled = (
            mixed[..., rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            if (len(rows))
            else torch.ones(1)
        )
        assert bool((filled == 1).all())
        shares.add(round(share, 3))
    assert len(shares) > 20 and min(shares) < 0.4 and max(shares) > 0.9


def test_averaged_weights_are_the_exponential_average_and_are_kept() -> None:
    model, (images, labels) = Linear(), pictures()
    config = BaselineTrainConfig(steps=4, learning_rate=0.1, validate_every=4, ema=0.75)
    trainer = BaselineTrainer(model, config, ((images * 255).byte(), labels))
    trained = []
    for _ in range(4):
        trainer.step(images, labels)
        trained.append(model.weight.detach().clone())
    expected = trained[0]
    for own in trained[1:]:
        expected = 0.75 * expected + 0.25 * own
    assert torch.allclose(trainer.best().weight, expected, atol=1e-6)
    assert not torch.allclose(trained[-1], expected, atol=1e-3)


def test_averages_leave_indices_as_they_are() -> None:
    model, (images, labels) = Linear(), pictures()
    model.register_buffer("index", torch.arange(3000), persistent=False)
    config = BaselineTrainConfig(steps=3, validate_every=3, ema=0.9)
    trainer = BaselineTrainer(model, config, ((images * 255).byte(), labels))
    for _ in range(3):
        trainer.step(images, labels)
    assert torch.equal(trainer._judged.get_buffer("index"), torch.arange(3000))


def test_rates_fall_by_schedule_and_from_layer_to_layer() -> None:
    schedules: tuple[Schedule, ...] = ("constant", "linear", "cosine")
    rates = {
        name: [
            BaselineTrainConfig(steps=10, warmup=0.2, learning_rate=1, schedule=name).rate(step)
            for step in (0, 1, 5, 9)
        ]
        for name in schedules
    }
    assert rates["constant"] == [0.5, 1, 1, 1]
    assert rates["linear"] == pytest.approx([0.5, 0.9, 0.5, 0.1])
    assert rates["cosine"] == pytest.approx([0.5, 0.97553, 0.5, 0.02447], abs=1e-5)
    network = FaceClassifier("test_resnet", ("neutral", "happiness"))
    config = BaselineTrainConfig(steps=4, learning_rate=0.01, warmup=0, layer_decay=0.5)
    images, labels = torch.rand(4, 3, 64, 64), torch.arange(4) % 2
    trainer = BaselineTrainer(network, config, ((images * 255).byte(), labels))
    trainer.step(images, labels)
    groups = trainer._optimizer.param_groups
    of = {id(p): group for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert of[id(network.network.fc.weight)]["lr"] == pytest.approx(0.01)
    scales = sorted({group["lr_scale"] for group in groups})
    assert of[id(network.network.conv1[0].weight)]["lr"] == pytest.approx(0.01 * scales[0])
    assert len(scales) > 2 and scales == pytest.approx([0.5**k for k in range(len(scales))][::-1])
    assert of[id(network.network.fc.bias)]["weight_decay"] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"adversarial": AdversarialTraining("pgd", EPS, steps=2)},
        {"adversarial": AdversarialTraining("trades", EPS, steps=2)},
        {"mixup": 0.4},
        {"mixup": 0.4, "cutmix": 1.0, "ema": 0.9, "layer_decay": 0.7},
        {"sam": 0.05},
    ],
)
def test_a_restored_trainer_continues_exactly(options: dict[str, object]) -> None:
    images, labels = torch.rand(8, 3, 64, 64), torch.arange(8) % 2

    def trainer() -> BaselineTrainer[FaceClassifier]:
        torch.manual_seed(0)
        config = BaselineTrainConfig(steps=4, validate_every=2, **options)  # type: ignore[arg-type]
        network = FaceClassifier("test_resnet", ("neutral", "happiness"))
        return BaselineTrainer(network, config, ((images * 255).byte(), labels))

    undisturbed, killed, resumed = trainer(), trainer(), trainer()
    for _ in range(4):
        undisturbed.step(images, labels)
    for _ in range(2):
        killed.step(images, labels)
    resumed.load_state_dict(killed.state_dict())
    for _ in range(2):
        resumed.step(images, labels)
    assert resumed.best_accuracy == undisturbed.best_accuracy
    for given in ("classifier", "best"):
        expected, found = (trained.state_dict()[given] for trained in (undisturbed, resumed))
        for name, value in expected.items():
            assert torch.equal(value, found[name]), name


def test_adversarial_training_makes_a_toy_robust() -> None:
    """Of two features that tell the class, the faint one is within reach of the attack."""
    labels = torch.arange(64) % 2
    sign = (2 * labels - 1).float()[:, None]
    images = torch.full((64, 3, 4, 4), 0.5)
    noise = torch.randn(64, generator=draws()).mul(0.15)
    images[:, 0, 0, 0] += (0.15 * sign[:, 0] + noise).clamp(-0.4, 0.4)  # strong, and noisy
    images[:, 1:] += 0.02 * sign[:, :, None, None]  # faint, and certain
    kept = {}
    for name, adversarial in (("plain", None), ("pgd", AdversarialTraining("pgd", 0.04, steps=5))):
        torch.manual_seed(0)
        config = BaselineTrainConfig(
            steps=150, learning_rate=0.05, validate_every=150, adversarial=adversarial
        )
        trainer = BaselineTrainer(Linear(), config, ((images * 255).round().byte(), labels))
        for _ in range(150):
            trainer.step(images, labels)
        kept[name] = trainer.validation_accuracy(AdversarialTraining("pgd", 0.04, steps=10))
    assert kept["plain"] < 0.2 and kept["pgd"] > 0.6, kept


def test_a_recipe_names_an_option_only_where_it_is_used() -> None:
    plain = BaselineClassifier(kind="baseline", architecture="resnet18")
    assert plain.recipes({}) == [
        {
            "kind": "baseline",
            "architecture": "resnet18",
            "steps": 625,
            "learning_rate": 1e-3,
            "batch_size": 64,
        }
    ]
    noisy = plain.model_copy(update={"augmentation": ("noise", "erasing")})
    (recipe,) = noisy.recipes({})
    assert recipe["augmentation"] == ("noise", "erasing")
    assert {"noise", "erasing", "shift"} <= set(trained_with(recipe))
    assert "noise" not in trained_with(plain.recipes({})[0])
