"""EmoDC: emotion diffusion classifiers, usable on their own.

from emodc import EmoDC
logits = EmoDC.from_pretrained("folder")(images)
"""

from emodc.adapters import FlowDenoiser, Pixels, UNetDenoiser, open_pipeline
from emodc.classifier import EmoDC, Evaluation, Trace
from emodc.denoiser import Conditions, Denoiser
from emodc.errors import CheckpointError
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
    "FlowDenoiser",
    "PatchPCA",
    "Pixels",
    "Process",
    "Prompts",
    "SharedTrunkUNet",
    "SmallDenoiser",
    "Trace",
    "UNetDenoiser",
    "open_pipeline",
    "small_denoiser",
]
