"""A discriminative network, trained from scratch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench.classifiers.kinds.base import Kind, register
from bench.util.errors import UserError

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config
    from bench.training.data import TrainingData
    from bench.training.loop import Loop


@register
class BaselineClassifier(Kind):
    """A discriminative network, trained from scratch."""

    kind: Literal["baseline"]
    architecture: str
    steps: int = Field(625, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(64, ge=1)

    trained_here: ClassVar[bool] = True
    saw: ClassVar[tuple[str, ...]] = ("shift", "translation")  # moved by a few pixels
    text: ClassVar[str] = "A discriminative classifier."
    train_step_seconds: ClassVar[float] = 0.36

    @override
    def check(self, name: str) -> None:
        """Whether timm has the architecture, for the size of baselines."""
        from baselines.networks import require_architecture

        try:
            require_architecture(self.architecture)
        except ValueError as error:
            raise UserError(f"classifier {name!r}: {error}") from error

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{**common, **self.model_dump()}]

    @classmethod
    @override
    def stem(cls, recipe: Mapping[str, Any]) -> str:
        return str(recipe["architecture"])

    @classmethod
    @override
    def training_steps(cls, recipe: Mapping[str, Any]) -> int:
        return int(recipe["steps"])

    @override
    def train(
        self,
        name: str,
        chain: list[dict[str, Any]],
        number: int,
        out: Path,
        data: "TrainingData",
        loop: "Loop",
        trackers: Sequence[str],
    ) -> None:
        """It is small: the main process trains it while the others wait."""
        from bench.classifiers.checkpoints import checkpoint_folder
        from bench.training.baseline import train_baseline

        if loop.accelerator.is_main_process:
            folder = checkpoint_folder(out, chain[number])
            train_baseline(name, self, chain[number], folder, data, loop)
        else:
            loop.accelerator.wait_for_everyone()

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.load import from_checkpoint

        return from_checkpoint(name, self, folder, config, device)
