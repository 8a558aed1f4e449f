"""What EmoDC asks of a conditional diffusion model, whatever its network: errors under prompts.

    picture --encode--> x_0 --process, noise--> x_t --network, prompt--> predicted noise --> d

``d(c) = mean((eps_theta(x_t, t, c) - eps)^2)`` is the noise-prediction error under prompt c; it is
all that training objectives and decisions ever see of the network. An adapter is a `Denoiser`
with its own networks: `emodc.small` trains on two CPU cores, `emodc.adapters` holds those for
published pipelines.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn

from emodc.diffusion.schedule import Process

# ------------------------------------------------------------------------------------------------
# Pictures into tensors, and onto the size that a network was made for
# ------------------------------------------------------------------------------------------------

#: uint8 (H, W, 3) or (H, W), what PIL opens, or a float tensor (3, H, W) in [0, 1].
Picture = np.ndarray | Image.Image | Tensor


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (B, 3, H, W) at another (height, width): bilinear, smoothed where they shrink."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def as_tensors(images: Tensor | Sequence[Picture]) -> list[Tensor]:
    """Pictures of any sizes as float32 (3, H, W) in [0, 1].

    Args:
        images: float (B, 3, H, W) in [0, 1], or pictures; PIL's are turned upright.

    Raises:
        ValueError: If a picture has another shape or type.
    """
    if isinstance(images, Tensor):
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"expected a float tensor (B, 3, H, W) in [0, 1], got {images.dtype} "
                f"{tuple(images.shape)}"
            )
        return list(images.float())
    return [_as_tensor(picture) for picture in images]


def pixel_address(image: Tensor) -> str:
    """A name that only this picture has: a digest of its pixels (3, H, W)."""
    total = hashlib.blake2b(repr(tuple(image.shape)).encode(), digest_size=16)
    total.update(image.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _as_tensor(picture: Picture) -> Tensor:
    if isinstance(picture, Tensor):
        if picture.ndim != 3 or len(picture) != 3 or not picture.is_floating_point():
            raise ValueError(
                f"expected a float tensor (3, H, W) in [0, 1], got {picture.dtype} "
                f"{tuple(picture.shape)}"
            )
        return picture.float()
    if isinstance(picture, Image.Image):
        picture = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    pixels = np.asarray(picture)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"expected uint8 pictures (H, W, 3), got {pixels.dtype} {tuple(pixels.shape)}"
        )
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255.0


# ------------------------------------------------------------------------------------------------
# Errors under prompts
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conditions:
    """Encoded prompts.

    Attributes:
        hidden: Text hidden states (P, L, D).
        pooled: One vector per prompt (P, E), for networks that want it too.
    """

    hidden: Tensor
    pooled: Tensor | None = None

    def __len__(self) -> int:
        return len(self.hidden)

    def __getitem__(self, rows: Any) -> "Conditions":
        """The conditions of some prompts: a slice or an int64 tensor of indices."""
        return Conditions(self.hidden[rows], None if self.pooled is None else self.pooled[rows])


class Denoiser(nn.Module, ABC):
    """The parts of a diffusers folder, and the errors they make together.

    Attributes:
        shared_trunk: Whether one row scores all prompts, for less than a row each.
        rows: Network rows of one pass without gradients; bounds memory.
        network_method: Name of the network's method that scores rows; what is compiled.
        process: The forward process and the prediction type.
    """

    shared_trunk: ClassVar[bool] = False
    network_method: ClassVar[str] = "forward"
    rows: int = 32
    process: Process

    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """Networks, tokenizers and scheduler, under the names that diffusers gives them."""

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """x_0, float32 (B, C, H, W), of float32 (B, 3, h, w) images in [0, 1] of any size."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> Conditions:
        """The conditions of P prompts."""

    @abstractmethod
    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        """The network's own output, one condition per row.

        Args:
            noisy: x_t, float32 (B, C, H, W).
            timesteps: int64 (B,).
            conditions: Of B prompts.
        """

    @property
    @abstractmethod
    def text_modules(self) -> list[nn.Module]:
        """The modules that only the conditioning passes through."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The denoising network itself."""

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side in pixels that pictures are resized to."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.process.signal.device

    def decode(self, latents: Tensor) -> Tensor | None:
        """Images (B, 3, h, w), about in [0, 1], of x_0; None if the codec has no way back.

        The self-test looks at them, and `denoised` makes them.
        """
        return None

    @property
    def predicts_noise(self) -> bool:
        """Whether `errors` are those of predicted noise; the matched control's are not."""
        return True

    @property
    def keeps_noise_white(self) -> bool:
        """Whether white noise in the picture is white noise in x_0: no nonlinear encoder."""
        return False

    def pixel_noise(self, images: Tensor) -> Tensor:
        """Estimated white noise in x_0's channels, float32 (B, C), of images (B, 3, h, w).

        Only what exceeds the training pictures' own grain counts.

        Raises:
            ValueError: If white noise does not stay white.
        """
        raise ValueError("noise-aware evaluation needs pixels or an orthogonal codec, not a VAE")

    def errors(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        noise: Tensor,
        conditions: Conditions,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """Noise-prediction errors of several prompts on the same noisy latents.

        Args:
            noisy: x_t, float32 (B, C, H, W).
            timesteps: int64 (B,).
            noise: The noise to be predicted, float32 (B, C, H, W).
            conditions: Of P prompts.
            chosen: Which prompts to score on each row, int64 (B, M); all P if not given.

        Returns:
            d, float32 (B, M): squared error averaged over C, H and W.
        """
        if chosen is None:
            chosen = torch.arange(len(conditions), device=noisy.device).expand(len(noisy), -1)
        count = chosen.shape[1]
        repeated, times = noisy.repeat_interleave(count, 0), timesteps.repeat_interleave(count)
        output = self.predict(repeated, times, conditions[chosen.flatten()])
        with torch.autocast(noisy.device.type, enabled=False):
            predicted = self.process.predicted_noise(output, repeated, times)
            wrong = predicted.unflatten(0, (-1, count)) - noise[:, None]
            return wrong.square().flatten(2).mean(dim=2)


# ------------------------------------------------------------------------------------------------
# A picture made clean by a diffusion model: noise is added, and the model's estimate is kept.
#
# One step is Carlini et al. 2023 (arXiv 2206.10550): at a timestep t, with a = signal and b =
# noise,
#
#     x_t = a x_0 + b eps,    x_0^ = (x_t - b eps_theta(x_t, t)) / a,
#
# the least-squares estimate of x_0 given x_t where eps_theta is that of eps. Several steps are DDIM
# without noise of its own (Song et al. 2021, arXiv 2010.02502, eq. 12 with sigma = 0), as in
# DiffPure (Nie et al. 2022, arXiv 2205.07460): from x_0^ and eps_theta the next, less noisy x_s is
# a_s x_0^ + b_s eps_theta.


def denoised(
    denoiser: Denoiser,
    images: Tensor,
    noise: Tensor,
    condition: Conditions,
    timestep: int,
    steps: int = 1,
) -> Tensor:
    """The model's estimate of pictures, differentiable.

    Args:
        denoiser: The model; it must have a way back from x_0 to pictures.
        images: float32 (B, 3, H, W) in [0, 1].
        noise: The noise that is added, as x_0: (B, C, h, w).
        condition: Of one prompt, for all pictures: the null prompt knows no class.
        timestep: How much noise is added; in [0, T).
        steps: Network passes from there to x_0; at least 1.

    Returns:
        float32 (B, 3, S, S) in [0, 1], S the denoiser's `image_size`.

    Raises:
        ValueError: If there is no way back, or no such timestep or number of steps.
    """
    process = denoiser.process
    if not 0 <= timestep < len(process) or not 1 <= steps <= timestep + 1:
        raise ValueError(
            f"timestep {timestep} and {steps} steps do not fit the {len(process)} timesteps that "
            "there are"
        )
    levels = torch.linspace(timestep, 0, steps + 1, device=images.device).round().long()[:-1]
    everyone = condition[torch.zeros(len(images), dtype=torch.long, device=images.device)]
    x = process.noised(denoiser.encode(images), noise, levels[:1].expand(len(images)))
    for number, level in enumerate(levels):
        times = level.expand(len(images))
        eps = process.predicted_noise(denoiser.predict(x, times, everyone), x, times)
        estimate = process.without(eps, x, times)
        if number + 1 < len(levels):
            x = process.noised(estimate, eps, levels[number + 1].expand(len(images)))
    pictures = denoiser.decode(estimate)
    if pictures is None:
        raise ValueError("this denoiser has no way back from x_0 to pictures")
    return pictures.clamp(0.0, 1.0)
