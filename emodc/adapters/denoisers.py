"""The networks of published pipelines as denoisers.

Stable Diffusion 1.x and 2.x and pixel-space U-Nets of that build; Stable Diffusion 3 and 3.5.
"""

from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from typing_extensions import override

from emodc.diffusion.denoiser import Conditions, Denoiser, resized
from emodc.diffusion.noise_aware import noise_level
from emodc.diffusion.schedule import Process

# ------------------------------------------------------------------------------------------------
# From pictures to x_0 and back: an autoencoder, or the pixels.


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


# ------------------------------------------------------------------------------------------------
# Conditional U-Nets.


class UNetDenoiser(CodecDenoiser):
    """A diffusers `UNet2DConditionModel` with a CLIP text model.

    Args:
        unet: Predicts eps, v or x_0, as the scheduler says. A second half of its output channels
            (a learned variance) is ignored.
        text_encoder: A CLIP text model.
        tokenizer: Its tokenizer.
        vae: An `AutoencoderKL`, or `Pixels` for U-Nets without one. Differentiable, never trained.
        scheduler: A diffusers scheduler.

    Raises:
        ValueError: If the U-Net wants more than a noisy picture, a time and text hidden states.
    """

    rows: int = 16

    def __init__(
        self, unet: Any, text_encoder: Any, tokenizer: Any, vae: Any, scheduler: Any
    ) -> None:
        super().__init__()
        self.unet, self.text_encoder, self.vae = unet, text_encoder, vae.requires_grad_(False)
        self.tokenizer, self.scheduler = tokenizer, scheduler
        self.process = Process.of_scheduler(scheduler)
        self._refuse_other_inputs()
        self.size = pixel_size(vae, unet.config.sample_size)
        self.eval()

    @override
    def parts(self) -> dict[str, Any]:
        names = ("unet", "text_encoder", "tokenizer", "vae", "scheduler")
        return {name: getattr(self, name) for name in names}

    @property
    def text_modules(self) -> list[nn.Module]:
        """The text model."""
        return [self.text_encoder]

    @property
    def network(self) -> nn.Module:
        """The U-Net."""
        return self.unet

    @override
    def encode_texts(self, texts: Sequence[str]) -> Conditions:
        """In float32 always: it happens once, and classes differ by a word."""
        length = clip_length(self.tokenizer, self.text_encoder)
        ids, mask = tokens(self.tokenizer, texts, length, self.device)
        # Text models that were trained without looking at the padding say so; CLIP's were not.
        looks = getattr(self.text_encoder.config, "use_attention_mask", False)
        with torch.autocast(self.device.type, enabled=False):
            output = self.text_encoder(ids, attention_mask=mask if looks else None)
        return Conditions(output.last_hidden_state)

    @override
    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        dtype = self.unet.dtype
        output: Tensor = self.unet(
            noisy.to(dtype),
            self.process.told[timesteps],
            encoder_hidden_states=conditions.hidden.to(dtype),
        ).sample
        return output[:, : noisy.shape[1]]

    @property
    def keeps_noise_white(self) -> bool:
        """Pixels do; a VAE colours white noise."""
        return isinstance(self.vae, Pixels)

    @override
    def pixel_noise(self, images: Tensor) -> Tensor:
        if not self.keeps_noise_white:
            return super().pixel_noise(images)
        noise: Tensor = self.vae.noise_in_latents(images)
        return noise

    def _refuse_other_inputs(self) -> None:
        config = self.unet.config
        for name in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type"):
            if config.get(name) is not None:
                raise ValueError(
                    f"the U-Net wants an input of its own ({name}: {config[name]}); EmoDC gives it "
                    "a noisy picture, a time and text hidden states"
                )
        channels = 3 if isinstance(self.vae, Pixels) else self.vae.config.latent_channels
        if config.in_channels != channels:
            raise ValueError(
                f"the U-Net reads {config.in_channels} channels and the codec makes {channels}; "
                "inpainting and depth models are not denoisers of pictures alone"
            )
        width = self.text_encoder.config.hidden_size
        if config.cross_attention_dim != width:
            raise ValueError(
                f"the U-Net reads text of width {config.cross_attention_dim} and the text model "
                f"writes {width}"
            )


# ------------------------------------------------------------------------------------------------
# Rectified-flow transformers.


#: Tokens that the T5 encoder's part of a prompt is padded to.
T5_TOKENS = 256


