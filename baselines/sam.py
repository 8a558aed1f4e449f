"""Sharpness-aware minimisation, SAM (Foret et al. 2021, arXiv 2010.01412).

A step has two passes. The first finds the gradient g at the weights w, and moves to the point
w + rho g / |g|, where the loss is about the highest within rho of w (their equation 2). The second
finds the gradient there; the base optimiser applies it at w:

    loss(model).backward()
    sharpness = sam.ascend()
    with frozen_statistics(model):
        loss(model).backward()
    sam.descend()

Between steps only the base optimiser has a state; saving that is enough to continue exactly.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SharpnessAware:
    """The two halves of a SAM step around any optimiser.

    Args:
        optimizer: Applies the second gradient at the first weights.
        rho: Radius of the neighbourhood, in the 2-norm over all weights; > 0.

    Raises:
        ValueError: If `rho` is not positive.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rho: float = 0.05) -> None:
        if rho <= 0:
            raise ValueError(f"rho is a radius and must be positive, not {rho}")
        self.optimizer, self.rho = optimizer, rho
        self._before: list[Tensor | None] = []

    @torch.no_grad()
    def ascend(self) -> float:
        """Move to the worst nearby weights, clear the gradients, return the gradient's norm."""
        if self._before:
            raise RuntimeError("ascend() was called twice without descend() in between")
        norm = torch.linalg.vector_norm(
            torch.stack([w.grad.norm() for w in self._weights() if w.grad is not None])
        )
        for weight in self._weights():
            # Copied, not subtracted again: w + e - e is not w in floating point.
            self._before.append(None if weight.grad is None else weight.clone())
            if weight.grad is not None:
                weight.add_(weight.grad, alpha=self.rho / (norm.item() + 1e-12))
        self.optimizer.zero_grad(set_to_none=True)
        return norm.item()

    @torch.no_grad()
    def descend(self) -> None:
        """Return to the first weights and let the optimiser step with the second gradient."""
        if not self._before:
            raise RuntimeError("descend() needs an ascend() before it")
        for weight, before in zip(self._weights(), self._before, strict=True):
            if before is not None:
                weight.copy_(before)
        self._before = []
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _weights(self) -> list[Tensor]:
        return [w for group in self.optimizer.param_groups for w in group["params"]]


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """BatchNorm normalises by the batch as usual, and does not update its running statistics.

    The weights of the second pass are not kept, so its statistics are not the model's.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
