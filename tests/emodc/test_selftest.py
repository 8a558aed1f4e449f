"""The self-test passes exact denoisers and names what is wrong with broken ones.

The exact ones know the mean and the spectrum of the pictures' latents: for Gaussian latents, no
network of any size predicts the noise better.
"""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.configuration_utils import FrozenDict
from pipelines import PROMPTS, clip_tokenizer, text_model, tiny
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from emodc import Denoiser, EmoDC, Evaluation, FlowDenoiser, Pixels, Process, Prompts, UNetDenoiser
from emodc.selftest import SelfTestReport, check, patterns
from emodc.small import word_tokenizer

SIDE = 16
PLAN = Evaluation(low=0, high=1000, precision="float32")


class Pooling(torch.nn.Module):
    """A VAE in miniature: 4x4 means in units of its own."""

    dtype = torch.float32

    def __init__(self) -> None:
        super().__init__()
        self.config = FrozenDict(
            latent_channels=3, block_out_channels=(1, 1, 1), scaling_factor=0.2, shift_factor=1.0
        )

    def encode(self, pixels: torch.Tensor) -> SimpleNamespace:
        mean = F.avg_pool2d(pixels, 4) * 10.0 + 1.0
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean))

    def decode(self, latents: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=F.interpolate((latents - 1.0) / 10.0, scale_factor=4.0))


class Exact(torch.nn.Module):
    """E[x_0 | x_t] of Gaussian latents, put out as whatever a network of that type would."""

    dtype = torch.float32

    def __init__(self, process: Process, latents: torch.Tensor, prediction: str) -> None:
        super().__init__()
        self.prediction = prediction
        self.signal, self.level = process.signal, process.noise
        self.known = process.told.float()
        size = latents.shape[-1]
        positions = torch.arange(size) + 0.5
        basis = torch.cos(math.pi / size * positions[:, None] * torch.arange(size))
        self.basis = basis / basis.norm(dim=0)
        self.mean = latents.mean(0)
        self.power = self.spectrum(latents - self.mean).square().mean(0)
        self.config = FrozenDict(
            in_channels=3, sample_size=size, cross_attention_dim=16, joint_attention_dim=32
        )
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def spectrum(self, x: torch.Tensor) -> torch.Tensor:
        return self.basis.T @ x @ self.basis

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        pooled_projections: torch.Tensor | None = None,
    ) -> SimpleNamespace:
        place = (timestep[:, None].float() - self.known).abs().argmin(dim=1)
        a, b = (level[place][:, None, None, None] for level in (self.signal, self.level))
        wish = 0.2 * torch.tanh(encoder_hidden_states.mean(1)[:, :3, None, None])
        mean = self.mean + wish
        share = a * self.power / (a.square() * self.power + b.square())
        filtered = share * self.spectrum(hidden_states - a * mean)
        x0 = mean + self.basis @ filtered @ self.basis.T
        eps = (hidden_states - a * x0) / b
        outputs = {
            "epsilon": eps,
            "v_prediction": a * eps - b * x0,
            "sample": x0,
            "flow": eps - x0,
            "backward flow": x0 - eps,
        }
        return SimpleNamespace(sample=outputs[self.prediction])


def exact(prediction: str, scheduler_says: str | None = None, codec: Any = None) -> Denoiser:
    """A denoiser around `Exact`; the scheduler's prediction type may be a lie."""
    tokenizer = clip_tokenizer()
    torch.manual_seed(0)
    codec = codec or Pooling()
    if "flow" in prediction:
        scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    else:
        scheduler = DDIMScheduler(
            beta_schedule="scaled_linear", prediction_type=scheduler_says or prediction
        )
    x0 = torch.zeros(2, 3, SIDE, SIDE)

    def build(latents: torch.Tensor) -> Denoiser:
        network = Exact(Process.of_scheduler(scheduler), latents, prediction)
        if "flow" in prediction:
            clips = [
                text_model(CLIPTextModelWithProjection, tokenizer, width, projection_dim=12)
                for width in (8, 16)
            ]
            return FlowDenoiser(network, clips[0], tokenizer, clips[1], tokenizer, codec, scheduler)
        text = text_model(CLIPTextModel, tokenizer, 16)
        return UNetDenoiser(network, text, tokenizer, codec, scheduler)

    return build(build(x0).encode(patterns(150, 64, seed=1)))


def examined(denoiser: Denoiser, **more: Any) -> SelfTestReport:
    return check(EmoDC(denoiser, PROMPTS, PLAN), **more)


def assert_refused(report: SelfTestReport, name: str, *words: str) -> None:
    failed = [finding.name for finding in report.findings if not finding.passed]
    assert not report.passed and name in failed, report
    for word in words:
        assert word in report.cause


