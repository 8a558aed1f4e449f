import torch

from emodc import EmoDC
from emodc.diffusion.denoiser import Denoiser
from emodc.training.objectives import AMDiT
from emodc.training.trainer import EmoDCTrainer, TrainConfig

LABELS = torch.arange(24) % 3


def run(trainer: EmoDCTrainer, images: torch.Tensor, until: int) -> list[dict[str, float]]:
    figures = []
    while trainer.position < until:
        rows = torch.arange(trainer.position, trainer.position + 8) % 24
        figures.append(trainer.step(images[rows].float() / 255, LABELS[rows]))
    return figures


def fresh(model: EmoDC, **config: object) -> EmoDCTrainer:
    import copy

    denoiser: Denoiser = copy.deepcopy(model.denoiser)
    settings = {"steps": 12, "precision": "float32", "warmup": 2} | config
    return EmoDCTrainer(denoiser, model.prompts, TrainConfig(**settings))


def test_training_lowers_the_error(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    trainer = fresh(tiny_emodc, steps=40, learning_rate=5e-3)
    figures = run(trainer, images, 40)
    first, last = (sum(f["d_p"] for f in part) for part in (figures[:8], figures[-8:]))
    assert last < 0.9 * first


def test_amdit_opens_a_gap_that_base_does_not(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    tinted = images // 3
    tinted[torch.arange(24), LABELS] += 150  # the class is the colour
    gaps = {}
    for name, config in {"base": {}, "amdit": {"objective": AMDiT(weight=20.0)}}.items():
        trainer = fresh(tiny_emodc, steps=150, learning_rate=1e-2, **config)
        figures = run(trainer, tinted, 150)[-10:]
        gaps[name] = sum((f["d_n"] - f["d_p"]) / f["d_p"] for f in figures) / len(figures)
    assert gaps["amdit"] > gaps["base"] + 0.05


def test_a_restored_trainer_continues_exactly(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    undisturbed = fresh(tiny_emodc)
    run(undisturbed, images, 12)
    killed = fresh(tiny_emodc)
    run(killed, images, 5)
    state = killed.state_dict()
    resumed = fresh(tiny_emodc)
    resumed.load_state_dict(state)
    run(resumed, images, 12)
    left, right = undisturbed.finish().state_dict(), resumed.finish().state_dict()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def test_the_rate_warms_up_and_falls_to_nearly_zero() -> None:
    config = TrainConfig(steps=100, learning_rate=1.0, warmup=10, decay=0.5)
    assert config.rate(0) == 0.1
    assert config.rate(30) == 1.0
    assert config.rate(75) == 0.5
    assert 0 < config.rate(99) < 0.05
