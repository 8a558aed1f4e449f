from typing import get_args

import pytest
import torch

from emodc.training.objectives import (
    AMDiT,
    AnyObjective,
    Base,
    BatchErrors,
    CrossEntropy,
    HardNegative,
    Margin,
    Objective,
)


def batch(*rows: tuple[float, ...], not_negative: list[float] | None = None) -> BatchErrors:
    """Rows of d_p, then the d_n; leaves `errors.negatives` and `errors.positive` differentiable."""
    table = torch.tensor(rows)
    positive = table[:, 0].clone().requires_grad_()
    level = positive if not_negative is None else torch.tensor(not_negative, requires_grad=True)
    return BatchErrors(positive, table[:, 1:].clone().requires_grad_(), level)


def gradients(objective: Objective, errors: BatchErrors) -> tuple[list[float], list[float]]:
    objective(errors).sum().backward()
    assert errors.positive.grad is not None
    wrong = errors.negatives.grad
    return errors.positive.grad.tolist(), [] if wrong is None else wrong.flatten().tolist()


def test_base_is_the_error_under_the_right_prompt() -> None:
    assert Base()(batch((2.0, 1.0))).tolist() == [2.0]


def test_amdit_by_hand() -> None:
    # d_p = 1; margin .5 * 1; hinges max(0, 1 - 1.2 + .5) = .3 and max(0, 1 - 2 + .5) = 0
    loss = AMDiT(alpha=0.5, weight=4.0)(batch((1.0, 1.2, 2.0)))
    assert loss.item() == pytest.approx(1.0 + 4.0 * (0.3 + 0.0) / 2)


def test_the_hardest_negative_counts_alone() -> None:
    loss = AMDiT(alpha=0.5, weight=4.0, reduce="hardest")(batch((1.0, 1.2, 2.0)))
    assert loss.item() == pytest.approx(1.0 + 4.0 * 0.3)


def test_the_margin_adapts_to_the_sample() -> None:
    easy, hard = AMDiT(alpha=0.2)(batch((0.1, 0.125), (1.0, 1.25))).tolist()
    assert easy == pytest.approx(0.1)  # both keep a relative margin of 25 % > 20 %
    assert hard == pytest.approx(1.0)
    assert AMDiT(alpha=0.3)(batch((1.0, 1.25))).item() > 1.0


def test_a_fixed_margin_does_not_adapt() -> None:
    margin = Margin(margin=0.1, weight=2.0)
    easy, hard = margin(batch((0.1, 0.125), (1.0, 1.25))).tolist()
    assert easy == pytest.approx(0.1 + 2.0 * 0.075)
    assert hard == pytest.approx(1.0)


@pytest.mark.parametrize(("detached", "slope"), [(True, 1 + 5.0), (False, 1 + 5.0 * 1.2)])
def test_gradient_of_an_active_hinge(detached: bool, slope: float) -> None:
    objective = AMDiT(alpha=0.2, weight=5.0, detach_margin=detached)
    right, wrong = gradients(objective, batch((1.0, 1.1)))
    assert right == pytest.approx([slope])
    assert wrong == pytest.approx([-5.0])


def test_the_margin_can_follow_another_prompt() -> None:
    errors = batch((1.0, 1.1), not_negative=[2.0])
    objective = AMDiT(alpha=0.2, weight=5.0, c_nn="null", detach_margin=False)
    assert objective.not_negative == "null"
    assert objective(errors).item() == pytest.approx(1.0 + 5.0 * (1.0 - 1.1 + 0.4))
    objective(errors).sum().backward()
    assert errors.not_negative.grad is not None
    assert errors.not_negative.grad.item() == pytest.approx(5.0 * 0.2)


def test_a_satisfied_hinge_leaves_the_negatives_alone() -> None:
    assert gradients(AMDiT(alpha=0.2), batch((1.0, 2.0))) == ([1.0], [0.0])


def test_the_limit_keeps_the_penalty_from_outweighing_the_denoising() -> None:
    errors = batch((1.0, 0.5), (1.0, 3.0))
    free = AMDiT(alpha=0.2, weight=50.0)(errors)
    limited = AMDiT(alpha=0.2, weight=50.0, limit=0.5)(errors)
    assert free.mean().item() > 10
    assert limited.mean().item() == pytest.approx(1.0 + 0.5)
    mild = AMDiT(alpha=0.2, weight=0.01)(errors)
    assert torch.equal(mild, AMDiT(alpha=0.2, weight=0.01, limit=0.5)(errors))


def test_hard_negatives_act_on_batch_means_and_stop_at_the_positive_error() -> None:
    # One sample has d_n below d_p, the other far above: on average there is nothing to push.
    above = batch((1.0, 0.5), (1.0, 3.0))
    assert gradients(HardNegative(weight=0.5), above) == ([1.0, 1.0], [0.0, 0.0])
    below = batch((1.0, 0.5), (1.0, 0.9))
    loss = HardNegative(weight=0.5)(below)
    assert loss.tolist() == pytest.approx([1.15, 1.15])  # 1 + .5 * (1 - .7)
    right, wrong = gradients(HardNegative(weight=0.5), below)
    assert right == [1.0, 1.0]
    assert wrong == pytest.approx([-0.5, -0.5])  # of the sum over both samples


def test_cross_entropy_is_that_of_the_softmax_over_errors() -> None:
    errors = batch((0.1, 0.2, 0.3))
    logits = -10.0 * torch.tensor([0.1, 0.2, 0.3])
    expected = 0.1 + 0.5 * -torch.log_softmax(logits, 0)[0].item()
    assert CrossEntropy(weight=0.5, scale=10.0)(errors).item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", get_args(AnyObjective))
def test_every_objective_lowers_the_right_error_and_never_the_wrong_ones(
    kind: type[Objective],
) -> None:
    right, wrong = gradients(kind(), batch((1.0, 0.9, 1.05), (0.5, 0.5, 0.7)))
    assert min(right) > 0
    assert max(wrong, default=0.0) <= 0
    loss = kind()(batch((1.0, 0.9), (0.5, 0.5)))
    assert loss.shape == (2,)


def test_hard_negatives_that_would_diverge_are_refused() -> None:
    with pytest.raises(ValueError, match="diverges"):
        HardNegative(weight=2.0)
