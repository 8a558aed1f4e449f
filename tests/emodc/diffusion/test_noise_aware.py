import dataclasses

import pytest
import torch

from emodc import Denoiser, EmoDC
from emodc.diffusion.noise_aware import covering_range, latent_noise, noise_level, noised
from emodc.diffusion.schedule import Process, cosine_scheduler


@pytest.fixture
def smooth() -> torch.Tensor:
    """A shaded picture with edges, (1, 3, 64, 64), without noise."""
    rows = torch.linspace(0.2, 0.7, 64)
    picture = (rows[:, None] + 0.2 * rows[None]).expand(1, 3, 64, 64).clone()
    picture[..., 20:40, 10:50] += 0.2
    return picture


@pytest.mark.parametrize("sigma", [0.04, 0.12, 0.24])
def test_the_noise_level_is_found_in_spite_of_edges(smooth: torch.Tensor, sigma: float) -> None:
    noise = torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
    assert noise_level(smooth).item() < 0.002
    assert noise_level(smooth + sigma * noise).item() == pytest.approx(sigma, rel=0.06)


def test_noise_in_the_picture_and_added_noise_make_the_level_of_the_timestep() -> None:
    process = Process.of_scheduler(cosine_scheduler())
    generator = torch.Generator().manual_seed(0)
    own = torch.tensor([0.1, 0.3])
    picture = own[None, :, None, None] * torch.randn((1, 2, 200, 200), generator=generator)
    timesteps = torch.tensor([250, 450])
    draws = torch.randn((2, 2, 200, 200), generator=generator)
    noisy, target = noised(process, picture, draws, timesteps, own)
    # x_0 = 0, so all of x_t is noise, and of it the target is the part that was added.
    expected = process.noise[timesteps][:, None].expand(2, 2)
    torch.testing.assert_close(noisy.flatten(2).std(dim=2), expected, rtol=0.02, atol=0)
    level, signal = process.noise[timesteps], process.signal[timesteps]
    added = target * level[:, None, None, None]
    kept = signal[:, None, None, None] * picture
    torch.testing.assert_close(noisy, kept + added)
    assert (target.flatten(2).std(dim=2) < 0.999).all()


def test_measuring_starts_where_the_noise_is_covered() -> None:
    process = Process.of_scheduler(cosine_scheduler())
    assert covering_range(process, None, 0, 500) == (0, 500)
    low, high = covering_range(process, torch.tensor([0.1, 0.3]), 0, 500)
    assert process.noise_to_signal[low - 1] < 0.3 <= process.noise_to_signal[low]
    assert high == 500
    assert covering_range(process, torch.tensor([50.0]), 0, 500) == (400, 500)
    assert covering_range(process, torch.tensor([1e-9]), 200, 500) == (200, 500)


def test_a_clean_picture_is_measured_as_always(tiny_emodc: EmoDC, smooth: torch.Tensor) -> None:
    plain = tiny_emodc.trace(smooth)
    tiny_emodc.evaluation = dataclasses.replace(tiny_emodc.evaluation, noise_aware=True)
    aware = tiny_emodc.trace(smooth)
    assert torch.equal(plain.errors, aware.errors)
    assert torch.equal(plain.timesteps, aware.timesteps)


def test_a_noisy_picture_starts_later(tiny_emodc: EmoDC, smooth: torch.Tensor) -> None:
    tiny_emodc.denoiser.vae.grain.fill_(0.02)  # the fixture's own pictures are half noise
    tiny_emodc.evaluation = dataclasses.replace(tiny_emodc.evaluation, noise_aware=True)
    noise = torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
    quiet, loud = (tiny_emodc.trace(smooth + s * noise).timesteps[0, 0] for s in (0.05, 0.2))
    assert tiny_emodc.trace(smooth).timesteps[0, 0] < quiet < loud


def test_grain_that_the_training_pictures_had_is_not_noise(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    aware = [latent_noise(tiny_emodc.denoiser, image.float() / 255) for image in images]
    assert sum(found is None for found in aware) >= len(images) * 0.9


def test_an_encoder_that_colours_noise_is_refused(
    tiny_emodc: EmoDC, smooth: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tiny_emodc.denoiser), "pixel_noise", Denoiser.pixel_noise)
    tiny_emodc.evaluation = dataclasses.replace(tiny_emodc.evaluation, noise_aware=True)
    with pytest.raises(ValueError, match="orthogonal codec"):
        tiny_emodc.trace(smooth)
