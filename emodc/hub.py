"""Checkpoint folders: an ordinary diffusers pipeline folder plus one JSON file of ours.

    model_index.json            what is in the folder, as diffusers writes it
    unet/ text_encoder/ vae/    config.json and safetensors
    tokenizer/ scheduler/       JSON
    emodc.json                  class order, prompts, evaluation; the fit, if there is one
    fit.json                    a fit that was learned after the folder was written

Nothing in it is executed or unpickled.
"""

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers.utils.logging
import transformers.utils.logging
from huggingface_hub import HfApi

from emodc.adapters.open import CheckpointError, kind_of_denoiser, local_folder, open_pipeline
from emodc.card import render
from emodc.decisions.fit import Fit
from emodc.diffusion.denoiser import Denoiser
from emodc.settings import ErrorSettings, Prompts, chosen

if TYPE_CHECKING:
    from emodc.classifier import EmoDC
    from emodc.diffusion.measuring import Evaluation


FORMAT = 2
FIT_FILE = "fit.json"


def save(classifier: "EmoDC", folder: Path) -> None:
    """Write `classifier` to `folder`, replacing what is there.

    Raises:
        ValueError: If the denoiser's parts belong to no kind of pipeline folder.
    """
    kind = kind_of_denoiser(classifier.denoiser)
    index: dict[str, Any] = {
        "_class_name": kind.pipeline,
        "_diffusers_version": diffusers.__version__,
        **dict(kind.extras),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet():
        for name, part in classifier.denoiser.parts().items():
            index[name] = [None, None] if part is None else [_library(part), type(part).__name__]
            if part is not None:
                part.save_pretrained(folder / name)
                _forget_paths(folder / name)
    card = {
        "format": FORMAT,
        "prompts": dataclasses.asdict(classifier.prompts),
        "evaluation": dataclasses.asdict(classifier.evaluation),
        **({} if classifier.fit is None else {"fit": classifier.fit.to_dict()}),
    }
    _write_json(folder / "emodc.json", card)
    _write_json(folder / "model_index.json", index)


def load(
    source: str | Path,
    prompts: Prompts | None = None,
    evaluation: "Evaluation | None" = None,
    **options: Any,
) -> tuple[Denoiser, Prompts, "Evaluation", Fit | None]:
    """Read a folder written by `save`, or a published pipeline.

    Args:
        source: A folder, or a hub id.
        prompts: Instead of the folder's; needed for a pipeline that is not an EmoDC yet.
        evaluation: Instead of the folder's.
        **options: Of `open_pipeline`.

    Raises:
        CheckpointError: If a file is missing, damaged, or asks for a class that we do not load.
    """
    from emodc.diffusion.measuring import Evaluation

    where = {name: options[name] for name in ("revision", "without") if name in options}
    folder, fit = local_folder(source, **where), None
    if (folder / "emodc.json").exists():
        written, plan, fit = _read_card(folder)
        if fit is None:
            fit = _read_fit(folder, plan)
        if (prompts or written) != written or (evaluation or plan) != plan:
            fit = None  # it was learned with others
        prompts, evaluation = prompts or written, evaluation or plan
    elif not (folder / "model_index.json").exists():
        raise CheckpointError(
            f"{folder} is not a readable EmoDC checkpoint: it has no model_index.json"
        )
    elif prompts is None:
        raise CheckpointError(
            f"{folder} is not a readable EmoDC checkpoint: it has no emodc.json. To classify with "
            "a published pipeline, say which classes: "
            'EmoDC.from_pretrained(..., prompts=Prompts(("neutral", "happiness")))'
        )
    with _quiet():
        denoiser = open_pipeline(folder, **{**options, "revision": None})
    return denoiser, prompts, evaluation or Evaluation(), fit


def push(
    classifier: "EmoDC", repo_id: str, private: bool, training: Mapping[str, Any] | None
) -> str:
    """Upload `classifier` with a model card; see `EmoDC.push_to_hub`."""
    api = HfApi()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save(classifier, folder)
        (folder / "README.md").write_text(render(classifier, repo_id, training), encoding="utf-8")
        api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id, folder_path=folder, commit_message="An EmoDC with its model card"
        )
    return f"https://huggingface.co/{repo_id}"


def _read_card(folder: Path) -> tuple[Prompts, "Evaluation", Fit | None]:
    from emodc.diffusion.measuring import Evaluation

    try:
        card = json.loads((folder / "emodc.json").read_bytes())
        if card["format"] != FORMAT:
            raise ValueError(f"format {card['format']}, and this version reads {FORMAT}")
        texts = card["prompts"]
        tuples = {name: tuple(texts[name]) for name in ("classes", "templates")}
        fit = Fit.from_dict(card["fit"]) if "fit" in card else None
        return Prompts(**{**texts, **tuples}), Evaluation(**card["evaluation"]), fit
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} is not a readable EmoDC checkpoint: emodc.json: {error!r}"
        ) from error


def wants_fit(folder: Path, settings: Any) -> bool:
    """Whether a folder has no fit yet, and says that errors are measured as `settings` say.

    Args:
        folder: A folder written by `save`.
        settings: Has the fields of `ErrorSettings`.

    Raises:
        CheckpointError: If it is not readable.
    """
    _, plan, fit = _read_card(folder)
    alike = _measured_alike(plan) == _measured_alike(settings)
    return alike and fit is None and not (folder / FIT_FILE).exists()


def write_fit(folder: Path, fit: Fit, settings: Any) -> None:
    """Put a fit into a folder; weights and what a digest of them covers stay as they are.

    Args:
        folder: A folder written by `save`.
        fit: Learned from errors of its model.
        settings: How these were measured; has the fields of `ErrorSettings`.
    """
    scratch = folder / f".{FIT_FILE}.{os.getpid()}"
    _write_json(scratch, {"errors": _measured_alike(settings), "fit": fit.to_dict()})
    scratch.replace(folder / FIT_FILE)


def _read_fit(folder: Path, settings: ErrorSettings) -> Fit | None:
    """The fit of a folder's `FIT_FILE`; None without one, or if errors are measured otherwise."""
    path = folder / FIT_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_bytes())
        fit = Fit.from_dict(content["fit"])
        return fit if content["errors"] == _measured_alike(settings) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not readable ({error!r}). It only calibrates the scores of `predict`: "
            "delete it, and a run that has the checkpoint writes it again."
        ) from error


def _measured_alike(settings: Any) -> dict[str, Any]:
    """The settings that the size of errors depends on."""
    kept = chosen(ErrorSettings, settings)
    del kept["level_gradient"]
    return kept


def _library(part: Any) -> str:
    """Where diffusers finds the class again: its package, or for ours the module."""
    module = type(part).__module__
    return module if module.startswith("emodc") else module.split(".")[0]


def _forget_paths(folder: Path) -> None:
    """Take out where a part was loaded from: it names people's folders and says nothing of it."""
    for path in folder.glob("*.json"):
        content = json.loads(path.read_bytes())
        kept = {k: v for k, v in content.items() if k not in ("_name_or_path", "name_or_path")}
        if len(kept) < len(content):
            _write_json(path, kept)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


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
