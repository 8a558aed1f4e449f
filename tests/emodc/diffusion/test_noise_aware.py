import dataclasses

import pytest
import torch

from emodc import Denoiser, EmoDC, Evaluation, Prompts
from emodc.diffusion.denoiser import Conditions
from emodc.diffusion.measuring import Prepared, errors_at, prepare
from emodc.diffusion.noise_aware import (
    LEAST,
    covering_range,
    latent_noise,
    noise_level,
    noised,
)
from emodc.diffusion.schedule import Process, cosine_scheduler
from emodc.small import small_control


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
    noisy = noised(process, picture, draws, timesteps, own).noisy
    # x_0 = 0, so all of x_t is noise.
    expected = process.noise[timesteps][:, None].expand(2, 2)
    torch.testing.assert_close(noisy.flatten(2).std(dim=2), expected, rtol=0.02, atol=0)


def test_measuring_starts_where_the_noise_is_covered() -> None:
    process = Process.of_scheduler(cosine_scheduler())
    assert covering_range(process, None, 0, 500) == (0, 500)
    low, high = covering_range(process, torch.tensor([0.1, 0.3]), 0, 500)
    ours = 1 - (0.3 / process.noise_to_signal[low - 1 : low + 1]) ** 2
    assert ours[0] < LEAST <= ours[1]
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


# ------------------------------------------------------------------------------------------------
# What predictions are scored against, on pictures whose best denoiser is known.


class _ShadesOfGrey(Denoiser):
    """Pictures of independent N(0, SPREAD^2) elements; prompt c says c times the best prediction.

    Written from the definition of the process alone: x_t = signal x_0 + level n with x_0 and n
    Gaussian, so the best prediction of n is a regression on x_t, level / (variance of x_t) x_t.
    """

    SPREAD = 0.7

    def __init__(self) -> None:
        super().__init__()
        self.process = Process.of_scheduler(cosine_scheduler())

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: Conditions
    ) -> torch.Tensor:
        signal, level = self.process.signal[timesteps], self.process.noise[timesteps]
        slope = level / (signal**2 * self.SPREAD**2 + level**2)
        return (conditions.hidden[:, 0, 0] * slope)[:, None, None, None] * noisy

    def expected_error(self, timestep: int, factor: float) -> float:
        """Of `factor` times the best prediction, in the whole noise of x_t."""
        signal, level = self.process.signal[timestep].item(), self.process.noise[timestep].item()
        explained = level**2 / (signal**2 * self.SPREAD**2 + level**2)
        return 1 - explained + (1 - factor) ** 2 * explained

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images

    parts = encode_texts = network = text_modules = image_size = None


FACTORS = (1.0, 0.7, 0.3, 1.3)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.45, 0.55, 0.8, 0.93])
def test_the_better_denoiser_wins_and_errors_are_those_in_the_whole_noise(share: float) -> None:
    """`share` is rho^2: what part of the noise's variance the picture brings."""
    denoiser, timestep, steps = _ShadesOfGrey(), 400, 24
    generator = torch.Generator().manual_seed(1)
    own = (share**0.5 * denoiser.process.noise_to_signal[timestep]).item()
    clean = denoiser.SPREAD * torch.randn((1, 4, 96, 96), generator=generator)
    picture = clean + own * torch.randn(clean.shape, generator=generator)
    prepared = Prepared(
        "picture",
        picture,
        torch.full((4,), own) if share else None,
        torch.full((steps,), timestep),
    )
    factors = Conditions(torch.tensor(FACTORS)[:, None, None])
    found = errors_at(denoiser, Evaluation(), prepared, range(steps), factors).mean(dim=0)
    expected = [denoiser.expected_error(timestep, factor) for factor in FACTORS]
    assert found.argmin() == 0
    assert found.tolist() == pytest.approx(expected, abs=0.02)


