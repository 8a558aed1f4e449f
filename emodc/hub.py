"""Checkpoint folders: an ordinary diffusers pipeline folder plus one JSON file of ours.

    model_index.json            what is in the folder, as diffusers writes it
    unet/ text_encoder/ vae/    config.json and safetensors
    tokenizer/ scheduler/       JSON
    emodc.json                  class order, prompts, evaluation

Nothing in it is executed or unpickled.
"""

import contextlib
import dataclasses
import html
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers.utils.logging
import transformers.utils.logging
import yaml
from diffusers import DiffusionPipeline
from huggingface_hub import HfApi

from emodc.adapters.open import kind_of_denoiser, local_folder, open_pipeline
from emodc.diffusion.denoiser import Denoiser
from emodc.errors import CheckpointError
from emodc.prompts import Prompts

if TYPE_CHECKING:
    from emodc.classifier import EmoDC
    from emodc.diffusion.measuring import Evaluation


class EmoDCPipeline(DiffusionPipeline):
    """The parts of a denoiser, saved and loaded by diffusers.

    It holds the parts and draws no pictures: the small models are trained on the lower half of
    the timesteps only, where classes are decided, and cannot start from pure noise.
    """

    def __init__(
        self, unet: Any, text_encoder: Any, tokenizer: Any, vae: Any, scheduler: Any
    ) -> None:
        super().__init__()
        self.register_modules(
            unet=unet,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            vae=vae,
            scheduler=scheduler,
        )


FORMAT = 2


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
    }
    _write_json(folder / "emodc.json", card)
    _write_json(folder / "model_index.json", index)


def load(
    source: str | Path,
    prompts: Prompts | None = None,
    evaluation: "Evaluation | None" = None,
    **options: Any,
) -> tuple[Denoiser, Prompts, "Evaluation"]:
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
    folder = local_folder(source, **where)
    if (folder / "emodc.json").exists():
        written, plan = _read_card(folder)
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
    return denoiser, prompts, evaluation or Evaluation()


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


def _read_card(folder: Path) -> tuple[Prompts, "Evaluation"]:
    from emodc.diffusion.measuring import Evaluation

    try:
        card = json.loads((folder / "emodc.json").read_text())
        if card["format"] != FORMAT:
            raise ValueError(f"format {card['format']}, and this version reads {FORMAT}")
        texts = card["prompts"]
        tuples = {name: tuple(texts[name]) for name in ("classes", "templates")}
        return Prompts(**{**texts, **tuples}), Evaluation(**card["evaluation"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} is not a readable EmoDC checkpoint: emodc.json: {error!r}"
        ) from error


def _library(part: Any) -> str:
    """Where diffusers finds the class again: its package, or for ours the module."""
    module = type(part).__module__
    return module if module.startswith("emodc") else module.split(".")[0]


def _forget_paths(folder: Path) -> None:
    """Take out where a part was loaded from: it names people's folders and says nothing of it."""
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
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


# ------------------------------------------------------------------------------------------------
# The model card that goes to the hub with a classifier
# ------------------------------------------------------------------------------------------------

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~-])")

#: What a classifier of facial expressions is for, and what not.
USES = """## Intended use

Research on the robustness of facial expression recognition: comparing classifiers under noise,
blur and attacks, on pictures that were collected with consent.

## Out of scope

- Judging what a person feels, intends or is like. An expression is what a face shows, not a state
  of mind; people, cultures and situations differ in what they show, so such judgements are
  unreliable.
- Decisions about people: hiring, policing, border control, schooling, insurance, health.
- Identifying or tracking people, or analysing faces without consent. The law restricts
  this in places: Article 5(1)(f) of the EU AI Act, for one, forbids systems that infer emotions of
  people at work and in education, but for medical or safety reasons.
"""

#: Of a classifier that was trained on drawn faces.
DRAWN = """## Limits

**Trained on drawn faces. Its results say nothing about real faces**: they show that the software
works, not how well the method does on people.
"""

#: Of any other.
LIMITS = """## Limits

The accuracy on groups of people that the training pictures lack is not known. If the training
pictures were drawn and not photographed, nothing here says anything about real faces.
"""

_USAGE = """## How to use

```python
from emodc import EmoDC

model = EmoDC.from_pretrained({repo})
model.predict([picture])[0][0]  # {{"label": ..., "score": ...}} of a PIL image, best first
```
"""


def render(classifier: "EmoDC", repo_id: str, training: Mapping[str, Any] | None = None) -> str:
    """The card as Markdown with a YAML head.

    Args:
        classifier: Whose card it is.
        repo_id: Where it will be.
        training: The recipe as nested mappings; `data` names the data set. Drawn faces are named
            "faces" or "faces_hard".
    """
    head = {
        "library_name": "emodc-bench",
        "pipeline_tag": "image-classification",
        "tags": ["emodc", "diffusion-classifier", "facial-expression-recognition", "diffusers"],
    }
    prompts, plan = classifier.prompts, classifier.evaluation
    texts = prompts.texts()
    per_class = len(prompts.templates)
    rows = [
        (name, "; ".join(texts[i * per_class : (i + 1) * per_class]))
        for i, name in enumerate(prompts.classes)
    ]
    rows += [("(null)", prompts.null), ("(non-class)", prompts.non_class)]
    denoiser = classifier.denoiser
    evaluation = (
        f"{plan.steps} (timestep, noise) pairs per picture in timesteps {plan.low} to {plan.high} "
        f"of {len(denoiser.process)}; seed {plan.seed}; errors in units of the "
        f"{'noise' if plan.weighting == 'noise' else 'training target'}; "
        f"{'noise-aware' if plan.noise_aware else 'not noise-aware'}. A robust accuracy belongs to "
        "the weights together with these settings."
    )
    sections = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {escaped(repo_id)}",
        "An EmoDC: a diffusion model used as a classifier of facial expressions. It adds noise to "
        "a picture, lets the network predict the noise under one prompt per class, and answers "
        "with the class whose prompt predicts it best.",
        f"Denoiser: {type(denoiser).__name__} around {type(denoiser.network).__name__}, "
        f"{sum(p.numel() for p in denoiser.network.parameters()):,} parameters, predicting "
        f"{escaped(denoiser.process.prediction)}. Weights that derive from a published pipeline "
        "keep that pipeline's licence.",
        "## Classes and prompts\n\n" + table(("class", "prompts"), rows),
        "## Evaluation\n\n" + evaluation,
        "## Training\n\n" + recipe(training),
        USES.strip(),
        (DRAWN if _is_drawn(training) else LIMITS).strip(),
        _USAGE.format(repo=repr(re.sub(r"[^\w./-]", "", repo_id))).strip(),
    ]
    return "\n\n".join(sections) + "\n"


def escaped(value: Any) -> str:
    """Any value as one line of plain text: no markup, HTML, links or table cells in it."""
    line = " ".join(str(value).split())
    return _MARKDOWN.sub(r"\\\1", html.escape(line, quote=False))


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table of escaped cells."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(escaped(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def recipe(training: Mapping[str, Any] | None) -> str:
    """How the weights came about, as a table of settings."""
    if not training:
        return "The recipe was not recorded with this upload."
    return table(("setting", "value"), _flat(training))


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for name, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):  # stages
            value = {str(number): part for number, part in enumerate(value, start=1)}
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows


def _is_drawn(training: Mapping[str, Any] | None) -> bool:
    data = (training or {}).get("data")
    if isinstance(data, Mapping):
        data = data.get("kind")
    return data in ("faces", "faces_hard")
