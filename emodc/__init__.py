"""EmoDC: emotion diffusion classifiers, usable on their own.

from emodc import EmoDC
logits = EmoDC.from_pretrained("folder")(images)
"""

from emodc.classifier import EmoDC, Evaluation, Trace
from emodc.denoiser import Denoiser, small_denoiser
from emodc.hub import CheckpointError
from emodc.latents import PatchPCA
from emodc.pipeline import EmoDCPipeline
from emodc.prompts import Prompts
from emodc.unet import SharedTrunkUNet

__all__ = [
    "CheckpointError",
    "Denoiser",
    "EmoDC",
    "EmoDCPipeline",
    "Evaluation",
    "PatchPCA",
    "Prompts",
    "SharedTrunkUNet",
    "Trace",
    "small_denoiser",
]
