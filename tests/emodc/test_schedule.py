import pytest
import torch
from diffusers import DDPMScheduler

from emodc.schedule import add_noise, alphas_cumprod, cosine_scheduler, timestep_grid


def test_the_cosine_schedule_follows_its_closed_form() -> None:
    t = torch.tensor([99, 499, 899])
    steps = torch.arange(0, 1001, dtype=torch.float64) / 1000
    form = torch.cos((steps + 0.008) / 1.008 * torch.pi / 2) ** 2
    expected = (form[1:] / form[0])[t]
    torch.testing.assert_close(
        alphas_cumprod(cosine_scheduler())[t].double(), expected, rtol=1e-3, atol=0
    )


def test_alpha_bar_is_float32_and_falls() -> None:
    table = alphas_cumprod(cosine_scheduler())
    assert table.dtype == torch.float32
    assert (table.diff() < 0).all()


def test_another_prediction_type_is_refused() -> None:
    with pytest.raises(ValueError, match="v_prediction"):
        alphas_cumprod(DDPMScheduler(prediction_type="v_prediction"))


def test_noising_agrees_with_diffusers() -> None:
    scheduler = cosine_scheduler()
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 4, 3, 5, 5, generator=generator)
    timesteps = torch.tensor([0, 100, 500, 999])
    ours = add_noise(latents, noise, alphas_cumprod(scheduler)[timesteps])
    torch.testing.assert_close(ours, scheduler.add_noise(latents, noise, timesteps))


def test_the_grid_is_stratified() -> None:
    assert timestep_grid(5, 0, 500).tolist() == [50, 150, 250, 350, 450]
    assert timestep_grid(1, 0, 1000).tolist() == [500]
    grid = timestep_grid(100, 250, 500)
    assert grid.min() >= 250 and grid.max() < 500 and len(grid.unique()) == 100


@pytest.mark.parametrize("arguments", [(0, 0, 10), (5, 10, 10), (5, -1, 10)])
def test_an_empty_grid_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no grid"):
        timestep_grid(*arguments)
