"""A small U-Net that scores every prompt for the price of one.

It stands where a diffusers ``UNet2DConditionModel`` stands (same call, same folder format) for
runs on a few CPU cores. The picture and the timestep go through the network once; the prompt
enters at the very end, where the text embedding makes the weights of the last convolution. One
trunk pass therefore serves all classes, in training (all negatives at once) and in evaluation.

That is a restriction: the predictions for two classes differ by a 1x1 map of `head_channels` shared
features, the same at every place and timestep. Plain denoising hardly trains such prompts; see
`emodc.late` for a network whose decoder reads them.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor, nn
from typing_extensions import override


@dataclass
class UNetOutput(BaseOutput):
    """What a diffusers U-Net returns: `sample`, the predicted noise (B, C, H, W)."""

    sample: Tensor


def timestep_embedding(timesteps: Tensor, width: int) -> Tensor:
    """Sinusoidal embedding of Vaswani et al. (2017), float32 (B, width)."""
    half = width // 2
    exponents = torch.arange(half, device=timesteps.device) / half
    angles = timesteps[:, None].float() * torch.exp(-math.log(10_000.0) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a scale and shift by an embedding (FiLM)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.conv2.weight)  # a block starts as the identity
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)

    def unconditioned(self, x: Tensor) -> Tensor:
        """The half before the embedding comes in."""
        h: Tensor = self.conv1(F.silu(self.norm(x)))
        return h

    def conditioned(self, x: Tensor, h: Tensor, embedding: Tensor) -> Tensor:
        """The other half, of features x (B, C, H, W), their first half h, and (B, E)."""
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)
        out: Tensor = x + self.conv2(F.silu(torch.addcmul(shift, h, 1 + scale)))
        return out

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Features (B, C, H, W) and an embedding (B, E) -> features."""
        return self.conditioned(x, self.unconditioned(x), embedding)


