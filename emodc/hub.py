"""Checkpoint folders: an ordinary diffusers pipeline folder plus one JSON file of ours.

    model_index.json            what is in the folder, as diffusers writes it
    unet/ text_encoder/ vae/    config.json and safetensors
    tokenizer/ scheduler/       JSON
    emodc.json                  class order, prompts, evaluation

Nothing in it is executed or unpickled.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import diffusers.utils.logging
import transformers.utils.logging
from safetensors import SafetensorError

from emodc.denoiser import Denoiser
from emodc.pipeline import EmoDCPipeline
from emodc.prompts import Prompts
from emodc.small import SmallDenoiser

if TYPE_CHECKING:
    from emodc.classifier import EmoDC, Evaluation

FORMAT = 2
_PARTS = ("unet", "text_encoder", "tokenizer", "vae", "scheduler")
_LIBRARIES = {"diffusers", "transformers", "emodc"}


class CheckpointError(ValueError):
    """A checkpoint folder that is incomplete, damaged or of another kind."""


def save(classifier: "EmoDC", folder: Path) -> None:
    """Write `classifier` to `folder`, replacing what is there."""
    pipeline = EmoDCPipeline(**classifier.denoiser.parts())
    with _quiet():
        pipeline.save_pretrained(folder)
    card = {
        "format": FORMAT,
        "prompts": dataclasses.asdict(classifier.prompts),
        "evaluation": dataclasses.asdict(classifier.evaluation),
    }
    (folder / "emodc.json").write_text(json.dumps(card, indent=2) + "\n")


def load(folder: Path) -> tuple[Denoiser, Prompts, "Evaluation"]:
    """Read a folder written by `save`.

    Raises:
        CheckpointError: If a file is missing, damaged, or asks for a library that we do not load.
    """
    from emodc.classifier import Evaluation

    try:
        index = json.loads((folder / "model_index.json").read_text())
        strangers = {index[part][0].split(".")[0] for part in _PARTS} - _LIBRARIES
        if strangers:
            raise CheckpointError(f"{folder} asks for {sorted(strangers)}, which is not loaded")
        card = json.loads((folder / "emodc.json").read_text())
        texts = card["prompts"]
        tuples = {name: tuple(texts[name]) for name in ("classes", "templates")}
        prompts = Prompts(**{**texts, **tuples})
        evaluation = Evaluation(**card["evaluation"])
        with _quiet():
            pipeline = EmoDCPipeline.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
            )
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is not a readable EmoDC checkpoint: {error}") from error
    return SmallDenoiser(**{part: getattr(pipeline, part) for part in _PARTS}), prompts, evaluation


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars for a folder that loads in a blink."""
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        for library in (diffusers, transformers):
            library.utils.logging.enable_progress_bar()
