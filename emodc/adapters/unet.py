"""Conditional U-Nets: Stable Diffusion 1.x and 2.x, and pixel-space ones of that build."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from emodc.adapters.codec import CodecDenoiser, Pixels, clip_length, pixel_size, tokens
from emodc.diffusion.denoiser import Conditions
from emodc.diffusion.schedule import Process


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
