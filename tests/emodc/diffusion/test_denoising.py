"""Denoising, on pictures of independent Gaussian elements, where all of it has a closed form."""

import pytest
import torch

from emodc.diffusion.denoiser import Conditions, Denoiser, denoised
from emodc.diffusion.schedule import Process, cosine_scheduler

SPREAD = 0.2  # of x_0, about 0


class _Grey(Denoiser):
    """Its eps is the regression of the noise on x_t."""

    def __init__(self, way_back: bool = True) -> None:
        super().__init__()
        self.process, self.way_back = Process.of_scheduler(cosine_scheduler()), way_back

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images * 2 - 1

    def decode(self, latents: torch.Tensor) -> torch.Tensor | None:
        return (latents + 1) / 2 if self.way_back else None

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Conditions
    ) -> torch.Tensor:
        signal, level = self.process.signal[timesteps], self.process.noise[timesteps]
        return (level / (signal**2 * SPREAD**2 + level**2))[:, None, None, None] * noisy

    parts = encode_texts = network = text_modules = image_size = None  # type: ignore[assignment]


NULL = Conditions(torch.zeros(1, 1, 1))


def at(model: _Grey, timestep: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The signal at a timestep, x_t of `drawn()`, and its variance."""
    pictures, noise = drawn()
    signal, level = model.process.signal[timestep], model.process.noise[timestep]
    noisy = signal * model.encode(pictures) + level * noise
    return signal, noisy, signal**2 * SPREAD**2 + level**2


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(3)
    pictures = (SPREAD * torch.randn(2, 3, 8, 8, generator=draws) + 1) / 2
    return pictures, torch.randn(2, 3, 8, 8, generator=draws)


@pytest.mark.parametrize("timestep", [20, 200, 600])
def test_one_step_is_the_posterior_mean(timestep: int) -> None:
    model = _Grey()
    signal, noisy, variance = at(model, timestep)
    expected = (signal * SPREAD**2 / variance * noisy + 1) / 2
    found = denoised(model, *drawn(), NULL, timestep)
    assert torch.allclose(found, expected.clamp(0, 1), atol=1e-5)


@pytest.mark.parametrize("timestep", [100, 200, 600])
def test_all_steps_follow_the_flow_that_keeps_the_spread(timestep: int) -> None:
    """The posterior mean shrinks towards 0; the flow maps N(0, variance) onto N(0, SPREAD^2)."""
    model = _Grey()
    _, noisy, variance = at(model, timestep)
    expected = (SPREAD / variance.sqrt() * noisy + 1) / 2
    found = denoised(model, *drawn(), NULL, timestep, timestep + 1)
    assert torch.allclose(found, expected.clamp(0, 1), atol=0.01)
    assert not torch.allclose(found, denoised(model, *drawn(), NULL, timestep), atol=0.01)


@pytest.mark.parametrize(("timestep", "steps"), [(1000, 1), (-1, 1), (10, 12), (10, 0)])
def test_what_does_not_fit_is_refused(timestep: int, steps: int) -> None:
    with pytest.raises(ValueError, match="do not fit the 1000 timesteps"):
        denoised(_Grey(), *drawn(), NULL, timestep, steps)


def test_without_a_way_back_there_are_no_pictures() -> None:
    with pytest.raises(ValueError, match="no way back"):
        denoised(_Grey(way_back=False), *drawn(), NULL, 10)