class FlowDenoiser(CodecDenoiser):
    """A diffusers `SD3Transformer2DModel` with two CLIP text models and, if there is one, a T5.

    Args:
        transformer: Predicts the velocity eps - x_0.
        text_encoder: A CLIP text model with projection.
        tokenizer: Its tokenizer.
        text_encoder_2: Another one.
        tokenizer_2: Its tokenizer.
        vae: An `AutoencoderKL`. Differentiable, never trained.
        scheduler: A flow-matching scheduler.
        text_encoder_3: A T5 encoder. Its part of a prompt is zeros if it is left out, which the
            transformer was trained to accept; it is by far the largest part, and never trained.
        tokenizer_3: Its tokenizer.

    Raises:
        ValueError: If the scheduler is not a flow's, or the parts do not fit each other.
    """

    rows: int = 8

    def __init__(
        self,
        transformer: Any,
        text_encoder: Any,
        tokenizer: Any,
        text_encoder_2: Any,
        tokenizer_2: Any,
        vae: Any,
        scheduler: Any,
        text_encoder_3: Any = None,
        tokenizer_3: Any = None,
    ) -> None:
        super().__init__()
        self.transformer, self.vae = transformer, vae.requires_grad_(False)
        self.text_encoder, self.tokenizer = text_encoder, tokenizer
        self.text_encoder_2, self.tokenizer_2 = text_encoder_2, tokenizer_2
        self.text_encoder_3, self.tokenizer_3 = text_encoder_3, tokenizer_3
        self.scheduler = scheduler
        self.process = Process.of_scheduler(scheduler)
        if self.process.prediction != "flow":
            raise ValueError(f"{type(scheduler).__name__} is not the scheduler of a flow")
        if transformer.config.in_channels != vae.config.latent_channels:
            raise ValueError(
                f"the transformer reads {transformer.config.in_channels} channels and the VAE "
                f"makes {vae.config.latent_channels}"
            )
        if text_encoder_3 is not None:
            text_encoder_3.requires_grad_(False)
        self.size = pixel_size(vae, transformer.config.sample_size)
        self.eval()

    @override
    def parts(self) -> dict[str, Any]:
        """The T5 and its tokenizer may be None."""
        names = ("transformer", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2",
                 "text_encoder_3", "tokenizer_3", "vae", "scheduler")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    @property
    def text_modules(self) -> list[nn.Module]:
        """The two CLIP text models."""
        return [self.text_encoder, self.text_encoder_2]

    @property
    def network(self) -> nn.Module:
        """The transformer."""
        return self.transformer

    @override
    def encode_texts(self, texts: Sequence[str]) -> Conditions:
        """Hidden states of both CLIP models and the T5 as one sequence, and a pooled vector.

        The CLIP models' last states but one stand side by side, filled up with zeros to the width
        of the T5; the T5's states follow. The pooled vector is the two CLIP projections. In float32
        always: it happens once, and classes differ by a word.
        """
        with torch.autocast(self.device.type, enabled=False):
            clips = [
                self._clip(self.text_encoder, self.tokenizer, texts),
                self._clip(self.text_encoder_2, self.tokenizer_2, texts),
            ]
            long = self._t5(texts)
        states = torch.cat([hidden for hidden, _ in clips], dim=-1)
        states = F.pad(states, (0, long.shape[-1] - states.shape[-1]))
        pooled = torch.cat([projection for _, projection in clips], dim=-1)
        return Conditions(torch.cat([states, long], dim=1), pooled)

    @override
    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        assert conditions.pooled is not None
        dtype = self.transformer.dtype
        output: Tensor = self.transformer(
            hidden_states=noisy.to(dtype),
            timestep=self.process.told[timesteps],
            encoder_hidden_states=conditions.hidden.to(dtype),
            pooled_projections=conditions.pooled.to(dtype),
        ).sample
        return output

    def train(self, mode: bool = True) -> Self:
        """Switch mode; the T5, which has dropout and is not trained, stays as it is."""
        super().train(mode)
        if self.text_encoder_3 is not None:
            self.text_encoder_3.eval()
        return self

    def _clip(
        self, text_encoder: Any, tokenizer: Any, texts: Sequence[str]
    ) -> tuple[Tensor, Tensor]:
        """States (P, L, D) and projection (P, E)."""
        ids, _ = tokens(tokenizer, texts, clip_length(tokenizer, text_encoder), self.device)
        output = text_encoder(ids, output_hidden_states=True)
        return output.hidden_states[-2], output.text_embeds

    def _t5(self, texts: Sequence[str]) -> Tensor:
        """States (P, T5_TOKENS, D)."""
        if self.text_encoder_3 is None:
            width = self.transformer.config.joint_attention_dim
            return torch.zeros(len(texts), T5_TOKENS, width, device=self.device)
        ids, _ = tokens(self.tokenizer_3, texts, T5_TOKENS, self.device)
        with torch.no_grad():
            states: Tensor = self.text_encoder_3(ids).last_hidden_state
        return states.float()