def test_channels_have_shares_of_their_own() -> None:
    process = Process.of_scheduler(cosine_scheduler())
    draws = torch.randn((1, 2, 8, 8), generator=torch.Generator().manual_seed(0))
    timesteps, ratio = torch.tensor([400]), process.noise_to_signal[400].item()
    own = ratio * torch.tensor([0.2, 0.75]).sqrt()
    rows = noised(process, torch.zeros_like(draws), draws, timesteps, own)
    torch.testing.assert_close(rows.target[:, 0], draws[:, 0] / 0.8**0.5)
    torch.testing.assert_close(rows.target[:, 1], draws[:, 1] / 0.25**0.5)


def test_noise_beyond_the_range_keeps_targets_and_gradients_finite() -> None:
    process = Process.of_scheduler(cosine_scheduler())
    draws = torch.randn((1, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    own = (2 * process.noise_to_signal[400]).expand(1).clone().requires_grad_()
    rows = noised(process, torch.zeros_like(draws), draws, torch.tensor([400]), own)
    torch.testing.assert_close(rows.target, draws / LEAST**0.5)
    assert rows.noisy.abs().max() < 1e-3
    (rows.noisy.square().sum() + rows.target.square().sum()).backward()
    assert own.grad is not None and own.grad.isfinite().all()


def test_the_control_reads_log_probabilities_and_no_target(images: torch.Tensor) -> None:
    control = small_control(images, Prompts(("neutral", "happiness")))
    noisy = images[:1].float() / 255 + 0.3 * torch.randn(
        (1, 3, 64, 64), generator=torch.Generator().manual_seed(0)
    )
    model = EmoDC(control, Prompts(("neutral", "happiness")), Evaluation(4, noise_aware=True))
    control.vae.grain.fill_(0.02)
    probabilities = (-model.eval().trace(noisy).errors).exp().sum(dim=1)
    torch.testing.assert_close(probabilities, torch.ones_like(probabilities))


# ------------------------------------------------------------------------------------------------
# Gradients.


@pytest.mark.parametrize("through", [False, True])
def test_gradients_are_those_of_a_finite_difference(tiny_emodc: EmoDC, through: bool) -> None:
    """With `level_gradient` of the whole error; without it the noise level stands still."""
    plan = dataclasses.replace(
        tiny_emodc.evaluation, noise_aware=True, level_gradient=through, steps=3, low=300
    )
    denoiser = tiny_emodc.denoiser
    denoiser.vae.grain.fill_(0.02)
    generator = torch.Generator().manual_seed(0)
    image = 0.5 + 0.1 * torch.randn((3, 64, 64), generator=generator)
    # A direction that the estimate of the level moves with: all noise grows.
    direction = image - 0.5
    conditions = tiny_emodc.conditions()[:3]
    frozen = prepare(denoiser, plan, image, "picture")

    def error(moved: torch.Tensor) -> torch.Tensor:
        picture = prepare(denoiser, plan, moved, "picture")
        if not through:
            picture = dataclasses.replace(picture, own_noise=frozen.own_noise)
        assert torch.equal(picture.timesteps, frozen.timesteps)
        return errors_at(denoiser, plan, picture, range(3), conditions).double().mean()

    step = 2e-3
    with torch.no_grad():
        expected = (error(image + step * direction) - error(image - step * direction)) / (2 * step)
    leaf = image.clone().requires_grad_()
    error(leaf).backward()
    assert leaf.grad is not None
    assert (leaf.grad * direction).sum().item() == pytest.approx(expected.item(), rel=0.03)


def test_a_clean_picture_has_a_gradient_through_its_level(
    tiny_emodc: EmoDC, smooth: torch.Tensor
) -> None:
    plan = dataclasses.replace(tiny_emodc.evaluation, noise_aware=True, level_gradient=True)
    tiny_emodc.evaluation = plan
    leaf = smooth.clone().requires_grad_()
    tiny_emodc(leaf).sum().backward()
    assert leaf.grad is not None and leaf.grad.isfinite().all()
