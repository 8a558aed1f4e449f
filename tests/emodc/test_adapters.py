import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusion3Pipeline, StableDiffusionPipeline
from pipelines import PROMPTS, TINY, autoencoder, clip_tokenizer, network, text_model, tiny
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from emodc import (
    CheckpointError,
    EmoDC,
    Evaluation,
    FlowDenoiser,
    Pixels,
    UNetDenoiser,
    open_pipeline,
)
from emodc.diffusion.schedule import Process
from emodc.training.objectives import AMDiT
from emodc.training.trainer import EmoDCTrainer, TrainConfig

PLAN = Evaluation(steps=4, precision="float32")
IDS = ["a", "b", "c"]
KINDS = sorted(TINY)


def classifier(kind: str) -> EmoDC:
    return EmoDC(tiny(kind), PROMPTS, PLAN).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", [*KINDS, "shared trunk"])
def test_a_trace_is_the_same_to_the_last_bit_in_any_batch(
    kind: str, tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    model = tiny_emodc if kind == "shared trunk" else classifier(kind)
    pictures = images[:3].float() / 255
    together = model.trace(pictures, IDS).errors
    assert together.isfinite().all()
    alone = [model.trace(pictures[i : i + 1], [IDS[i]]).errors[0] for i in (2, 0, 1)]
    backwards = model.trace(pictures.flip(0), IDS[::-1]).errors.flip(0)
    assert torch.equal(together[2], alone[0])
    assert torch.equal(together[:2], torch.stack(alone[1:]))
    assert torch.equal(together, backwards)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_steps_and_pixels_matter(kind: str, images: torch.Tensor) -> None:
    errors = classifier(kind).trace(images[:2].float() / 255, ["a", "a"]).errors
    for axis in range(3):
        first = errors.select(axis, 0)
        assert not torch.equal(first, errors.select(axis, 1)), f"axis {axis} makes no difference"


@pytest.mark.parametrize("kind", ["latent unet", "pixel unet", "flow", "shared trunk"])
def test_gradients_are_those_of_one_undivided_pass(
    kind: str, tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    model = tiny_emodc if kind == "shared trunk" else classifier(kind)
    gradients = []
    for rows in (1, 10_000):  # in steps of one with checkpoints; all at once in plain autograd
        model.denoiser.rows = rows
        picture = (images[:1].float() / 255).requires_grad_()
        model(picture, ["a"])[0, 1].backward()
        assert picture.grad is not None and picture.grad.any()
        gradients.append(picture.grad)
    scale = gradients[1].abs().max()
    torch.testing.assert_close(gradients[0] / scale, gradients[1] / scale, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_agree_with_their_definition(kind: str, images: torch.Tensor) -> None:
    """By the formulas of the prediction types, written out once more."""
    denoiser = tiny(kind)
    process = denoiser.process
    x0 = denoiser.encode(images[:1].float() / 255)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    timestep = torch.tensor([300])
    a, b = process.signal[300], process.noise[300]
    noisy = a * x0 + b * noise
    conditions = denoiser.encode_texts(PROMPTS.texts()[:2])
    with torch.no_grad():
        errors = denoiser.errors(noisy, timestep, noise, conditions)
        output = denoiser.predict(noisy, timestep, conditions[1:])
    predicted = {
        "epsilon": output,
        "v_prediction": a * output + b * noisy,
        "sample": (noisy - a * output) / b,
        "flow": noisy + a * output,
    }[process.prediction]
    expected = (predicted - noise).square().mean()
    torch.testing.assert_close(errors[0, 1], expected, rtol=1e-4, atol=1e-6)


def test_the_flow_is_told_times_in_the_units_of_its_scheduler() -> None:
    denoiser = tiny("flow")
    scheduler = denoiser.scheduler
    told = denoiser.process.told[torch.tensor([999, 499, 0])]
    assert torch.allclose(told, scheduler.timesteps[[0, 500, 999]], rtol=1e-5)
    assert torch.allclose(denoiser.process.noise[499], scheduler.sigmas[500])


def test_prompts_are_encoded_as_the_flow_pipeline_does(tmp_path: Path) -> None:
    denoiser = tiny("flow with t5")
    pipeline = StableDiffusion3Pipeline(**denoiser.parts())
    text = "a photo of a happy face"
    with torch.no_grad():
        hidden, _, pooled, _ = pipeline.encode_prompt(text, text, text)
        conditions = denoiser.encode_texts([text])
    torch.testing.assert_close(conditions.hidden, hidden, rtol=0, atol=1e-6)
    torch.testing.assert_close(conditions.pooled, pooled, rtol=0, atol=1e-6)


def test_prompts_are_encoded_as_the_latent_pipeline_does() -> None:
    denoiser = tiny("latent unet")
    pipeline = StableDiffusionPipeline(
        **denoiser.parts(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with torch.no_grad():
        hidden, _ = pipeline.encode_prompt("a happy face", torch.device("cpu"), 1, False)
        conditions = denoiser.encode_texts(["a happy face", "", "a sad face"])
    torch.testing.assert_close(conditions.hidden[:1], hidden, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["latent unet", "flow"])
def test_latents_are_scaled_and_shifted_and_come_back(kind: str, images: torch.Tensor) -> None:
    denoiser = tiny(kind)
    picture = images[:1, :, :16, :16].float() / 255
    vae = denoiser.parts()["vae"]
    with torch.no_grad():
        raw = vae.encode(picture * 2 - 1).latent_dist.mean
        latents = denoiser.encode(picture)
        again = denoiser.decode(latents)
    expected = (raw - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
    assert torch.allclose(latents, expected, atol=1e-6)
    assert torch.allclose(again, vae.decode(raw).sample / 2 + 0.5, atol=1e-5)


def test_pixels_know_their_noise(images: torch.Tensor) -> None:
    codec = Pixels.fit(torch.full_like(images, 100), image_size=32)
    noisy = 0.5 + 0.1 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert codec.noise_in_latents(noisy)[0].mean().item() == pytest.approx(0.2, rel=0.1)
    assert torch.allclose(codec.decode(codec.encode(noisy)), noisy, atol=1e-6)
    model = classifier("pixel unet")
    model.evaluation = dataclasses.replace(model.evaluation, noise_aware=True)
    assert model.trace(noisy).errors.isfinite().all()


def test_a_learned_variance_is_ignored(images: torch.Tensor) -> None:
    tokenizer = clip_tokenizer()
    text = text_model(CLIPTextModel, tokenizer, 16)
    wide = network(3, 16, out_channels=6)
    denoiser = UNetDenoiser(wide, text, tokenizer, Pixels(16), DDIMScheduler())
    errors = EmoDC(denoiser, PROMPTS, PLAN).eval().trace(images[:1].float() / 255).errors
    assert errors.shape == (1, 3, 4)


def test_the_codec_is_never_trained() -> None:
    for kind in ("latent unet", "flow with t5"):
        denoiser = TINY[kind]().train()
        parts = denoiser.parts()
        assert denoiser.network.training and not parts["vae"].training
        frozen = [parts["vae"], parts.get("text_encoder_3")]
        assert not any(p.requires_grad for part in frozen if part for p in part.parameters())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"unet": network(9, 8)}, "reads 9 channels"),
        ({"unet": network(4, 8, class_embed_type="timestep")}, "input of its own"),
        ({"vae": autoencoder(4, latents_mean=[0.0] * 4)}, "normalises each channel"),
        ({"unet": network(4, None)}, "no sample_size"),
        ({"scheduler": DDIMScheduler(prediction_type="sigma")}, "predicts 'sigma'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict, sentence: str) -> None:
    parts = tiny("latent unet").parts() | change
    with pytest.raises(ValueError, match=sentence):
        UNetDenoiser(**parts)


def test_a_published_folder_opens_without_ours(tmp_path: Path, images: torch.Tensor) -> None:
    denoiser = tiny("latent unet")
    pipeline = StableDiffusionPipeline(
        **denoiser.parts(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(tmp_path)
    opened = open_pipeline(tmp_path)
    assert isinstance(opened, UNetDenoiser)
    with pytest.raises(CheckpointError, match="say which classes"):
        EmoDC.from_pretrained(tmp_path)
    model = EmoDC.from_pretrained(tmp_path, prompts=PROMPTS, evaluation=PLAN)
    picture = images[:1].float() / 255
    ours = EmoDC(denoiser, PROMPTS, PLAN).eval().trace(picture).errors
    assert torch.equal(model.trace(picture).errors, ours)


def test_the_largest_part_can_be_left_out(tmp_path: Path) -> None:
    EmoDC(tiny("flow with t5"), PROMPTS, PLAN).save_pretrained(tmp_path)
    denoiser = open_pipeline(tmp_path, without=["text_encoder_3"])
    assert isinstance(denoiser, FlowDenoiser) and denoiser.text_encoder_3 is None
    with pytest.raises(CheckpointError, match="vae cannot be left out"):
        open_pipeline(tmp_path, without=["vae"])


def test_network_weights_in_half_precision(tmp_path: Path, images: torch.Tensor) -> None:
    EmoDC(tiny("latent unet"), PROMPTS, PLAN).save_pretrained(tmp_path)
    model = EmoDC.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert model.denoiser.network.dtype == torch.bfloat16
    trace = model.trace(images[:1].float() / 255)
    assert trace.errors.dtype == torch.float32
    exact = EmoDC.from_pretrained(tmp_path).trace(images[:1].float() / 255)
    torch.testing.assert_close(trace.errors, exact.errors, rtol=0.05, atol=0.05)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    EmoDC(tiny("latent unet"), PROMPTS, PLAN).save_pretrained(tmp_path)
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(tiny("latent unet").network.state_dict(), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"\.bin alone \(a pickle.*use_safetensors=False"):
        open_pipeline(tmp_path)


def test_weights_in_half_precision_alone_are_named_with_the_way_out(tmp_path: Path) -> None:
    EmoDC(tiny("latent unet"), PROMPTS, PLAN).save_pretrained(tmp_path)
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".fp16.safetensors"))
    with pytest.raises(CheckpointError, match=r"fp16\.safetensors alone.*variant=\"fp16\""):
        open_pipeline(tmp_path)


def test_another_build_is_named(tmp_path: Path) -> None:
    index = {"unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"UNet2DModel as its unet.*Stable Diffusion 3\.x"):
        open_pipeline(tmp_path)
    EmoDC(tiny("latent unet"), PROMPTS, PLAN).save_pretrained(tmp_path / "two")
    path = tmp_path / "two" / "model_index.json"
    index = json.loads(path.read_text()) | {"text_encoder_2": ["transformers", "CLIPTextModel"]}
    path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="CLIPTextModel as its text_encoder_2"):
        open_pipeline(tmp_path / "two")


def test_a_hub_id_without_network_says_so() -> None:
    with pytest.raises(CheckpointError, match="Without a network"):
        open_pipeline("nobody/nothing")


def test_of_a_hub_repository_only_what_is_used_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmoDC(tiny("latent unet"), PROMPTS, PLAN).save_pretrained(tmp_path)
    asked: list[tuple[str, str, list[str]]] = []

    def snapshot(source: str, revision: str, allow_patterns: list[str], **_: object) -> str:
        asked.append((source, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr("emodc.adapters.open.snapshot_download", snapshot)
    model = EmoDC.from_pretrained("someone/something", revision="abc")
    assert model.classes == PROMPTS.classes
    assert {(source, revision) for source, revision, _ in asked} == {("someone/something", "abc")}
    patterns = asked[-1][2]
    assert "unet/*.safetensors" in patterns and "emodc.json" in patterns
    assert not any("safety_checker" in p or p.endswith((".bin", "*")) for p in patterns)


def test_signal_and_noise_of_published_schedules_are_kept() -> None:
    """Stable Diffusion 1.5 at the ends of its schedule."""
    process = Process.of_scheduler(
        DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    )
    assert process.signal[0].square().item() == pytest.approx(0.99915, abs=1e-6)
    assert process.signal[999].square().item() == pytest.approx(0.00466, abs=1e-5)


def as_published_in_2022(folder: Path) -> None:
    """Rewrite a saved latent U-Net in the file formats of the first Stable Diffusion folders."""
    index_path = folder / "model_index.json"
    index = json.loads(index_path.read_text())
    index |= {
        "feature_extractor": ["transformers", "CLIPFeatureExtractor"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "PNDMScheduler"],
    }
    index_path.write_text(json.dumps(index))

    tokenizer = clip_tokenizer()
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(tokenizer.get_vocab()))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    old = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 12, "do_lower_case": True}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(old))

    text = next((folder / "text_encoder").glob("*.safetensors"))
    tensors = {
        f"text_model.{name.removeprefix('text_model.')}": tensor
        for name, tensor in load_file(text).items()
    }
    tensors["text_model.embeddings.position_ids"] = torch.arange(12)[None]
    save_file(tensors, text, metadata={"format": "pt"})

    vae = next((folder / "vae").glob("*.safetensors"))
    renamed = {}
    for name, tensor in load_file(vae).items():
        for new, then in (
            ("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"),
        ):  # fmt: skip
            name = name.replace(f".{new}.", f".{then}.")
        renamed[name] = tensor
    save_file(renamed, vae, metadata={"format": "pt"})


def test_the_first_published_file_formats_are_read(tmp_path: Path, images: torch.Tensor) -> None:
    model = classifier("latent unet")
    model.save_pretrained(tmp_path)
    (tmp_path / "emodc.json").unlink()
    as_published_in_2022(tmp_path)
    opened = EmoDC.from_pretrained(tmp_path, prompts=PROMPTS, evaluation=PLAN)
    ids = opened.denoiser.tokenizer(PROMPTS.texts()).input_ids
    assert ids == model.denoiser.tokenizer(PROMPTS.texts()).input_ids
    picture = images[:1].float() / 255
    assert torch.equal(opened.trace(picture).errors, model.trace(picture).errors)


@pytest.mark.parametrize("trained", ["all", "text", "lora"])
@pytest.mark.parametrize("kind", ["v unet", "pixel unet", "flow with t5"])
def test_every_kind_trains(kind: str, trained: str, images: torch.Tensor, tmp_path: Path) -> None:
    denoiser = tiny(kind)
    before = {name: value.clone() for name, value in denoiser.state_dict().items()}
    config = TrainConfig(
        objective=AMDiT(), steps=2, warmup=1, checkpointing=True, trained=trained,
        precision="float32", high=1000,
    )  # fmt: skip
    trainer = EmoDCTrainer(denoiser, PROMPTS, config)
    for _ in range(2):
        record = trainer.step(images[:3].float() / 255, torch.arange(3))
        assert math.isfinite(record["loss"])
    after = trainer.finish().state_dict()
    assert set(after) == set(before)
    changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    network = "transformer" if "flow" in kind else "unet"
    assert ("text_encoder" in changed) == (trained != "lora")
    assert (network in changed) == (trained != "text")
    assert not changed & {"vae", "text_encoder_3"}
    EmoDC(denoiser, PROMPTS, PLAN).save_pretrained(tmp_path)
    loaded = EmoDC.from_pretrained(tmp_path).denoiser.network.state_dict()
    assert all(
        torch.equal(loaded[name], value) for name, value in denoiser.network.state_dict().items()
    )
