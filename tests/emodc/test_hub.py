import json
from pathlib import Path

import pytest
import torch

from emodc import CheckpointError, EmoDC, EmoDCPipeline


def test_a_saved_classifier_loads_to_the_same_bits(
    tiny_emodc: EmoDC, images: torch.Tensor, tmp_path: Path
) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    loaded = EmoDC.from_pretrained(tmp_path)
    assert loaded.classes == tiny_emodc.classes
    assert loaded.evaluation == tiny_emodc.evaluation
    picture = images[:1].float() / 255
    assert torch.equal(loaded.trace(picture).errors, tiny_emodc.trace(picture).errors)


def test_the_folder_is_a_diffusers_pipeline_without_pickles(
    tiny_emodc: EmoDC, tmp_path: Path
) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    pipeline = EmoDCPipeline.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert type(pipeline.scheduler).__name__ == "DDPMScheduler"
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".safetensors"}
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == {
        "unet", "text_encoder", "tokenizer", "vae", "scheduler",
    }  # fmt: skip


@pytest.mark.parametrize("file", ["model_index.json", "emodc.json", "unet/config.json"])
def test_a_missing_file_is_named(tiny_emodc: EmoDC, tmp_path: Path, file: str) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CheckpointError, match="not a readable EmoDC checkpoint"):
        EmoDC.from_pretrained(tmp_path)


def test_damaged_weights_are_refused(tiny_emodc: EmoDC, tmp_path: Path) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    weights = next((tmp_path / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError):
        EmoDC.from_pretrained(tmp_path)


def test_a_folder_that_asks_for_other_code_is_refused(tiny_emodc: EmoDC, tmp_path: Path) -> None:
    tiny_emodc.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index["unet"] = ["os", "system"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="asks for"):
        EmoDC.from_pretrained(tmp_path)
