"""The conditional denoiser behind EmoDC: the parts of a diffusers folder, and the errors they make.

    picture --codec--> latents --schedule + noise--> x_t --U-Net, prompt--> predicted noise -> d

``d(c) = mean((eps_theta(x_t, t, c) - eps)^2)`` is the noise-prediction error under prompt c; it is
all that training objectives and decisions ever see of the network.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerBase

from emodc.latents import PatchPCA
from emodc.prompts import Prompts, word_tokenizer
from emodc.schedule import add_noise, alphas_cumprod, cosine_scheduler
from emodc.unet import SharedTrunkUNet


class Denoiser(nn.Module):
    """U-Net, text encoder, tokenizer, codec and scheduler, under the names diffusers gives them.

    Args:
        unet: Predicts noise from (noisy latents, timestep, text hidden states).
        text_encoder: A CLIP text model.
        tokenizer: Its tokenizer.
        vae: The image codec: `encode(images in [0, 1]) -> latents`.
        scheduler: A diffusers scheduler with noise prediction.
    """

    alpha_bar: Tensor

    def __init__(
        self,
        unet: SharedTrunkUNet,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerBase,
        vae: PatchPCA,
        scheduler: Any,
    ) -> None:
        super().__init__()
        self.unet, self.text_encoder, self.vae = unet, text_encoder, vae
        self.tokenizer, self.scheduler = tokenizer, scheduler
        # Fused attention makes tiny text models slower on CPU, and the choice is not saved: without
        # this line a loaded checkpoint would differ in the last bit from the one that was saved.
        text_encoder.set_attn_implementation("eager")
        self.register_buffer("alpha_bar", alphas_cumprod(scheduler), persistent=False)

    def encode(self, images: Tensor) -> Tensor:
        """Latents, float32 (B, C, H, W), of float32 (B, 3, h, w) images in [0, 1]."""
        latents: Tensor = self.vae.encode(images)
        return latents

    def text_states(self, texts: Sequence[str]) -> Tensor:
        """Hidden states of the prompts (P, L, D)."""
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        states: Tensor = self.text_encoder(tokens.to(self.alpha_bar.device)).last_hidden_state
        return states

    def errors(self, latents: Tensor, noise: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        """Noise-prediction errors of every prompt on the same noisy latents.

        Args:
            latents: Clean latents (B, C, H, W).
            noise: The noise to be predicted, float32 (B, C, H, W).
            timesteps: int64 (B,).
            states: Text hidden states (P, L, D).

        Returns:
            d, float32 (B, P): squared error averaged over C, H and W.
        """
        noisy = add_noise(latents, noise, self.alpha_bar[timesteps])
        errors: Tensor = self.unet.errors(noisy, timesteps, states, noise)
        return errors


def small_denoiser(
    images: Tensor,
    prompts: Prompts,
    *,
    image_size: int = 64,
    latent_channels: int = 16,
    patch: int = 4,
    block_out_channels: tuple[int, int, int] = (32, 64, 96),
    head_channels: int = 48,
    text_width: int = 64,
) -> Denoiser:
    """An untrained denoiser that two CPU cores can train; weights come from the global RNG.

    Args:
        images: uint8 (N, 3, H, W) to fit the latents on.
        prompts: Their words make the tokenizer's vocabulary.
        image_size: Side in pixels that pictures are resized to.
        latent_channels: Channels of a latent.
        patch: Pixels of the image side that become one latent position.
        block_out_channels: Widths of the U-Net.
        head_channels: Width of the features that the prompts read.
        text_width: Width of the text encoder.
    """
    tokenizer = word_tokenizer(prompts.texts())
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=text_width,
            intermediate_size=2 * text_width,
            projection_dim=text_width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=tokenizer.model_max_length,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    vae = PatchPCA.fit(images, image_size=image_size, patch=patch, channels=latent_channels)
    unet = SharedTrunkUNet(
        in_channels=latent_channels,
        block_out_channels=block_out_channels,
        head_channels=head_channels,
        cross_attention_dim=text_width,
    )
    return Denoiser(unet, text_encoder, tokenizer, vae, cosine_scheduler())