class Trunk(nn.Module):
    """What all prompts share: features of a noisy picture at a timestep.

    Args:
        in_channels: Latent channels C.
        block_out_channels: Widths at full, half and quarter resolution.
        head_channels: Width of the features.
        time_channels: Width of the timestep embedding.
    """

    def __init__(
        self,
        in_channels: int,
        block_out_channels: tuple[int, int, int],
        head_channels: int,
        time_channels: int,
    ) -> None:
        super().__init__()
        self.time_channels = time_channels
        full, half, quarter = block_out_channels
        self.time = nn.Sequential(
            nn.Linear(time_channels, time_channels),
            nn.SiLU(),
            nn.Linear(time_channels, time_channels),
        )
        self.enter = nn.Conv2d(in_channels, full, 3, padding=1)
        self.down_full = ResBlock(full, time_channels)
        self.to_half = nn.Conv2d(full, half, 3, stride=2, padding=1)
        self.down_half = ResBlock(half, time_channels)
        self.to_quarter = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(ResBlock(quarter, time_channels) for _ in range(2))
        self.from_quarter = nn.Conv2d(quarter, half, 1)
        self.up_half = ResBlock(half, time_channels)
        self.from_half = nn.Conv2d(half, head_channels, 1)
        self.skip_full = nn.Conv2d(full, head_channels, 1)
        self.up_full = ResBlock(head_channels, time_channels)
        self.norm = nn.GroupNorm(8, head_channels)

    def forward(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """Features (B, head_channels, H, W) of (B, C, H, W) at int64 timesteps (B,)."""
        time = F.silu(self.time(timestep_embedding(timestep, self.time_channels)))
        full = self.down_full(self.enter(sample), time)
        half = self.down_half(self.to_half(full), time)
        x = self.to_quarter(half)
        for block in self.middle:
            x = block(x, time)
        x = self.up_half(half + F.interpolate(self.from_quarter(x), scale_factor=2.0), time)
        x = self.skip_full(full) + F.interpolate(self.from_half(x), scale_factor=2.0)
        return F.silu(self.norm(self.up_full(x, time)))


class SharedTrunkUNet(ModelMixin, ConfigMixin):
    """Noise prediction with one trunk for all prompts.

    Args:
        in_channels: Latent channels C.
        block_out_channels: Widths at full, half and quarter resolution.
        head_channels: Width of the features that the prompts read.
        cross_attention_dim: Width D of the text encoder's hidden states.
        time_channels: Width of the timestep embedding.
    """

    predicts_noise: ClassVar[bool] = True
    free_prompts: ClassVar[bool] = True
    trains_text: ClassVar[bool] = True

    @register_to_config
    def __init__(
        self,
        in_channels: int = 16,
        block_out_channels: tuple[int, int, int] = (32, 64, 96),
        head_channels: int = 48,
        cross_attention_dim: int = 64,
        time_channels: int = 128,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(in_channels, block_out_channels, head_channels, time_channels)
        self.shared_head = nn.Conv2d(head_channels, in_channels, 3, padding=1)
        self.prompt_head = nn.Linear(cross_attention_dim, head_channels * in_channels)
        nn.init.zeros_(self.shared_head.weight)
        nn.init.normal_(self.prompt_head.weight, std=0.02 / math.sqrt(cross_attention_dim))
        nn.init.zeros_(self.prompt_head.bias)

    @property
    def text_layers(self) -> list[nn.Module]:
        """The layers that only the conditioning passes through."""
        return [self.prompt_head]

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        return_dict: bool = True,
    ) -> UNetOutput | tuple[Tensor]:
        """One prompt per row, as in diffusers.

        Args:
            sample: Noisy latents (B, C, H, W).
            timestep: int64 (B,) or a scalar.
            encoder_hidden_states: Text hidden states (B, L, D).
            return_dict: False returns a one-element tuple.

        Returns:
            Predicted noise (B, C, H, W).
        """
        timestep = torch.as_tensor(timestep, device=sample.device).expand(len(sample))
        features = self.trunk(sample, timestep)
        per_prompt = self.prompt_weights(encoder_hidden_states)  # (B, C, F)
        noise = self.shared_head(features) + torch.einsum("bfhw,bcf->bchw", features, per_prompt)
        return UNetOutput(sample=noise) if return_dict else (noise,)

    def errors(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        noise: Tensor,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """Mean squared noise-prediction error of every prompt on every row.

        With features f, shared head s and prompt weights W_p, the prediction is s + W_p f, so

            |s + W_p f - noise|^2 = |r|^2 + 2 <W_p, r f^T> + <W_p^T W_p, f f^T>,   r = s - noise.

        The two products with f^T do not depend on the prompt: the predictions of all prompts are
        scored without being written out.

        Args:
            sample: Noisy latents (B, C, H, W).
            timestep: int64 (B,).
            encoder_hidden_states: Text hidden states of the prompts (P, L, D).
            noise: float32 (B, C, H, W).
            chosen: Which prompts to score on each row, int64 (B, M); all P if not given.

        Returns:
            float32 (B, M).
        """
        features = self.trunk(sample, timestep)
        residual = (self.shared_head(features).float() - noise).flatten(2)  # (B, C, HW)
        weights = self.prompt_weights(encoder_hidden_states)
        with torch.autocast(sample.device.type, enabled=False):  # sums in float32
            f, w = features.flatten(2).float(), weights.float()
            outer = residual @ f.mT  # (B, C, F)
            gram = f @ f.mT  # (B, F, F)
            linear = outer.flatten(1) @ w.flatten(1).T
            quadratic = gram.flatten(1) @ (w.mT @ w).flatten(1).T
            total = residual.square().sum(dim=(1, 2))[:, None] + 2.0 * linear + quadratic
        errors = total / noise[0].numel()
        return errors if chosen is None else errors.gather(1, chosen)

    def prompt_weights(self, encoder_hidden_states: Tensor) -> Tensor:
        """The prompt's own 1x1 output convolution, (P, C, head_channels)."""
        pooled = encoder_hidden_states.mean(dim=1)
        return self.prompt_head(pooled).unflatten(1, (self.config.in_channels, -1))


class MatchedControlNetwork(ModelMixin, ConfigMixin):
    """What matched controls share: an EmoDC's features of noised inputs, with a cross-entropy head.

    What it calls an error is the negative log-probability of a class at one step, so that it is
    trained, averaged over steps, attacked and stored exactly as an EmoDC. What an EmoDC does better
    comes from deciding by noise-prediction errors, and not from the network, the noise or the
    averaging.
    """

    predicts_noise: ClassVar[bool] = False
    free_prompts: ClassVar[bool] = True
    class_head: nn.Linear  # from 16 means of each feature

    def features(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """Features (B, F, H, W) of noisy latents (B, C, H, W) at timesteps (B,)."""
        raise NotImplementedError

    def errors(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        noise: Tensor,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """-log p(class | x_t), float32 (B, M), from what an EmoDC's `errors` takes.

        The first K prompts are the classes, one each; prompts that name none cost nothing (zero).
        """
        # Means over a 4x4 grid: behind a GroupNorm the mean over the whole picture says little.
        pooled = F.adaptive_avg_pool2d(self.features(sample, timestep), 4).flatten(1)
        nll = -F.log_softmax(self.class_head(pooled).float(), dim=1)
        errors = F.pad(nll, (0, len(encoder_hidden_states) - nll.shape[1]))
        return errors if chosen is None else errors.gather(1, chosen)


class SharedTrunkClassifier(MatchedControlNetwork):
    """The matched control of `SharedTrunkUNet`: the same trunk.

    Args:
        num_classes: Number of classes K.
        in_channels: As in `SharedTrunkUNet`, like the others.
        block_out_channels: See there.
        head_channels: See there.
        time_channels: See there.
    """

    @register_to_config
    def __init__(
        self,
        num_classes: int,
        in_channels: int = 16,
        block_out_channels: tuple[int, int, int] = (32, 64, 96),
        head_channels: int = 48,
        time_channels: int = 128,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(in_channels, block_out_channels, head_channels, time_channels)
        self.class_head = nn.Linear(16 * head_channels, num_classes)

    @override
    def features(self, sample: Tensor, timestep: Tensor) -> Tensor:
        features: Tensor = self.trunk(sample, timestep)
        return features
