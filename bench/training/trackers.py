"""Figures of a training shown while it runs: TensorBoard and Weights & Biases, both optional."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker
from accelerate.utils import is_tensorboard_available, is_wandb_available

from bench.errors import UserError


class Trackers:
    """The trackers of one training.

    Args:
        names: "tensorboard", "wandb".
        out: Folder of the run; TensorBoard's files go to `out`/tracking.
        run: Names the training.

    Raises:
        UserError: If a package is not installed.
    """

    def __init__(self, names: Sequence[str], out: Path, run: str) -> None:
        self._trackers: list[GeneralTracker] = []
        available = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}
        for name in names:
            if not available[name]():
                raise UserError(f"execution.trackers: {name} is not installed: pip install {name}")
        if "tensorboard" in names:
            self._trackers.append(TensorBoardTracker(run, out / "tracking"))
        if "wandb" in names:
            self._trackers.append(WandBTracker(run))

    def __enter__(self) -> Self:
        for tracker in self._trackers:
            tracker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for tracker in self._trackers:
            tracker.finish()

    def log(self, step: int, figures: dict[str, Any]) -> None:
        """Show figures of one step."""
        for tracker in self._trackers:
            tracker.log(figures, step=step)
