from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.util import rng
from emodc import EmoDC, Evaluation, LateConditionedUNet, Prompts, small_control, small_denoiser
from emodc.diffusion.schedule import Process, cosine_scheduler
from emodc.training.trainer import Trained, choose_parameters
from emodc.unet import GaussianDenoiser

PROMPTS = Prompts(("neutral", "happiness", "sadness"))
PLAN = Evaluation(steps=6, precision="float32")


@pytest.fixture
def control(images: Tensor) -> EmoDC:
    """The matched control of `tiny_emodc`."""
    with rng.fenced("control"):
        denoiser = small_control(images, PROMPTS, block_out_channels=(8, 8, 8))
    return EmoDC(denoiser, PROMPTS, PLAN).eval()


def inputs(model: EmoDC) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sample, timesteps, hidden states of the five prompts, and noise."""
    states = model.denoiser.encode_texts(model.prompts.texts()).hidden
    generator = torch.Generator().manual_seed(0)
    sample, noise = (torch.randn(2, 16, 16, 16, generator=generator) for _ in range(2))
    return sample, torch.tensor([3, 400]), states, noise


def test_one_encoder_pass_for_all_prompts_equals_a_pass_per_prompt(tiny_emodc: EmoDC) -> None:
    unet = tiny_emodc.denoiser.unet
    sample, timesteps, states, noise = inputs(tiny_emodc)
    passes, rows = [], []
    unet.encoder.register_forward_hook(lambda _m, given, _out: passes.append(len(given[0])))
    unet.leave.register_forward_hook(lambda _m, given, _out: rows.append(len(given[0])))
    together = unet.errors(sample, timesteps, states, noise)
    assert together.shape == (2, 5)
    assert (passes, rows) == ([2], [10])  # encoded once per row, decoded once per prompt
    for prompt in range(5):
        alone = unet(sample, timesteps, states[prompt].expand(2, -1, -1)).sample
        assert alone.shape == sample.shape
        expected = (alone - noise).square().mean(dim=(1, 2, 3))
        torch.testing.assert_close(together[:, prompt], expected, atol=0, rtol=1e-5)


@pytest.mark.parametrize("kind", ["tiny_emodc", "control"])
def test_chosen_prompts_are_those_of_the_whole_table(
    kind: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(kind)
    sample, timesteps, states, noise = inputs(model)
    chosen = torch.tensor([[4, 0], [2, 2]])
    table = model.denoiser.unet.errors(sample, timesteps, states, noise)
    some = model.denoiser.unet.errors(sample, timesteps, states, noise, chosen)
    torch.testing.assert_close(some, table.gather(1, chosen), atol=0, rtol=1e-5)


def test_prompt_timestep_and_picture_all_matter(tiny_emodc: EmoDC) -> None:
    unet = tiny_emodc.denoiser.unet
    sample, _, states, _ = inputs(tiny_emodc)
    sample = sample[:1]
    reference = unet(sample, 100, states[:1], return_dict=False)[0]
    assert not torch.allclose(reference, unet(sample, 100, states[1:2]).sample)
    assert not torch.allclose(reference, unet(sample, 300, states[:1]).sample)
    assert not torch.allclose(reference, unet(-sample, 100, states[:1]).sample)


@pytest.mark.parametrize("block", ["up_half", "up_full"])
def test_each_block_on_the_way_up_reads_the_prompt(tiny_emodc: EmoDC, block: str) -> None:
    unet = tiny_emodc.denoiser.unet
    sample, timesteps, states, noise = inputs(tiny_emodc)
    for name, other in unet.decoder.named_children():
        if name.startswith("up_") and name != block:
            torch.nn.init.zeros_(other.film.weight)
    errors = unet.errors(sample, timesteps, states, noise)
    assert (errors[:, 0] != errors[:, 1]).all()


def test_plain_denoising_gives_every_weight_a_gradient(tiny_emodc: EmoDC) -> None:
    unet = tiny_emodc.denoiser.unet
    sample, timesteps, states, noise = inputs(tiny_emodc)
    unet.errors(sample, timesteps, states, noise, torch.tensor([[0], [1]])).mean().backward()
    still = [name for name, value in unet.named_parameters() if not value.grad.abs().any()]
    assert still == []


def test_class_prompts_lie_apart_before_training(tiny_emodc: EmoDC) -> None:
    """As entries of an embedding table do: uncorrelated, of variance 1."""
    with rng.fenced("apart"):
        prompts = Prompts(tuple("abcdefg"))
        denoiser = small_denoiser(torch.randint(0, 256, (64, 3, 64, 64)).byte(), prompts)
    hidden = denoiser.encode_texts(prompts.texts()[: prompts.null_index]).hidden
    embeddings = denoiser.unet.prompt(hidden)
    assert embeddings.var().item() == pytest.approx(1, abs=0.2)
    torch.testing.assert_close(embeddings.mean(dim=0), torch.zeros(128), atol=1e-4, rtol=0)
    apart = torch.cdist(embeddings, embeddings)[~torch.eye(7, dtype=torch.bool)]
    assert apart.min() > 0.5 * apart.mean()  # none is a twin of another


@pytest.mark.parametrize("trained", ["all", "text"])
def test_training_leaves_the_text_model_as_it_is(tiny_emodc: EmoDC, trained: Trained) -> None:
    chosen = choose_parameters(tiny_emodc.denoiser, trained, lora_rank=1)
    text = {id(parameter) for parameter in tiny_emodc.denoiser.text_encoder.parameters()}
    assert chosen and not any(id(parameter) in text for parameter in chosen)
    assert any(each is tiny_emodc.denoiser.unet.prompt.layer.weight for each in chosen)


@pytest.mark.parametrize("kind", ["tiny_emodc", "control"])
def test_a_trace_does_not_depend_on_the_batch(kind: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(kind)
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    names = ["a", "b", "c"]
    together = model.trace(pictures, names).errors
    alone = [model.trace(pictures[i : i + 1], names[i : i + 1]).errors for i in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert (together[:, 0] != together[:, 1]).any()


def test_an_untrained_network_is_the_best_linear_denoiser() -> None:
    generator = torch.Generator().manual_seed(0)
    process = Process.of_scheduler(cosine_scheduler())
    deviation = torch.tensor([3.0, 1.0, 0.1])
    latents = torch.randn(4000, 3, 4, 4, generator=generator) * deviation[:, None, None]
    unet = LateConditionedUNet(3, 4, (8, 8, 8), cross_attention_dim=4)
    unet.linear.fit(latents, process)
    noise = torch.randn(latents.shape, generator=generator)
    states = torch.randn(1, 2, 4, generator=generator)
    for t in (20, 250, 480):
        timesteps = torch.full((4000,), t)
        noisy = process.noised(latents, noise, timesteps)
        found = unet.errors(noisy, timesteps, states, noise).mean().item()
        signal, level = process.signal[t] * deviation, process.noise[t]
        expected = (signal**2 / (signal**2 + level**2)).mean().item()  # of a Gaussian posterior
        assert found == pytest.approx(expected, rel=0.02)
        for factor in (0.9, 1.1):  # and no other multiple is better
            linear, _, _ = unet.linear(noisy, timesteps)
            assert (factor * linear - noise).square().mean().item() > found


def test_the_network_sees_and_predicts_unit_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    process = Process.of_scheduler(cosine_scheduler())
    linear = GaussianDenoiser(2, 1000)
    deviation = torch.tensor([4.0, 0.2])[:, None, None]
    latents = torch.randn(2000, 2, 4, 4, generator=generator) * deviation
    linear.fit(latents, process)
    noise = torch.randn(latents.shape, generator=generator)
    timesteps = torch.randint(0, 500, (2000,), generator=generator)
    predicted, spread, standard = linear(process.noised(latents, noise, timesteps), timesteps)
    ones = torch.ones(2)
    torch.testing.assert_close(standard.var(dim=(0, 2, 3)), ones, rtol=0, atol=0.03)
    rest = (noise - predicted) / spread
    torch.testing.assert_close(rest.var(dim=(0, 2, 3)), ones, rtol=0, atol=0.03)


@pytest.mark.parametrize("kind", ["tiny_emodc", "control"])
def test_a_saved_network_is_the_same_to_the_last_bit(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(kind)
    model.save_pretrained(tmp_path / "model")
    loaded = EmoDC.from_pretrained(tmp_path / "model")
    assert type(loaded.denoiser.unet) is type(model.denoiser.unet)
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(pictures), model(pictures))
    state, other = model.denoiser.state_dict(), loaded.denoiser.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in state.items())


def test_the_control_gives_probabilities(control: EmoDC) -> None:
    errors = control.trace(torch.rand(1, 3, 64, 64)).errors
    torch.testing.assert_close((-errors).exp().sum(dim=1), torch.ones(1, 6))
    assert not control.denoiser.predicts_noise
    assert control.denoiser.text_modules == []
