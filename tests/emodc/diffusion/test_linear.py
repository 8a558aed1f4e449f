"""The linear denoiser's error against closed forms."""

import pytest
import torch

from emodc.diffusion import measuring
from emodc.diffusion.measuring import measured_linear_error
from emodc.diffusion.schedule import Process, cosine_scheduler

PROCESS = Process.of_scheduler(cosine_scheduler())
TIMES = torch.arange(10, 500, 49)
A, B = PROCESS.signal[TIMES].double(), PROCESS.noise[TIMES].double()


def linear_error(eigenvalues: torch.Tensor, signal: torch.Tensor, noise: torch.Tensor) -> float:
    """The closed form: mean of a^2 lambda / (a^2 lambda + b^2) over eigenvalues and timesteps."""
    power = signal.double().square()[:, None] * eigenvalues.double()
    return float((power / (power + noise.double().square()[:, None])).mean())


def data(eigenvalues: list[float], pictures: int, seed: int) -> torch.Tensor:
    """Gaussian pictures around 2, in a rotated frame."""
    size = len(eigenvalues)
    frame = torch.linalg.qr(torch.randn(size, size, generator=torch.manual_seed(7)))[0]
    drawn = torch.randn(pictures, size, generator=torch.manual_seed(seed))
    return 2 + (drawn * torch.tensor(eigenvalues).sqrt()) @ frame.T


@pytest.mark.parametrize(
    ("eigenvalues", "pictures"),
    [([2.0] * 8, 4000), ([9.0, *[0.0] * 7], 4000), ([4.0, 2.0, 1.0, 0.1], 4000),
     ([0.7] * 64, 40), ([400.0, *[0.0] * 63], 40)],
    ids=["white", "rank one", "graded", "white, few pictures", "rank one, few pictures"],
)  # fmt: skip
def test_measured_out_of_sample_it_comes_near_the_closed_form(
    eigenvalues: list[float], pictures: int
) -> None:
    train, held_out = data(eigenvalues, pictures, 0), data(eigenvalues, 4000, 1)
    closed = linear_error(torch.tensor(eigenvalues), A, B)
    found = measured_linear_error(train.reshape(pictures, 2, -1), held_out, A, B)
    assert found == pytest.approx(closed, rel=0.05, abs=0.003)


def test_it_is_the_error_of_drawn_noise() -> None:
    eigenvalues = [4.0, 2.0, 1.0, 0.1]
    train, held_out = data(eigenvalues, 4000, 0), data(eigenvalues, 20000, 1)
    a, b = 0.8, 0.6
    noise = torch.randn(held_out.shape, generator=torch.manual_seed(2))
    mean, covariance = train.mean(0), torch.cov(train.T)
    factor = b * torch.linalg.inv(a**2 * covariance + b**2 * torch.eye(4))
    wrong = (a * (held_out - mean) + b * noise) @ factor - noise
    found = measured_linear_error(train, held_out, torch.tensor([a]), torch.tensor([b]))
    assert found == pytest.approx(float(wrong.square().mean()), rel=0.02)


def test_without_shrinkage_few_pictures_would_mislead(monkeypatch: pytest.MonkeyPatch) -> None:
    eigenvalues = [4.0] * 8 + [0.3] * 120
    train, held_out = data(eigenvalues, 48, 0), data(eigenvalues, 500, 1)
    closed = linear_error(torch.tensor(eigenvalues), A, B)
    assert closed < measured_linear_error(train, held_out, A, B) < 1.15 * closed
    monkeypatch.setattr(measuring, "_SHARES", (0.0,))
    assert measured_linear_error(train, held_out, A, B) > 2 * closed


def test_four_pictures_are_needed() -> None:
    with pytest.raises(ValueError, match="four pictures"):
        measured_linear_error(torch.zeros(3, 3), torch.zeros(1, 3), A, B)
