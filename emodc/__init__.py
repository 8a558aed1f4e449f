"""EmoDC: emotion diffusion classifiers, usable on their own.

from emodc import EmoDC
logits = EmoDC.from_pretrained("folder")(images)
"""

from emodc.classifier import EmoDC, Evaluation, Trace
from emodc.denoiser import Conditions, Denoiser
from emodc.hub import CheckpointError
from emodc.latents import PatchPCA
from emodc.pipeline import EmoDCPipeline
from emodc.prompts import Prompts
from emodc.schedule import Process
from emodc.small import SmallDenoiser, small_denoiser
from emodc.unet import SharedTrunkUNet

__all__ = [
    "CheckpointError",
    "Conditions",
    "Denoiser",
    "EmoDC",
    "EmoDCPipeline",
    "Evaluation",
    "PatchPCA",
    "Process",
    "Prompts",
    "SharedTrunkUNet",
    "SmallDenoiser",
    "Trace",
    "small_denoiser",
]
