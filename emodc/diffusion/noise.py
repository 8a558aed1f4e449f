"""Addressed noise: a draw is a function of (seed, sample id, step), never of what was drawn before.

Every class of a sample is scored on the same draw (common random numbers), so the paired error
differences that decide the class are not blurred by noise. And because a draw has an address, a
trace does not depend on batch size, order, shard or where a run was resumed.
"""

from collections.abc import Sequence

import numpy as np
import torch

from emodc.diffusion.philox import philox


def torch_generator(*address: int | str) -> torch.Generator:
    """A torch generator for one address (used in training, where numpy would be a detour)."""
    seed = int(philox(*address).integers(2**63, dtype=np.int64))
    return torch.Generator().manual_seed(seed)


def step_noise(
    seed: int, sample_id: str, steps: Sequence[int], shape: tuple[int, ...]
) -> torch.Tensor:
    """Standard normal noise of one sample at the given steps.

    Args:
        seed: Run seed.
        sample_id: Name of the sample, unique within its data set.
        steps: Step indices (>= 0); asking for fewer or in another order changes no draw.
        shape: Shape of one draw, for example (channels, height, width).

    Returns:
        float32 tensor (len(steps), *shape).
    """
    draws = np.empty((len(steps), *shape), dtype=np.float32)
    for row, step in enumerate(steps):
        draws[row] = philox(seed, "noise", sample_id, counter=step).standard_normal(
            shape, dtype=np.float32
        )
    return torch.from_numpy(draws)
