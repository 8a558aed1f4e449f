"""How errors are measured, in what precision, and what comes of it: a trace."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from emodc.schedule import Weighting

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Evaluation:
    """How errors are measured; with the weights, this is what a robust accuracy belongs to.

    Attributes:
        steps: (timestep, noise) pairs per picture; "100-step evaluation" = 100 of them.
        low: First timestep of the range that the steps cover.
        high: End of that range (exclusive).
        seed: Names the noise bank: the same seed and sample id give the same noise.
        logit_scale: Logits are -logit_scale * mean error.
        noise_aware: Count noise that is in the picture already as a part of the forward process;
            see `emodc.noise_aware`.
        weighting: Units of the errors: those of the noise, or those of the network's own target.
        precision: What the network computes in. "auto" is bfloat16 where the processor multiplies
            it natively, else float32. Noise, schedule and errors are float32 always.
    """

    steps: int = 100
    low: int = 0
    high: int = 500
    seed: int = 0
    logit_scale: float = 40.0
    noise_aware: bool = False
    weighting: Weighting = "noise"
    precision: Precision = "auto"


@dataclass(frozen=True)
class Trace:
    """Errors of a batch of pictures.

    Attributes:
        errors: d[image, class, step], float32 (B, K, S).
        timesteps: int64 (B, S); rows differ where evaluation is noise-aware.
        classes: Names along the class axis.
        null: d under the null prompt, float32 (B, S); None if it was not asked for.
        non_class: The same for the non-class prompt.
    """

    errors: Tensor
    timesteps: Tensor
    classes: tuple[str, ...]
    null: Tensor | None = None
    non_class: Tensor | None = None


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype that `precision` means on `device`."""
    if precision == "auto":
        native = (
            torch.cuda.is_bf16_supported()
            if device.type == "cuda"
            else torch.cpu.get_capabilities().get("amx_bf16", False)
        )
        return torch.bfloat16 if native else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


@contextlib.contextmanager
def autocast(precision: Precision, device: torch.device) -> Iterator[None]:
    """Run the network in `precision`; parameters stay float32."""
    dtype = resolve_precision(precision, device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        yield
