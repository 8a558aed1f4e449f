"""The small models' folders as a pipeline of diffusers.

Apart from `emodc.hub`, which every run needs: a pipeline's base class brings all networks of
diffusers along, half a second of imports.
"""

from typing import Any

from diffusers import DiffusionPipeline


class EmoDCPipeline(DiffusionPipeline):
    """The parts of a denoiser, saved and loaded by diffusers.

    It holds the parts and draws no pictures: the small models are trained on the lower half of
    the timesteps only, where classes are decided, and cannot start from pure noise.
    """

    def __init__(
        self, unet: Any, text_encoder: Any, tokenizer: Any, vae: Any, scheduler: Any
    ) -> None:
        super().__init__()
        self.register_modules(
            unet=unet,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            vae=vae,
            scheduler=scheduler,
        )
