"""Floating-point operations of networks, counted as they compute."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

SIDE = 64  # pixels, of the picture that is counted on


def picture(device: torch.device) -> Tensor:
    """A picture without meaning, float32 (1, 3, 64, 64) in [0, 1]."""
    return torch.linspace(0.0, 1.0, 3 * SIDE * SIDE, device=device).reshape(1, 3, SIDE, SIDE)


def counted(compute: Callable[[], Any]) -> float:
    """Operations of matrix products, convolutions and attention in `compute()`.

    A multiplication and its addition are two. Nothing else is counted.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        compute()
    return float(counter.get_total_flops())
