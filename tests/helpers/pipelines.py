"""Tiny random pipelines of every build that EmoDC reads."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
)

from bench.util import rng
from emodc import (
    Denoiser,
    FlowDenoiser,
    Pixels,
    Prompts,
    SmallDenoiser,
    UNetDenoiser,
    small_denoiser,
)
from emodc.small import word_tokenizer

PROMPTS = Prompts(("neutral", "happiness", "sadness"))
TEXT = {
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 12,
}


def clip_tokenizer() -> CLIPTokenizer:
    """Byte pairs that make every letter a token; no more than an English prompt needs."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    vocabulary = {name: number for number, name in enumerate(names)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=12)


def text_model(cls: Any, tokenizer: Any, width: int, **more: Any) -> Any:
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos")}
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, pad_token_id=0, **ids, **TEXT, **more
    )
    return cls(config)


def autoencoder(channels: int, **more: Any) -> AutoencoderKL:
    """Pictures of 16 px to latents of 8."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=16,
        **more,
    )


def network(channels: int, size: int, **more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        out_channels=more.pop("out_channels", channels),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
        **more,
    )


def latent_unet(prediction: str = "epsilon") -> UNetDenoiser:
    tokenizer = clip_tokenizer()
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", prediction_type=prediction)
    text = text_model(CLIPTextModel, tokenizer, 16)
    return UNetDenoiser(network(4, 8), text, tokenizer, autoencoder(4), scheduler)


def pixel_unet() -> UNetDenoiser:
    tokenizer = word_tokenizer(PROMPTS.texts())
    text = text_model(CLIPTextModel, tokenizer, 16)
    scheduler = DDIMScheduler(prediction_type="sample")
    return UNetDenoiser(network(3, 16), text, tokenizer, Pixels(16), scheduler)


def flow(t5: bool = False) -> FlowDenoiser:
    tokenizer = clip_tokenizer()
    third: tuple[Any, Any] = (None, None)
    if t5:
        words = word_tokenizer(PROMPTS.texts())
        config = T5Config(
            vocab_size=len(words), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2
        )
        third = (T5EncoderModel(config), words)
    transformer = SD3Transformer2DModel(
        sample_size=8,
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=24,
        out_channels=16,
        pos_embed_max_size=12,
    )
    vae = autoencoder(
        16,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    clips = [
        text_model(CLIPTextModelWithProjection, tokenizer, width, projection_dim=12)
        for width in (8, 16)
    ]
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    return FlowDenoiser(
        transformer, clips[0], tokenizer, clips[1], tokenizer, vae, scheduler, *third
    )


#: Every kind of pipeline by a short name.
TINY: dict[str, Callable[[], Denoiser]] = {
    "latent unet": latent_unet,
    "v unet": lambda: latent_unet("v_prediction"),
    "pixel unet": pixel_unet,
    "flow": flow,
    "flow with t5": lambda: flow(t5=True),
}


def tiny(kind: str) -> Denoiser:
    """A random denoiser, the same at every call."""
    with rng.fenced("tiny pipeline", kind):
        denoiser = TINY[kind]()
        for parameter in denoiser.network.parameters():
            if not parameter.any():  # layers that start at zero would hide what they read
                torch.nn.init.normal_(parameter, std=0.02)
    return denoiser.eval()


def small(images: torch.Tensor, prompts: Prompts) -> SmallDenoiser:
    """The small network, nearly random, that treats its classes differently."""
    with rng.fenced("small"):
        denoiser = small_denoiser(images, prompts, block_out_channels=(8, 8, 8), text_width=16)
        for name, parameter in denoiser.unet.named_parameters():
            if "conv2.weight" in name or "leave.weight" in name:  # zero at first
                torch.nn.init.normal_(parameter, std=0.1)
    return denoiser
