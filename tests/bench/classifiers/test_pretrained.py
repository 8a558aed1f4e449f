"""A published pipeline, fine-tuned and measured by the bench."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pipelines import latent_unet

from bench.classifiers import checkpoints
from bench.classifiers.base import counted_flops
from bench.config import Config, parse
from bench.data.drawn import DrawnFaces
from bench.store.store import Store
from bench.sweep import costs
from bench.util import rng
from bench.util.errors import UserError
from bench.util.progress import Reporter
from bench.util.runtime import pick_device
from emodc import EmoDC, Engine, Prompts
from emodc.adapters.open import evaluation_flops, unet_config

FACES = {"train": 14, "val": 7, "test": 7}
STAGE = {"objective": {"kind": "base"}, "steps": 2, "batch_size": 4}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A latent U-Net as others publish it, with prompts short enough for its tokenizer."""
    with rng.fenced("published"):
        model = EmoDC(latent_unet("v_prediction"), Prompts(("a", "b")))
    model.save_pretrained(tmp_path / "published")
    (tmp_path / "published" / "emodc.json").unlink()
    return tmp_path / "published"


def config(published: Path, *stages: dict[str, Any]) -> Config:
    content = {
        "kind": "emodc",
        "pretrained": str(published),
        "prompts": {"templates": ["{}"]},
        "stages": list(stages),
        "evaluation": {"steps": 2, "high": 1000},
    }
    return parse(
        {
            "precision": "float32",
            "data": {"kind": "faces", **FACES},
            "classifiers": {"tuned": content},
        },
        "test",
    )


def test_low_rank_then_text_and_a_verdict(published: Path, tmp_path: Path) -> None:
    lora = STAGE | {"trained": "lora", "lora_rank": 2, "learning_rate": 0.01}
    amdit = {"kind": "amdit", "negatives": 1, "c_nn": "null"}
    text = STAGE | {"trained": "text", "objective": amdit, "cache_latents": True}
    chosen, faces = config(published, lora, text), DrawnFaces(FACES)
    chain = checkpoints.recipes(chosen, faces)["tuned", 0]
    folder = checkpoints.train_missing(chosen, faces, tmp_path, Reporter())["tuned", 0]
    first = EmoDC.from_pretrained(checkpoints.checkpoint_folder(tmp_path, chain[0]))
    start = EmoDC.from_pretrained(published, prompts=first.prompts)
    moved = {
        name
        for name, value in first.denoiser.state_dict().items()
        if not value.equal(start.denoiser.state_dict()[name])
    }
    assert moved and all(".to_" in name for name in moved)  # attention's projections, merged
    spec, device = chosen.classifiers["tuned"], pick_device("cpu")
    classifier = spec.load("tuned", folder, chosen, device)
    sample = faces.samples("test")[0]
    measured = classifier.measure([faces.picture(sample)], [sample.id])
    assert measured.logits.shape == (1, 7)
    assert measured.evaluations == 14


def test_noise_aware_behind_a_vae_is_said(published: Path, tmp_path: Path) -> None:
    chosen, faces = config(published, STAGE), DrawnFaces(FACES)
    folder = checkpoints.train_missing(chosen, faces, tmp_path, Reporter())["tuned", 0]
    spec = chosen.classifiers["tuned"]
    aware = spec.evaluation.model_copy(update={"noise_aware": True})
    spec = spec.model_copy(update={"evaluation": aware})
    with pytest.raises(UserError, match="noise_aware to false"):
        spec.load("tuned", folder, chosen, pick_device("cpu"))


def test_the_recipe_follows_the_content_and_not_the_place(published: Path, tmp_path: Path) -> None:
    faces = DrawnFaces(FACES)
    here = checkpoints.recipes(config(published, STAGE), faces)
    moved = published.rename(tmp_path / "elsewhere")
    assert checkpoints.recipes(config(moved, STAGE), faces) == here
    (moved / "unet" / "config.json").write_text("{}")
    assert checkpoints.recipes(config(moved, STAGE), faces) != here


def test_a_pipeline_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tuned"):
        checkpoints.train_missing(
            config(tmp_path / "nothing", STAGE), DrawnFaces(FACES), tmp_path, Reporter()
        )


