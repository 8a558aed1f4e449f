"""Small latents without a trained autoencoder: principal components of image patches.

Plays the part of the VAE in the checkpoint folder. It is linear, so it costs nothing, loses about
1 % of the variance and passes gradients to the pixels exactly.
"""

from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from emodc.diffusion.noise_aware import noise_level


class PatchPCA(ModelMixin, ConfigMixin):
    """RGB images in [0, 1] of any size -> latents (B, channels, size/patch, size/patch).

    Args:
        image_size: Side in pixels that pictures are resized to.
        patch: Side of a patch in pixels.
        channels: Principal components kept, at most ``3 * patch**2``.
        whitening: Power p of the component scale std**-p: 0 keeps white pixel noise white, 1 gives
            all components the same variance and with it amplifies grain.
    """

    # ModelMixin moves this one aside unless the config says otherwise.
    config_name = "config.json"

    @register_to_config
    def __init__(
        self, image_size: int = 64, patch: int = 4, channels: int = 16, whitening: float = 0.75
    ) -> None:
        super().__init__()
        if image_size % patch:
            raise ValueError(f"patches of {patch} px do not tile an image of {image_size} px")
        if channels > 3 * patch**2:
            raise ValueError(f"a patch of {patch} px has {3 * patch**2} components, not {channels}")
        self.image_size, self.patch = image_size, patch
        self.shape = (channels, image_size // patch, image_size // patch)
        self.register_buffer("mean", torch.zeros(3 * patch**2))
        self.register_buffer("components", torch.zeros(channels, 3 * patch**2))
        self.register_buffer("grain", torch.zeros(()))  # noise level of ordinary pictures

    @classmethod
    def fit(cls, images: Tensor, **config: Any) -> Self:
        """The components of `images`, uint8 (N, 3, H, W); a thousand pictures are plenty."""
        codec = cls(**config)
        patches = (
            codec._patches(codec._resized(images.float() / 255.0))
            .permute(0, 2, 3, 1)
            .flatten(0, 2)
            .double()
        )
        mean = patches.mean(0)
        variances, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        keep = codec.shape[0]
        variances, vectors = variances.flip(0)[:keep], vectors.flip(1)[:, :keep]
        # An eigenvector's sign is the linear algebra library's whim; pin it.
        vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        scale = variances.clamp_min(1e-6) ** (-codec.config.whitening / 2)
        scale = scale / (variances * scale.square()).mean().sqrt()  # unit mean variance
        codec.mean.copy_(mean)
        codec.components.copy_((vectors * scale).T)
        codec.grain.copy_(noise_level(codec._resized(images.float() / 255.0)).quantile(0.95))
        return codec

    def encode(self, images: Tensor) -> Tensor:
        """Latents, float32 (B, *shape), of images float32 (B, 3, H, W) in [0, 1]."""
        centred = self._patches(self._resized(images)) - self.mean[:, None, None]
        return F.conv2d(centred, self.components[:, :, None, None])

    def decode(self, latents: Tensor) -> Tensor:
        """Images, float32 (B, 3, S, S), about in [0, 1], without the components that were left out.

        The rows of `components` are orthogonal, so that each divided by its squared length is the
        way back.
        """
        lengths = self.components.square().sum(dim=1, keepdim=True).clamp_min(1e-12)
        back = (self.components / lengths).T
        patches = F.conv2d(latents, back[:, :, None, None]) + self.mean[:, None, None]
        return (F.pixel_shuffle(patches, self.patch) + 1.0) / 2.0

    def noise_in_latents(self, images: Tensor) -> Tensor:
        """Estimated noise of each latent channel, float32 (B, C), beyond the usual grain."""
        level = noise_level(self._resized(images))
        excess = (level.square() - self.grain.square()).clamp_min(0.0).sqrt()
        gain = 2.0 * self.components.square().sum(dim=1).sqrt()  # [0, 1] is [-1, 1] inside
        return excess[:, None] * gain

    def _resized(self, images: Tensor) -> Tensor:
        if images.shape[-2:] == (self.image_size, self.image_size):
            return images
        return F.interpolate(
            images, (self.image_size, self.image_size), mode="bilinear", antialias=True
        )

    def _patches(self, images: Tensor) -> Tensor:
        return F.pixel_unshuffle(images * 2.0 - 1.0, self.patch)
