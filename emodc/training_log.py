"""What the errors look like while training, by timestep."""

from typing import TYPE_CHECKING, Any

import torch

from emodc.objectives import Objective

if TYPE_CHECKING:
    from emodc.training_batch import Draws, PromptedErrors

BINS = 5
_COLUMNS = ("samples", "d_p", "d_n", "active")


class Mean:
    """A mean over batches of different sizes; 0 before anything is added."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, values: torch.Tensor) -> None:
        """Count every element."""
        self._sum += values.detach().double().sum().item()
        self._count += values.numel()

    @property
    def value(self) -> float:
        """The mean so far."""
        return self._sum / self._count if self._count else 0.0


class TimestepLog:
    """Sums per bin of the timestep range since the last reading.

    Args:
        low: First timestep.
        high: End of the range (exclusive).
    """

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self._sums = torch.zeros(BINS, len(_COLUMNS), dtype=torch.float64)

    @torch.no_grad()
    def add(self, draws: "Draws", errors: "PromptedErrors", objective: Objective) -> None:
        """Count one batch."""
        batch = errors.batch
        share = (draws.timesteps[errors.kept] - self.low) * BINS // (self.high - self.low)
        rows = torch.zeros(len(batch.positive), len(_COLUMNS), device=batch.positive.device)
        rows[:, 0], rows[:, 1] = 1.0, batch.positive
        if batch.negatives.numel():
            rows[:, 2] = batch.negatives.mean(dim=1)
            rows[:, 3] = (objective.hinges(batch) > 0).float().mean(dim=1)
        self._sums.index_add_(0, share.cpu(), rows.double().cpu())

    def read(self) -> list[dict[str, float]]:
        """One record per timestep bin, and a new count.

        Returns:
            First timestep `low`, mean `d_p` and `d_n`, `gap` = (d_n - d_p) / d_p, and `active`, the
            share of wrong prompts whose hinge was active.
        """
        records = []
        for number, (samples, *sums) in enumerate(self._sums.tolist()):
            if not samples:
                continue
            d_p, d_n, active = (value / samples for value in sums)
            low = self.low + number * (self.high - self.low) / BINS
            gap = (d_n - d_p) / d_p if d_n else 0.0
            records.append({"low": low, "d_p": d_p, "d_n": d_n, "gap": gap, "active": active})
        self._sums.zero_()
        return records

    def state_dict(self) -> dict[str, Any]:
        """For resuming."""
        return {"sums": self._sums.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        self._sums.copy_(state["sums"])
