"""Which pipeline folders EmoDC reads, told by the class names in `model_index.json`.

An allow-list: what is not on it is not loaded, and no name in a file is ever looked up outside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import transformers

from emodc.adapters.codec import Pixels
from emodc.adapters.flow import FlowDenoiser
from emodc.adapters.unet import UNetDenoiser
from emodc.diffusion.denoiser import Denoiser
from emodc.errors import CheckpointError
from emodc.late import LateConditionedUNet, UNetClassifier
from emodc.latents import PatchPCA
from emodc.small import SmallDenoiser
from emodc.unet import SharedTrunkClassifier, SharedTrunkUNet

_TOKENIZERS = (
    "CLIPTokenizer",
    "CLIPTokenizerFast",
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
    "T5Tokenizer",
    "T5TokenizerFast",
)
_DIFFUSIONS = (
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
)
_NETWORKS = (SharedTrunkUNet, SharedTrunkClassifier, LateConditionedUNet, UNetClassifier)
_OURS = {cls.__name__: cls for cls in (*_NETWORKS, PatchPCA, Pixels)}
_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}

#: Parts of published pipelines that draw or filter pictures and say nothing about errors.
_UNREAD = ("safety_checker", "feature_extractor", "image_encoder")

Index = Mapping[str, Any]


@dataclass(frozen=True)
class PipelineKind:
    """One build of pipeline.

    Attributes:
        name: What to call it.
        pipeline: The diffusers class that the folder belongs to, so that it can draw with it.
        parts: The class names that each part may have.
        adapter: Takes the parts by name.
        optional: Parts that may be missing.
        extras: Entries of `model_index.json` that the pipeline class wants besides.
    """

    name: str
    pipeline: str
    parts: Mapping[str, tuple[str, ...]]
    adapter: Callable[..., Denoiser]
    optional: tuple[str, ...] = ()
    extras: tuple[tuple[str, Any], ...] = ()

    def fits(self, found: Mapping[str, str]) -> bool:
        """Whether a folder with these parts (class name by part) is of this kind."""
        return set(found) <= set(self.parts) and all(
            found.get(part) in names or (part in self.optional and part not in found)
            for part, names in self.parts.items()
        )


_CLIP = {"text_encoder": ("CLIPTextModel",), "tokenizer": _TOKENIZERS}
_EMPTY = [None, None]

KINDS = (
    PipelineKind(
        "a small EmoDC, or its matched control",
        "EmoDCPipeline",
        {
            "unet": tuple(network.__name__ for network in _NETWORKS),
            "vae": ("PatchPCA",),
            "scheduler": _DIFFUSIONS,
            **_CLIP,
        },
        SmallDenoiser,
    ),
    PipelineKind(
        "a latent U-Net (Stable Diffusion 1.x, 2.x)",
        "StableDiffusionPipeline",
        {
            "unet": ("UNet2DConditionModel",),
            "vae": ("AutoencoderKL",),
            "scheduler": _DIFFUSIONS,
            **_CLIP,
        },
        UNetDenoiser,
        extras=(
            ("safety_checker", _EMPTY),
            ("feature_extractor", _EMPTY),
            ("image_encoder", _EMPTY),
            ("requires_safety_checker", False),
        ),
    ),
    PipelineKind(
        "a pixel-space U-Net",
        "EmoDCPipeline",
        {"unet": ("UNet2DConditionModel",), "vae": ("Pixels",), "scheduler": _DIFFUSIONS, **_CLIP},
        UNetDenoiser,
    ),
    PipelineKind(
        "a flow transformer (Stable Diffusion 3.x)",
        "StableDiffusion3Pipeline",
        {
            "transformer": ("SD3Transformer2DModel",),
            "text_encoder": ("CLIPTextModelWithProjection",),
            "tokenizer": _TOKENIZERS,
            "text_encoder_2": ("CLIPTextModelWithProjection",),
            "tokenizer_2": _TOKENIZERS,
            "text_encoder_3": ("T5EncoderModel",),
            "tokenizer_3": _TOKENIZERS,
            "vae": ("AutoencoderKL",),
            "scheduler": ("FlowMatchEulerDiscreteScheduler",),
        },
        FlowDenoiser,
        optional=("text_encoder_3", "tokenizer_3"),
        extras=(("image_encoder", _EMPTY), ("feature_extractor", _EMPTY)),
    ),
)


def kind_of(index: Index, where: str) -> PipelineKind:
    """The kind of folder that a `model_index.json` describes.

    Raises:
        CheckpointError: If it is none of `KINDS`; names what was found and what is supported.
    """
    found = parts_of(index)
    strangers = [
        f"{library}.{name} as its {part}"
        for part, (library, name) in found.items()
        if library.split(".")[0] not in {*_LIBRARIES, "emodc"}
    ]
    names = {part: name for part, (_, name) in found.items()}
    matching = [kind for kind in KINDS if kind.fits(names)]
    if matching and not strangers:
        return matching[0]
    asked = strangers or [f"{name} as its {part}" for part, name in sorted(names.items())]
    supported = "; ".join(
        f"{kind.name}: {', '.join(f'{part} {names[0]}' for part, names in kind.parts.items())}"
        for kind in KINDS
    )
    raise CheckpointError(
        f"{where} asks for {', '.join(asked) or 'nothing'}, which EmoDC does not load. "
        f"It reads these builds: {supported}."
    )


def parts_of(index: Index) -> dict[str, tuple[str, str]]:
    """(library, class name) by part, without absent ones and those that EmoDC has no use for."""
    return {
        part: (str(entry[0]), str(entry[1]))
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] and part not in _UNREAD
    }


def kind_of_denoiser(denoiser: Denoiser) -> PipelineKind:
    """The kind of folder that a denoiser is saved as.

    Raises:
        ValueError: If its parts belong to no kind, for example a network of one's own.
    """
    parts = denoiser.parts()
    names = {part: type(value).__name__ for part, value in parts.items() if value is not None}
    for kind in KINDS:
        if kind.fits(names):
            return kind
    raise ValueError(f"EmoDC has no folder format for {names}")


def class_of(library: str, name: str) -> Any:
    """The class of an allowed part."""
    if library.split(".")[0] == "emodc":
        return _OURS[name]
    return getattr(_LIBRARIES[library.split(".")[0]], name)
