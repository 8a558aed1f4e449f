"""Addressed noise: a draw is a function of (seed, sample id, step), never of what was drawn before.

Every class of a sample is scored on the same draw (common random numbers), so the paired error
differences that decide the class are not blurred by noise. And because a draw has an address, a
trace does not depend on batch size, order, shard or where a run was resumed. torch is imported by
those who ask for tensors alone: orders of visiting steps are drawn without it.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def philox(*address: int | str, counter: int = 0) -> np.random.Generator:
    """A random generator for one address.

    Args:
        *address: Whatever names the draw, for example ``(seed, "noise", sample_id)``.
        counter: A position within the address. Each position owns 2**128 draws of the stream.

    Returns:
        A numpy generator over Philox (Salmon et al. 2011), a counter-based generator: streams of
        different keys or positions are independent and cost nothing to reach.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in address)
    key = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype="<u8")
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, counter, 0]))


def torch_generator(*address: int | str) -> "torch.Generator":
    """A torch generator for one address (used in training, where numpy would be a detour)."""
    import torch

    seed = int(philox(*address).integers(2**63, dtype=np.int64))
    return torch.Generator().manual_seed(seed)


def step_noise(
    seed: int, sample_id: str, steps: Sequence[int], shape: tuple[int, ...]
) -> "torch.Tensor":
    """Standard normal noise of one sample at the given steps.

    Args:
        seed: Run seed.
        sample_id: Name of the sample, unique within its data set.
        steps: Step indices (>= 0); asking for fewer or in another order changes no draw.
        shape: Shape of one draw, for example (channels, height, width).

    Returns:
        float32 tensor (len(steps), *shape).
    """
    import torch

    draws = np.empty((len(steps), *shape), dtype=np.float32)
    for row, step in enumerate(steps):
        draws[row] = philox(seed, "noise", sample_id, counter=step).standard_normal(
            shape, dtype=np.float32
        )
    return torch.from_numpy(draws)
