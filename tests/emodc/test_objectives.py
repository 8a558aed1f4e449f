import pytest
import torch

from emodc.objectives import AMDiT, Base, BatchErrors


def batch(*rows: tuple[float, ...], labels: list[int]) -> BatchErrors:
    classes = torch.tensor(rows, requires_grad=True)
    return BatchErrors(classes, torch.tensor(labels), null=classes[:, 0], non_class=classes[:, 0])


def test_positive_and_negatives_are_told_apart() -> None:
    errors = batch((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), labels=[1, 2])
    assert errors.positive.tolist() == [2.0, 6.0]
    assert errors.negatives.tolist() == [[1.0, 3.0], [4.0, 5.0]]


def test_base_is_the_error_under_the_right_prompt() -> None:
    assert Base()(batch((1.0, 2.0), labels=[1])).tolist() == [2.0]


def test_amdit_by_hand() -> None:
    # d_p = 1; margin .5 * 1; hinges max(0, 1 - 1.2 + .5) = .3 and max(0, 1 - 2 + .5) = 0
    loss = AMDiT(alpha=0.5, weight=4.0)(batch((1.0, 1.2, 2.0), labels=[0]))
    assert loss.item() == pytest.approx(1.0 + 4.0 * (0.3 + 0.0) / 2)


def test_the_margin_adapts_to_the_sample() -> None:
    easy, hard = AMDiT(alpha=0.2)(batch((0.1, 0.125), (1.0, 1.25), labels=[0, 0])).tolist()
    assert easy == pytest.approx(0.1)  # both keep a relative margin of 25 % > 20 %
    assert hard == pytest.approx(1.0)
    assert AMDiT(alpha=0.3)(batch((1.0, 1.25), labels=[0])).item() > 1.0


@pytest.mark.parametrize(("detached", "slope"), [(True, 1 + 5.0), (False, 1 + 5.0 * 1.2)])
def test_gradient_of_an_active_hinge(detached: bool, slope: float) -> None:
    errors = batch((1.0, 1.1), labels=[0])
    AMDiT(alpha=0.2, weight=5.0, detach_margin=detached)(errors).sum().backward()
    assert errors.classes.grad is not None
    assert errors.classes.grad[0].tolist() == pytest.approx([slope, -5.0])


def test_a_satisfied_hinge_leaves_the_negatives_alone() -> None:
    errors = batch((1.0, 2.0), labels=[0])
    AMDiT(alpha=0.2)(errors).sum().backward()
    assert errors.classes.grad is not None
    assert errors.classes.grad[0].tolist() == [1.0, 0.0]
