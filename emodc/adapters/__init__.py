"""Published diffusion pipelines as denoisers.

open.py   which folders EmoDC reads; a folder or hub id -> a denoiser
unet.py   Stable Diffusion 1.x and 2.x, pixel-space U-Nets
flow.py   Stable Diffusion 3 and 3.5
codec.py  pictures to x_0: a VAE, or the pixels; prompts to tokens
"""

from emodc.adapters.codec import Pixels
from emodc.adapters.flow import FlowDenoiser
from emodc.adapters.open import open_pipeline
from emodc.adapters.unet import UNetDenoiser

__all__ = ["FlowDenoiser", "Pixels", "UNetDenoiser", "open_pipeline"]
