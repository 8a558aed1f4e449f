"""The model card that goes to the hub with a classifier."""

import html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from emodc.classifier import EmoDC

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