KINDS = ["epsilon", "v_prediction", "sample", "flow"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_exact_denoiser_passes(kind: str) -> None:
    report = examined(exact(kind))
    assert report.passed, report.cause
    assert len(report.bins) == 10
    assert report.bins[0].best > report.bins[-1].best
    assert all(row.best < row.linear < 1.1 for row in report.bins[1:])
    assert report.as_dict()["passed"] is True


def test_an_exact_denoiser_of_pixels_passes() -> None:
    report = examined(exact("epsilon", codec=Pixels(SIDE)))
    assert report.passed, report.cause


@pytest.mark.parametrize("truth", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("said", ["epsilon", "v_prediction", "sample"])
def test_a_wrong_prediction_type_is_named(truth: str, said: str) -> None:
    report = examined(exact(truth, scheduler_says=said))
    if truth == said:
        assert report.passed
    else:
        assert_refused(report, "prediction type", f"read as {truth}", "prediction_type")


def test_a_velocity_of_the_other_sign_is_named() -> None:
    assert_refused(examined(exact("backward flow")), "prediction type", "minus flow")


@pytest.mark.parametrize("kind", ["epsilon", "flow"])
def test_a_missing_scaling_factor_is_named(kind: str) -> None:
    denoiser = exact(kind)
    vae = denoiser.parts()["vae"]
    vae.config = FrozenDict({**vae.config, "scaling_factor": 1.0})
    assert_refused(examined(denoiser), "latents", "scaling factor")


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaling_factor_of_another_model_is_named(kind: str) -> None:
    denoiser = exact(kind)
    vae = denoiser.parts()["vae"]
    vae.config = FrozenDict({**vae.config, "scaling_factor": 0.4})  # twice what it should be
    assert_refused(examined(denoiser), "scale", "scaling factor")


@pytest.mark.parametrize("kind", ["epsilon", "flow"])
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_time_in_another_unit_is_named(kind: str, factor: float) -> None:
    denoiser = exact(kind)
    denoiser.process.told = denoiser.process.told * factor
    assert_refused(examined(denoiser), "timesteps", "wrong unit")


def test_time_counted_backwards_is_named() -> None:
    denoiser = exact("epsilon")
    denoiser.process.told = denoiser.process.told.flip(0)
    assert_refused(examined(denoiser), "timesteps", "counted backwards")


def test_a_broken_autoencoder_is_named() -> None:
    denoiser = exact("epsilon")
    vae = denoiser.parts()["vae"]
    vae.decode = lambda latents: SimpleNamespace(sample=torch.zeros(len(latents), 3, 64, 64))
    assert_refused(examined(denoiser), "codec", "VAE is broken")


def test_an_encoder_that_ignores_the_picture_is_named() -> None:
    denoiser = exact("epsilon")
    mean = torch.randn(1, 3, SIDE, SIDE)
    denoiser.parts()["vae"].encode = lambda pixels: SimpleNamespace(
        latent_dist=SimpleNamespace(mean=mean.expand(len(pixels), -1, -1, -1) * 5)
    )
    assert_refused(examined(denoiser), "codec", "same x_0")


def test_an_encoder_of_nothing_but_nan_is_named() -> None:
    denoiser = exact("epsilon")
    denoiser.parts()["vae"].encode = lambda pixels: SimpleNamespace(
        latent_dist=SimpleNamespace(mean=torch.full((len(pixels), 3, SIDE, SIDE), torch.nan))
    )
    assert_refused(examined(denoiser), "latents")


def test_outputs_that_are_not_finite_are_named() -> None:
    denoiser = exact("epsilon")
    denoiser.network.mean[:] = torch.inf
    assert_refused(examined(denoiser), "finite", "precision float32")


def test_prompts_that_encode_alike_are_named() -> None:
    denoiser = exact("epsilon")
    words = word_tokenizer(["only these words are known"])
    words.model_max_length = 12
    denoiser.tokenizer = words
    assert_refused(examined(denoiser), "prompts", "encode to the same condition", "happy")


def test_a_network_that_does_not_read_prompts_is_named() -> None:
    denoiser = exact("epsilon")
    forward = denoiser.network.forward
    denoiser.network.forward = lambda noisy, told, encoder_hidden_states: forward(
        noisy, told, encoder_hidden_states * 0
    )
    assert_refused(examined(denoiser), "conditioning", "do not reach the network")


def test_a_picture_cut_off_from_its_gradient_is_named() -> None:
    denoiser = exact("epsilon")
    encode = denoiser.encode
    denoiser.encode = lambda images: encode(images).detach()
    assert_refused(examined(denoiser), "gradients", "attacks")


@pytest.mark.parametrize("kind", ["latent unet", "pixel unet", "flow"])
def test_untrained_pipelines_are_refused(kind: str) -> None:
    report = check(EmoDC(tiny(kind), PROMPTS, PLAN))
    assert_refused(report, "denoising")


def test_a_trained_small_denoiser_passes_and_an_untrained_one_does_not() -> None:
    """The only one here that learned: to denoise the pictures of the self-test's kind."""
    from emodc import small_denoiser
    from emodc.training.trainer import EmoDCTrainer, TrainConfig

    torch.manual_seed(0)
    pictures = patterns(120, 64, seed=2)
    denoiser = small_denoiser((pictures * 255).byte(), PROMPTS, block_out_channels=(16, 24, 32))
    plan = Evaluation(precision="float32")
    assert_refused(check(EmoDC(denoiser, PROMPTS, plan)), "conditioning", "do not reach")
    trainer = EmoDCTrainer(
        denoiser, PROMPTS, TrainConfig(steps=150, learning_rate=4e-3, precision="float32")
    )
    labels = torch.arange(120) % 3
    for step in range(150):
        rows = torch.arange(step * 24, step * 24 + 24) % 120
        trainer.step(pictures[rows], labels[rows])
    report = check(EmoDC(trainer.finish(), PROMPTS, plan))
    assert report.passed, report.cause


def test_one_picture_of_ones_own_is_enough() -> None:
    report = examined(exact("epsilon"), images=patterns(1, 200, seed=5)[:, :, :150])
    assert report.passed, report.cause


def test_more_templates_are_more_prompts(tmp_path: Path) -> None:
    prompts = Prompts(PROMPTS.classes, templates=("a {} face", "a photo of a {} face"))
    assert check(EmoDC(exact("epsilon"), prompts, PLAN)).passed
