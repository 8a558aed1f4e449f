"""Published diffusion pipelines as denoisers.

open.py        which folders EmoDC reads; a folder or hub id -> a denoiser; what a published U-Net
               costs, before it is fetched
denoisers.py   Stable Diffusion 1.x and 2.x, pixel-space U-Nets; Stable Diffusion 3 and 3.5; what
               they share: pictures to x_0 (a VAE, or the pixels), prompts to tokens
"""

from emodc.adapters.denoisers import FlowDenoiser, Pixels, UNetDenoiser
from emodc.adapters.open import open_pipeline

__all__ = ["FlowDenoiser", "Pixels", "UNetDenoiser", "open_pipeline"]
