"""A small U-Net whose encoder serves all prompts, and whose decoder listens to each.

It stands where a diffusers ``UNet2DConditionModel`` stands (same call, same folder format) for
runs on a few CPU cores. Picture and timestep go down through the network once; the prompt scales
and shifts the features of both blocks on the way up (FiLM, Perez et al. 2018, arXiv 1709.07871).
Seven prompts at one step therefore cost 2.7 passes (FLOPs) instead of seven.

The network does not predict the noise from nothing. It adds to `GaussianDenoiser`, the best
linear prediction channel by channel, what that leaves over (compare Karras et al. 2022,
arXiv 2206.00364, section 5). Its targets then have variance 1 in every channel at every timestep,
as whitened latents would give them, while the latents and with them white noise stay as they are.
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

from emodc.diffusion.schedule import Process, best_multiple


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


class GaussianDenoiser(nn.Module):
    """The best linear noise prediction if every channel of x_0 were Gaussian with mean 0.

    With x_t = a x_0 + b eps, a channel of standard deviation s in x_0 and v = a^2 s^2 + b^2:

        E[eps | x_t] = b / v x_t,    Var[eps | x_t] = a^2 s^2 / v.

    Args:
        channels: Latent channels C.
        timesteps: Of the forward process.
    """

    deviation: Tensor  # s, (C,)
    signal: Tensor  # a, (T,)
    noise: Tensor  # b, (T,)

    def __init__(self, channels: int, timesteps: int) -> None:
        super().__init__()
        self.register_buffer("deviation", torch.ones(channels))
        self.register_buffer("signal", torch.ones(timesteps))
        self.register_buffer("noise", torch.ones(timesteps))

    @torch.no_grad()
    def fit(self, latents: Tensor, process: Process) -> None:
        """Set the channels' deviations from x_0, (N, C, H, W), and the levels of the process."""
        self.deviation.copy_(latents.double().var(dim=(0, 2, 3)).sqrt())
        self.signal.copy_(process.signal)
        self.noise.copy_(process.noise)

    def forward(self, sample: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of x_t, float32 (B, C, H, W), at int64 timesteps (B,).

        Returns:
            E[eps | x_t], (B, C, H, W); its standard deviation, (B, C, 1, 1); x_t divided by its
            own, (B, C, H, W).
        """
        rows = (slice(None), None, None, None)
        signal, level = self.signal[timestep][rows], self.noise[timestep][rows]
        deviation = self.deviation[None, :, None, None]
        own = (signal.square() * deviation.square() + level.square()).sqrt()  # of x_t
        linear = best_multiple(signal, level, deviation.square()) * sample
        return linear, signal * deviation / own, sample / own


class Encoder(nn.Module):
    """What all prompts share: a noisy picture at a timestep, down to quarter resolution and back.

    Args:
        channels: Latent channels C.
        size: Side of the latents.
        widths: Features at full, half and quarter resolution.
        embedding: Width E of the timestep's embedding.
    """

    def __init__(
        self, channels: int, size: int, widths: tuple[int, int, int], embedding: int
    ) -> None:
        super().__init__()
        self.width = embedding
        full, half, quarter = widths
        self.time = nn.Sequential(
            nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        # x_t as it is and scaled to variance 1: the second shows faint channels, the first the
        # noise in strong ones.
        self.enter = nn.Conv2d(2 * channels, full, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(1, full, size, size))
        self.down_full = ResBlock(full, embedding)
        self.to_half = nn.Conv2d(full, half, 3, stride=2, padding=1)
        self.down_half = ResBlock(half, embedding)
        self.to_quarter = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(ResBlock(quarter, embedding) for _ in range(2))
        self.from_quarter = nn.Conv2d(quarter, half, 1)

    def forward(
        self, sample: Tensor, standard: Tensor, timestep: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features at full and half resolution, and the timestep's embedding (B, E)."""
        time = self.time(timestep_embedding(timestep, self.width))
        active = F.silu(time)
        full = self.enter(torch.cat([sample, standard], dim=1)) + self.place
        full = self.down_full(full, active)
        half = self.down_half(self.to_half(full), active)
        x = self.to_quarter(half)
        for block in self.middle:
            x = block(x, active)
        return full, half + F.interpolate(self.from_quarter(x), scale_factor=2.0), time


class Decoder(nn.Module):
    """From the encoder's features back to full resolution, once per embedding.

    Args:
        widths: Features at full and half resolution.
        embedding: Width E of the embeddings.
    """

    def __init__(self, widths: tuple[int, int], embedding: int) -> None:
        super().__init__()
        full, half = widths
        self.up_half = ResBlock(half, embedding)
        self.from_half = nn.Conv2d(half, full, 1)
        self.up_full = ResBlock(full, embedding)
        self.norm = nn.GroupNorm(8, full)

    def forward(self, full: Tensor, half: Tensor, embeddings: Tensor) -> Tensor:
        """Features (B * M, full, H, W) of encoded (B, ...) under embeddings (B, M, E)."""
        count = embeddings.shape[1]
        h = self.up_half.unconditioned(half)  # the last layer that all prompts share
        if count > 1:
            full, half, h = (each.repeat_interleave(count, dim=0) for each in (full, half, h))
        embedding = F.silu(embeddings.flatten(0, 1))
        half = self.up_half.conditioned(half, h, embedding)
        full = full + F.interpolate(self.from_half(half), scale_factor=2.0)
        return F.silu(self.norm(self.up_full(full, embedding)))


class PromptEmbedding(nn.Module):
    """From a text model's hidden states to embeddings that lie apart from the first step on.

    The class prompts differ by one word of eight. What they share is taken off, and what is left
    has length 1 on average; with weights of variance 1 it is read like an embedding table.

    Args:
        width: D of the hidden states.
        embedding: Width E of the embeddings.
    """

    shared: Tensor  # (D,)
    spread: Tensor  # ()

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.register_buffer("shared", torch.zeros(width))
        self.register_buffer("spread", torch.ones(()))
        self.layer = nn.Linear(width, embedding)
        nn.init.normal_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    @torch.no_grad()
    def fit(self, encoder_hidden_states: Tensor) -> None:
        """Learn what class prompts share, and by how much they differ; states (P, L, D)."""
        states = encoder_hidden_states.sum(dim=1)
        self.shared.copy_(states.mean(dim=0))
        self.spread.copy_((states - self.shared).square().sum(dim=1).mean().sqrt())

    def forward(self, encoder_hidden_states: Tensor) -> Tensor:
        """Embeddings (P, E) of prompts with hidden states (P, L, D)."""
        embeddings: Tensor = self.layer(
            (encoder_hidden_states.sum(dim=1) - self.shared) / self.spread
        )
        return embeddings


class LateConditionedUNet(ModelMixin, ConfigMixin):
    """Noise prediction whose encoder all prompts share.

    The text model in front of it is not trained, as Stable Diffusion's is not: `PromptEmbedding`
    reads what it says.

    Args:
        in_channels: Latent channels C.
        sample_size: Side of the latents.
        block_out_channels: Widths at full, half and quarter resolution.
        cross_attention_dim: Width D of the text encoder's hidden states.
        embedding_channels: Width of the embeddings of timestep and prompt.
        num_train_timesteps: Of the forward process.
    """

    predicts_noise: ClassVar[bool] = True

    @register_to_config
    def __init__(
        self,
        in_channels: int = 16,
        sample_size: int = 16,
        block_out_channels: tuple[int, int, int] = (32, 64, 96),
        cross_attention_dim: int = 64,
        embedding_channels: int = 128,
        num_train_timesteps: int = 1000,
    ) -> None:
        super().__init__()
        full, half, _ = block_out_channels
        self.linear = GaussianDenoiser(in_channels, num_train_timesteps)
        self.encoder = Encoder(in_channels, sample_size, block_out_channels, embedding_channels)
        self.prompt = PromptEmbedding(cross_attention_dim, embedding_channels)
        self.decoder = Decoder((full, half), embedding_channels)
        self.leave = nn.Conv2d(full, in_channels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

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
        prompts = self.prompt(encoder_hidden_states)
        noise = self._predict(sample, timestep, prompts[:, None]).squeeze(1)
        return UNetOutput(sample=noise) if return_dict else (noise,)

    def errors(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        noise: Tensor,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """Mean squared noise-prediction error of several prompts on every row.

        Args:
            sample: Noisy latents (B, C, H, W).
            timestep: int64 (B,).
            encoder_hidden_states: Text hidden states of the prompts (P, L, D).
            noise: float32 (B, C, H, W).
            chosen: Which prompts to score on each row, int64 (B, M); all P if not given.

        Returns:
            float32 (B, M).
        """
        prompts = self.prompt(encoder_hidden_states)  # (P, E)
        rows = prompts.expand(len(sample), -1, -1) if chosen is None else prompts[chosen]
        wrong = self._predict(sample, timestep, rows) - noise[:, None]
        return wrong.square().flatten(2).mean(dim=2)

    def _predict(self, sample: Tensor, timestep: Tensor, prompts: Tensor) -> Tensor:
        """Predicted noise, float32 (B, M, C, H, W), under the prompts' embeddings (B, M, E)."""
        linear, spread, standard = self.linear(sample, timestep)
        full, half, time = self.encoder(sample, standard, timestep)
        rest = self.leave(self.decoder(full, half, time[:, None] + prompts))
        rest = rest.float().unflatten(0, prompts.shape[:2])
        return linear[:, None] + spread[:, None] * rest


class UNetClassifier(ModelMixin, ConfigMixin):
    """The matched control: encoder and decoder of a `LateConditionedUNet`, and no prompt.

    Its head is one of cross-entropy. What it calls an error is the negative log-probability of a
    class at one step, so that it is trained, averaged over steps, attacked and stored exactly as an
    EmoDC. What an EmoDC does better comes from deciding by noise-prediction errors, and not from
    the network, the noise or the averaging.

    Args:
        num_classes: Number of classes K.
        in_channels: As in `LateConditionedUNet`, like the others.
        sample_size: See there.
        block_out_channels: See there.
        embedding_channels: See there.
        num_train_timesteps: See there.
    """

    predicts_noise: ClassVar[bool] = False

    @register_to_config
    def __init__(
        self,
        num_classes: int,
        in_channels: int = 16,
        sample_size: int = 16,
        block_out_channels: tuple[int, int, int] = (32, 64, 96),
        embedding_channels: int = 128,
        num_train_timesteps: int = 1000,
    ) -> None:
        super().__init__()
        full, half, _ = block_out_channels
        self.linear = GaussianDenoiser(in_channels, num_train_timesteps)
        self.encoder = Encoder(in_channels, sample_size, block_out_channels, embedding_channels)
        self.decoder = Decoder((full, half), embedding_channels)
        self.class_head = nn.Linear(16 * full, num_classes)  # of 16 means of each feature

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
        _, _, standard = self.linear(sample, timestep)
        full, half, time = self.encoder(sample, standard, timestep)
        features = self.decoder(full, half, time[:, None])
        # Means over a 4x4 grid: behind a GroupNorm the mean over the whole picture says little.
        pooled = F.adaptive_avg_pool2d(features, 4).flatten(1)
        nll = -F.log_softmax(self.class_head(pooled).float(), dim=1)
        errors = F.pad(nll, (0, len(encoder_hidden_states) - nll.shape[1]))
        return errors if chosen is None else errors.gather(1, chosen)
