import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler

from emodc.diffusion.schedule import Prediction, Process, cosine_scheduler, timestep_grid


def process_of(prediction: Prediction) -> Process:
    if prediction == "flow":
        return Process.of_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0))
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", prediction_type=prediction)
    return Process.of_scheduler(scheduler)


def test_the_cosine_schedule_follows_its_closed_form() -> None:
    t = torch.tensor([99, 499, 899])
    steps = torch.arange(0, 1001, dtype=torch.float64) / 1000
    form = torch.cos((steps + 0.008) / 1.008 * torch.pi / 2) ** 2
    expected = (form[1:] / form[0])[t]
    signal = Process.of_scheduler(cosine_scheduler()).signal[t].double()
    torch.testing.assert_close(signal.square(), expected, rtol=1e-3, atol=0)


def test_the_noise_level_is_exact_at_small_t() -> None:
    """1 - alpha_bar, from the betas in float64; float16 would be wrong by 15 % at t = 0."""
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    process = Process.of_scheduler(scheduler)
    product = torch.ones((), dtype=torch.float64)
    for t in range(6):
        product = product * (1 - scheduler.betas[t].double())
        exact = (1 - product).sqrt()
        assert process.noise[t].double().item() == pytest.approx(exact.item(), rel=1e-6)
    half = 1 - scheduler.alphas_cumprod[0].half().float()
    assert abs(half / process.noise[0] ** 2 - 1) > 0.1


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample", "flow"])
def test_levels_are_float32_and_monotone(prediction: Prediction) -> None:
    process = process_of(prediction)
    assert process.signal.dtype == process.noise.dtype == torch.float32
    assert (process.signal.diff() < 0).all() and (process.noise.diff() > 0).all()
    total = process.signal + process.noise
    if prediction != "flow":
        total = process.signal.square() + process.noise.square()
    torch.testing.assert_close(total, torch.ones_like(total))


def test_an_unknown_prediction_type_is_refused() -> None:
    scheduler = DDPMScheduler()
    scheduler.register_to_config(prediction_type="curl")
    with pytest.raises(ValueError, match="curl"):
        Process.of_scheduler(scheduler)


def test_noising_agrees_with_diffusers() -> None:
    scheduler = cosine_scheduler()
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 4, 3, 5, 5, generator=generator)
    timesteps = torch.tensor([0, 100, 500, 999])
    ours = Process.of_scheduler(scheduler).noised(latents, noise, timesteps)
    torch.testing.assert_close(ours, scheduler.add_noise(latents, noise, timesteps))


def test_v_targets_agree_with_diffusers() -> None:
    scheduler = DDPMScheduler(prediction_type="v_prediction")
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 4, 3, 5, 5, generator=generator)
    timesteps = torch.tensor([0, 100, 500, 999])
    ours = Process.of_scheduler(scheduler).target(latents, noise, timesteps)
    torch.testing.assert_close(ours, scheduler.get_velocity(latents, noise, timesteps))


def test_flow_times_agree_with_diffusers() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    process = Process.of_scheduler(scheduler)
    torch.testing.assert_close(process.noise, scheduler.sigmas[:1000].flip(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(process.told, scheduler.timesteps.flip(0), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample", "flow"])
def test_a_known_denoiser_has_the_same_noise_error_whatever_it_predicts(
    prediction: Prediction,
) -> None:
    """x_0 is known up to an error e; every prediction type must see the noise error a e / b."""
    process = process_of(prediction)
    generator = torch.Generator().manual_seed(0)
    latents, noise, wrong = torch.randn(3, 3, 2, 4, 4, generator=generator)
    timesteps = torch.tensor([50, 300, 700])
    noisy = process.noised(latents, noise, timesteps)
    rows = (slice(None), None, None, None)
    a, b = process.signal[timesteps][rows], process.noise[timesteps][rows]
    guess = latents + 0.1 * wrong  # and the noise that goes with it
    implied = (noisy - a * guess) / b
    output = process.target(guess, implied, timesteps)
    predicted = process.predicted_noise(output, noisy, timesteps)
    torch.testing.assert_close(predicted, implied, rtol=1e-4, atol=1e-4)
    # Errors in the target's own units differ by the closed-form weight.
    own = (output - process.target(latents, noise, timesteps)).square().mean(dim=(1, 2, 3))
    error = (predicted - noise).square().mean(dim=(1, 2, 3))
    weight = process.weight(timesteps, "target")
    torch.testing.assert_close(own, weight * error, rtol=1e-3, atol=1e-6)
    assert process.weight(timesteps, "noise").tolist() == [1.0, 1.0, 1.0]


def test_the_grid_is_stratified() -> None:
    assert timestep_grid(5, 0, 500).tolist() == [50, 150, 250, 350, 450]
    assert timestep_grid(1, 0, 1000).tolist() == [500]
    grid = timestep_grid(100, 250, 500)
    assert grid.min() >= 250 and grid.max() < 500 and len(grid.unique()) == 100


@pytest.mark.parametrize("arguments", [(0, 0, 10), (5, 10, 10), (5, -1, 10)])
def test_an_empty_grid_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no grid"):
        timestep_grid(*arguments)


def test_errors_in_units_of_a_target_without_signal_are_refused() -> None:
    process = process_of("flow")
    with pytest.raises(ValueError, match="without signal"):
        process.weight(torch.tensor([500, 999]), "target")
    assert process.weight(torch.tensor([999]), "noise").tolist() == [1.0]
