"""EmoDC: emotion diffusion classifiers, usable on their own.

from emodc import EmoDC
logits = EmoDC.from_pretrained("folder")(images)

Names are imported when they are first used, so that `emodc.analysis`, which is arithmetic on
arrays, does not bring in torch: a report needs the one and not the other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emodc.adapters import FlowDenoiser, Pixels, UNetDenoiser, open_pipeline
    from emodc.adapters.open import CheckpointError
    from emodc.classifier import EmoDC
    from emodc.decisions.live import Engine, Verdict
    from emodc.diffusion.denoiser import Conditions, Denoiser
    from emodc.diffusion.measuring import Evaluation, Trace
    from emodc.diffusion.schedule import Process
    from emodc.latents import PatchPCA
    from emodc.pipeline import EmoDCPipeline
    from emodc.settings import Prompts
    from emodc.small import SmallDenoiser, small_control, small_denoiser
    from emodc.unet import LateConditionedUNet, UNetClassifier

__all__ = [
    "CheckpointError",
    "Conditions",
    "Denoiser",
    "EmoDC",
    "EmoDCPipeline",
    "Engine",
    "Evaluation",
    "FlowDenoiser",
    "LateConditionedUNet",
    "PatchPCA",
    "Pixels",
    "Process",
    "Prompts",
    "SmallDenoiser",
    "Trace",
    "UNetClassifier",
    "UNetDenoiser",
    "Verdict",
    "open_pipeline",
    "small_control",
    "small_denoiser",
]

_MODULES = {
    "adapters": ("FlowDenoiser", "Pixels", "UNetDenoiser", "open_pipeline"),
    "adapters.open": ("CheckpointError",),
    "classifier": ("EmoDC",),
    "diffusion.denoiser": ("Conditions", "Denoiser"),
    "diffusion.measuring": ("Evaluation", "Trace"),
    "latents": ("PatchPCA",),
    "decisions.live": ("Engine", "Verdict"),
    "pipeline": ("EmoDCPipeline",),
    "settings": ("Prompts",),
    "diffusion.schedule": ("Process",),
    "small": ("SmallDenoiser", "small_control", "small_denoiser"),
    "unet": ("LateConditionedUNet", "UNetClassifier"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"emodc.{module}"), name)
    raise AttributeError(f"module 'emodc' has no attribute {name!r}")
