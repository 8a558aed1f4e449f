"""Untrained EmoDCs in the shapes that `benchmarks.full_size` measures; nothing is downloaded."""

from dataclasses import dataclass
from typing import Any

from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from bench.util import rng
from emodc import Denoiser, EmoDC, Evaluation, Prompts, UNetDenoiser, small_denoiser
from emodc.selftest import patterns
from emodc.settings import Precision
from emodc.small import word_tokenizer

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
PROMPTS = Prompts(CLASSES)
#: Sides in pixels that sizes are measured at if none is asked for. Small has no other.
PIXELS = {"full": (256, 512), "tiny": (64,), "small": (64,)}
#: What the network computes in. The last one's U-Net has bfloat16 weights, too.
PRECISIONS: dict[str, Precision] = {
    "float32": "float32",
    "bfloat16": "bfloat16",
    "bfloat16-weights": "bfloat16",
}

FULL: dict[str, dict[str, Any]] = {
    "unet": {
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "block_out_channels": (320, 640, 1280, 1280),
    },
    "vae": {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
    },
    "text": {
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
        "projection_dim": 768,
    },
}
TINY: dict[str, dict[str, Any]] = {
    "unet": {
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "block_out_channels": (8, 8, 16, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
    },
    "vae": FULL["vae"] | {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4},
    "text": FULL["text"]
    | {
        "vocab_size": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 16,
    },
}


@dataclass(frozen=True)
class Setting:
    """What is measured, and how.

    Attributes:
        size: "full" has the shapes of Stable Diffusion 1.5, "tiny" its blocks at a width that tests
            can afford, "small" is the small network with its default shapes.
        pixels: Side of a picture; the small network has one of its own.
        precision: A key of `PRECISIONS`.
        device: Where.
        rows: Of a micro-batch, as in `emodc.Engine`, like the last two.
        repeats: Micro-batches that are timed.
        compile: See there.
        channels_last: See there.
    """

    size: str
    pixels: int
    precision: str
    device: str = "auto"
    rows: int = 64
    repeats: int = 5
    compile: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        switches = ", compiled" * self.compile + ", channels last" * self.channels_last
        return f"{self.size} {self.pixels} px {self.precision}{switches}"


def classifier(setting: Setting) -> EmoDC:
    """An EmoDC with random weights."""
    with rng.fenced("full size"):
        denoiser = (
            _small() if setting.size == "small" else latent_denoiser(setting.size, setting.pixels)
        )
    if setting.precision == "bfloat16-weights":
        denoiser.network.bfloat16()
    plan = Evaluation(precision=PRECISIONS[setting.precision])
    return EmoDC(denoiser, PROMPTS, plan).eval().requires_grad_(False)


def _small() -> Denoiser:
    [side] = PIXELS["small"]
    return small_denoiser((patterns(64, side) * 255).byte(), PROMPTS)


#: Widths of Stable Diffusion 1.5's networks whose training step a CPU can afford.
WIDTHS = {
    "eighth": (40, 80, 160, 160),
    "quarter": (80, 160, 320, 320),
    "half": (160, 320, 640, 640),
}


def latent_denoiser(size: str, pixels: int) -> UNetDenoiser:
    """Stable Diffusion 1.5's networks with random weights.

    Args:
        size: "full", "tiny", or a key of `WIDTHS`: the U-Net alone is narrower, and the others are
            tiny.
        pixels: Side of a picture.
    """
    narrow = {"block_out_channels": WIDTHS.get(size), "norm_num_groups": 8}
    shapes = {"full": FULL, "tiny": TINY}.get(
        size, TINY | {"unet": FULL["unet"] | narrow | {"cross_attention_dim": 16}}
    )
    tokenizer = word_tokenizer(PROMPTS.texts())
    tokenizer.model_max_length = 77
    return UNetDenoiser(
        UNet2DConditionModel(sample_size=pixels // 8, **shapes["unet"]),
        CLIPTextModel(CLIPTextConfig(**shapes["text"])),
        tokenizer,
        AutoencoderKL(latent_channels=4, sample_size=pixels, **shapes["vae"]),
        PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
    )
