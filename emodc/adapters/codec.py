"""From pictures to x_0 and back (an autoencoder, or the pixels), and from texts to tokens."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from typing_extensions import override

from emodc.diffusion.denoiser import Denoiser, resized
from emodc.diffusion.noise_aware import noise_level


class Pixels(ModelMixin, ConfigMixin):
    """Pictures in [-1, 1] as x_0, for pixel-space U-Nets; stands where a VAE stands in a folder.

    Args:
        image_size: Side in pixels that pictures are resized to.
    """

    # ModelMixin moves this one aside unless the config says otherwise.
    config_name = "config.json"

    @register_to_config
    def __init__(self, image_size: int = 64) -> None:
        super().__init__()
        self.size = (image_size, image_size)
        self.register_buffer("grain", torch.zeros(()))  # noise level of ordinary pictures

    @classmethod
    def fit(cls, images: Tensor, **config: Any) -> Self:
        """Pixels that know the usual grain of `images`, uint8 (N, 3, H, W)."""
        codec = cls(**config)
        codec.grain.copy_(noise_level(resized(images.float() / 255.0, codec.size)).quantile(0.95))
        return codec

    def encode(self, images: Tensor) -> Tensor:
        """x_0, float32 (B, 3, size, size), of images (B, 3, H, W) in [0, 1]."""
        return resized(images, self.size) * 2.0 - 1.0

    def decode(self, latents: Tensor) -> Tensor:
        """Images in [0, 1]."""
        return (latents + 1.0) / 2.0

    def noise_in_latents(self, images: Tensor) -> Tensor:
        """Estimated noise of each channel, float32 (B, 3), beyond the usual grain."""
        level = noise_level(resized(images, self.size))
        excess = (level.square() - self.grain.square()).clamp_min(0.0).sqrt()
        return 2.0 * excess[:, None].expand(-1, 3)  # [0, 1] is [-1, 1] inside


class CodecDenoiser(Denoiser):
    """What all published pipelines share: a codec that is not trained, and one picture size.

    Attributes:
        vae: The codec; `Pixels`, or an `AutoencoderKL`.
        size: Height and width in pixels of what it encodes.
    """

    vae: Any
    size: tuple[int, int]

    @property
    @override
    def image_size(self) -> int:
        """The longer side of a network that is not square."""
        return max(self.size)

    @override
    def encode(self, images: Tensor) -> Tensor:
        return encode(self.vae, images, self.size)

    @override
    def decode(self, latents: Tensor) -> Tensor:
        return decode(self.vae, latents)

    def train(self, mode: bool = True) -> Self:
        """Switch mode; the codec stays as it is, it is not trained."""
        super().train(mode)
        self.vae.eval()
        return self


def encode(codec: Any, images: Tensor, size: tuple[int, int]) -> Tensor:
    """x_0, float32 (B, C, H, W), of images (B, 3, h, w) in [0, 1].

    A VAE's posterior mean rather than a draw: the picture is what is measured, and a draw would
    add noise that no prompt can explain.

    Args:
        codec: `Pixels`, or an `AutoencoderKL`.
        images: Any size.
        size: Height and width in pixels of what a VAE encodes.
    """
    if isinstance(codec, Pixels):
        return codec.encode(images)
    pixels = resized(images, size) * 2.0 - 1.0
    mean = codec.encode(pixels.to(codec.dtype)).latent_dist.mean.float()
    return (mean - (codec.config.shift_factor or 0.0)) * codec.config.scaling_factor


def decode(codec: Any, latents: Tensor) -> Tensor:
    """Images (B, 3, h, w), about in [0, 1], of x_0."""
    if isinstance(codec, Pixels):
        return codec.decode(latents)
    mean = latents / codec.config.scaling_factor + (codec.config.shift_factor or 0.0)
    pixels: Tensor = codec.decode(mean.to(codec.dtype)).sample
    return pixels.float() / 2.0 + 0.5


def pixel_size(codec: Any, sample_size: int | tuple[int, int] | None) -> tuple[int, int]:
    """Height and width in pixels that x_0 of the network's own size come from.

    Raises:
        ValueError: If the network does not say its size, or the VAE normalises in a way of its own.
    """
    if isinstance(codec, Pixels):
        return codec.size
    if sample_size is None:
        raise ValueError("the network's config has no sample_size; EmoDC needs one picture size")
    if getattr(codec.config, "latents_mean", None) is not None:
        raise ValueError("the VAE normalises each channel (latents_mean), which EmoDC does not do")
    height, width = (sample_size, sample_size) if isinstance(sample_size, int) else sample_size
    factor = 2 ** (len(codec.config.block_out_channels) - 1)
    return height * factor, width * factor


# ------------------------------------------------------------------------------------------------
# Texts to tokens, padded to one length: an encoding must not depend on its neighbours
# ------------------------------------------------------------------------------------------------


def tokens(
    tokenizer: Any, texts: Sequence[str], length: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, int64 (P, length)."""
    batch = tokenizer(
        list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    return batch.input_ids.to(device), batch.attention_mask.to(device)


def clip_length(tokenizer: Any, text_encoder: Any) -> int:
    """Tokens per prompt; a tokenizer that names no limit has the text model's."""
    return int(min(tokenizer.model_max_length, text_encoder.config.max_position_embeddings))
