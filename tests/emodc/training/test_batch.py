import dataclasses

import torch

from emodc import EmoDC, Prompts
from emodc.training.objectives import AMDiT, Base, CrossEntropy, Margin
from emodc.training.trainer import Draws, PromptedErrors, TrainConfig, draw, prompted_errors

LABELS = torch.arange(3).repeat(8)


def drawn(prompts: Prompts, config: TrainConfig, labels: torch.Tensor = LABELS) -> Draws:
    generator = torch.Generator().manual_seed(0)
    return draw(generator, labels, (4, 4, 4) if len(labels) > 24 else (16, 16, 16), prompts, config)


def errors_of(model: EmoDC, config: TrainConfig) -> tuple[PromptedErrors, Draws, torch.Tensor]:
    """What the objective sees, what was drawn, and the errors of every prompt."""
    draws = drawn(model.prompts, config)
    latents = torch.randn(24, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    denoiser = model.denoiser
    noisy = denoiser.process.noised(latents, draws.noise, draws.timesteps)
    conditions = denoiser.encode_texts(model.prompts.texts())
    table = denoiser.errors(noisy, draws.timesteps, draws.noise, conditions)
    found = prompted_errors(denoiser, model.prompts, conditions, noisy, draws, config)
    return found, draws, table


def test_the_objective_sees_the_right_prompt_and_the_drawn_wrong_ones(tiny_emodc: EmoDC) -> None:
    config = TrainConfig(objective=AMDiT(negatives=1, c_nn="null"), null_share=0.25)
    errors, draws, table = errors_of(tiny_emodc, config)
    rows = torch.arange(24)[errors.kept]
    expected = table[rows, draws.labels[rows]]
    torch.testing.assert_close(errors.batch.positive, expected)
    expected = table[rows, draws.wrong[rows, 0]]
    torch.testing.assert_close(errors.batch.negatives[:, 0], expected)
    torch.testing.assert_close(errors.batch.not_negative, table[rows, 3])
    assert errors.loss(config.objective).shape == (24,)


def test_prompt_dropout_replaces_the_positive_prompt(tiny_emodc: EmoDC) -> None:
    config = TrainConfig(objective=Base(), null_share=0.3, non_class_share=0.3)
    errors, draws, table = errors_of(tiny_emodc, config)
    dropped = ~errors.kept
    assert dropped.any() and errors.kept.any()
    expected = table[dropped, 2 + draws.dropout[dropped]]
    torch.testing.assert_close(errors.denoised, expected)


def test_a_template_is_drawn_per_sample(tiny_emodc: EmoDC) -> None:
    tiny_emodc.prompts = dataclasses.replace(tiny_emodc.prompts, templates=("a {} face", "{}"))
    config = TrainConfig(objective=Margin(negatives=2), null_share=0.0, non_class_share=0.0)
    errors, draws, table = errors_of(tiny_emodc, config)
    assert set(draws.template.tolist()) == {0, 1}
    torch.testing.assert_close(
        errors.batch.positive, table[torch.arange(24), 2 * LABELS + draws.template]
    )
    wrong = 2 * draws.wrong + draws.template[:, None]
    torch.testing.assert_close(errors.batch.negatives, table.gather(1, wrong))


def test_negatives_are_wrong_distinct_and_uniform() -> None:
    prompts = Prompts(tuple("abcdefg"))
    labels = torch.full((6000,), 3)
    two = drawn(prompts, TrainConfig(objective=AMDiT(negatives=2)), labels).wrong
    assert two.shape == (6000, 2)
    assert (two != 3).all() and (two[:, 0] != two[:, 1]).all()
    counts = torch.bincount(two.flatten(), minlength=7).double() / 12000
    others = counts[torch.arange(7) != 3]
    torch.testing.assert_close(others, torch.full_like(others, 1 / 6), rtol=0, atol=0.02)
    every = drawn(prompts, TrainConfig(objective=CrossEntropy()), labels[:5]).wrong
    assert every.sort(dim=1).values.tolist() == [[0, 1, 2, 4, 5, 6]] * 5
    assert drawn(prompts, TrainConfig(objective=Base()), labels[:5]).wrong.shape == (5, 0)


def test_dropout_keeps_its_shares() -> None:
    config = TrainConfig(null_share=0.1, non_class_share=0.05)
    lots = drawn(Prompts(("a", "b")), config, torch.zeros(20000, dtype=torch.int64)).dropout
    shares = torch.bincount(lots, minlength=3).double() / 20000
    torch.testing.assert_close(
        shares, torch.tensor([0.85, 0.1, 0.05], dtype=torch.float64), rtol=0, atol=0.01
    )
