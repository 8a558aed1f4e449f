"""A published pipeline, fine-tuned and measured by the bench."""

from pathlib import Path
from typing import Any

import pytest
from pipelines import latent_unet

from bench.classifiers import checkpoints
from bench.config import Config, parse
from bench.data.drawn import DrawnFaces
from bench.util import rng
from bench.util.errors import UserError
from bench.util.progress import Reporter
from bench.util.runtime import pick_device
from emodc import EmoDC, Prompts

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