def test_another_size_is_a_recipe_of_its_own_and_stays_with_the_checkpoint(
    published: Path, tmp_path: Path
) -> None:
    faces, own = DrawnFaces(FACES), config(published, STAGE)
    spec = own.classifiers["tuned"].model_copy(update={"image_size": 32})
    smaller = own.model_copy(update={"classifiers": {"tuned": spec}})
    [plain], [other] = (checkpoints.recipes(c, faces)["tuned", 0] for c in (own, smaller))
    assert "image_size" not in plain and other == plain | {"image_size": 32}
    folder = checkpoints.train_missing(smaller, faces, tmp_path, Reporter())["tuned", 0]
    denoiser = EmoDC.from_pretrained(folder).denoiser
    assert denoiser.image_size == 32
    factor = 2 ** (len(denoiser.vae.config.block_out_channels) - 1)
    assert denoiser.encode(torch.rand(1, 3, 48, 48)).shape[-1] == 32 // factor


def test_a_size_that_the_codec_cannot_have_is_refused(published: Path, tmp_path: Path) -> None:
    chosen = config(published, STAGE)
    spec = chosen.classifiers["tuned"].model_copy(update={"image_size": 33})
    odd = chosen.model_copy(update={"classifiers": {"tuned": spec}})
    with pytest.raises(UserError, match="image_size 33 is no multiple"):
        checkpoints.train_missing(odd, DrawnFaces(FACES), tmp_path, Reporter())
    with pytest.raises(UserError, match="image_size is of a pretrained pipeline"):
        parse({"classifiers": {"a": {"kind": "emodc", "stages": [STAGE], "image_size": 64}}}, "t")


def test_costs_follow_from_the_shapes_of_a_pipeline(published: Path) -> None:
    """As many operations as the network itself makes; a step is four passes of each prompt."""
    chosen = config(published, STAGE | {"checkpointing": True, "objective": {"kind": "amdit"}})
    spec = chosen.classifiers["tuned"]
    denoiser = EmoDC.from_pretrained(published, prompts=Prompts(("a", "b"))).denoiser
    side = denoiser.unet.config.sample_size
    texts = torch.zeros(1, 77, denoiser.unet.config.cross_attention_dim)
    noisy = torch.zeros(1, denoiser.unet.config.in_channels, side, side)
    with Engine(fused_attention=False).applied(denoiser):  # the fused one's are not counted
        one = counted_flops(lambda: denoiser.unet(noisy, torch.zeros(1), texts))
    assert spec.on_paper(7) == pytest.approx((2 * 7 * one, 4 * 7 * 4 * one))  # all six negatives
    speed = costs.measured(chosen, "tuned", DrawnFaces(FACES))
    assert speed is not None and speed.flops == pytest.approx(14 * one)
    known = costs.Costs(chosen, Store(published), {"tuned": speed})
    last = spec.recipes({})[-1]
    steps = last["stages"][-1]["steps"]
    assert known.trained("tuned", last).flops == pytest.approx(steps * 4 * 7 * 4 * one)


def test_stable_diffusion_is_planned_before_it_is_fetched() -> None:
    """0.8 TFLOP at 512 px: 0.4 T multiply-adds, as often published; a quarter of the pixels."""
    shapes = unet_config("stable-diffusion-v1-5/stable-diffusion-v1-5")
    assert shapes is not None
    whole, quarter = evaluation_flops(shapes), evaluation_flops(shapes, 256)
    assert whole == pytest.approx(0.8e12, rel=0.03)
    assert 0.2 < quarter / whole < 0.25  # attention falls faster
    assert unet_config("somebody/unknown") is None


def _pickled(folder: Path) -> None:
    for path in list((folder / "unet").glob("*.safetensors")):
        path.rename(path.with_suffix(".bin"))


def _halved(folder: Path) -> None:
    for path in list((folder / "unet").glob("*.safetensors")):
        path.rename(path.with_suffix(".fp16.safetensors"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_pickled, "a pickle, which could run code"),
        (_halved, "half precision"),
        (lambda folder: shutil.rmtree(folder / "vae"), "vae is missing"),
        (lambda folder: (folder / "model_index.json").write_text("{}"), "asks for nothing"),
        (lambda folder: (folder / "model_index.json").unlink(), "a folder of another kind"),
        (lambda folder: shutil.rmtree(folder), "there is no folder"),
        (lambda folder: (shutil.rmtree(folder), folder.write_bytes(b"x")), "is a file"),
    ],
)
def test_a_pipeline_that_cannot_be_opened_is_refused_at_planning(
    published: Path, change: Callable[[Path], object], words: str
) -> None:
    spec = config(published, STAGE).classifiers["tuned"]
    spec.check("tuned")
    change(published)
    with pytest.raises(UserError, match=f"'tuned': pretrained: .*{words}"):
        spec.check("tuned")


def test_a_strange_config_of_a_network_has_unknown_costs(published: Path) -> None:
    (published / "unet" / "config.json").write_text("{}")
    assert config(published, STAGE).classifiers["tuned"].on_paper(7) == (0.0, 0.0)
