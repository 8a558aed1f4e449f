import numpy as np
import pytest
import torch
from torch import nn

from bench.perturb import ATTACKS
from bench.util import rng

ADDRESS = {"seed": 0, "dataset": "d", "sample_id": "a"}


class Linear(nn.Module):
    """Two classes, told apart by a fixed direction: the strongest attack is known."""

    def __init__(self) -> None:
        super().__init__()
        signs = torch.randn(3 * 64, generator=torch.Generator().manual_seed(0)).sign()
        self.weight = nn.Parameter(torch.stack([signs, -signs]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weight.T


def picture() -> np.ndarray:
    return rng.generator("attacked").integers(60, 190, (8, 8, 3), dtype=np.uint8)


def logits(pixels: np.ndarray) -> torch.Tensor:
    return Linear()(torch.from_numpy(pixels.transpose(2, 0, 1)[None] / np.float32(255)))[0]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_linear_model_gets_the_strongest_attack_within_the_budget(name: str) -> None:
    attacked = ATTACKS[name]()(picture(), 0, Linear(), 8, **ADDRESS)
    difference = attacked.astype(int) - picture()
    assert np.abs(difference).max() == 8
    best = -8 * Linear().weight[0].sign().reshape(3, 8, 8).permute(1, 2, 0).detach().numpy()
    assert (difference == best).mean() > 0.95
    assert logits(attacked)[0] < logits(picture())[0]


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_addressed_and_leave_the_global_generator_alone(name: str) -> None:
    attack = ATTACKS[name]()
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = attack(picture(), 0, Linear(), 4, **ADDRESS)
    assert torch.equal(torch.rand(1), expected)
    np.testing.assert_array_equal(first, attack(picture(), 0, Linear(), 4, **ADDRESS))


def test_random_noise_of_the_same_size_is_weaker() -> None:
    attacked = ATTACKS["fgsm"]()(picture(), 0, Linear(), 8, **ADDRESS)
    noise = rng.generator("noise").choice([-8, 8], picture().shape)
    assert logits(attacked)[0] < logits((picture() + noise).astype(np.uint8))[0] - 1
