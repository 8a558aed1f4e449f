"""A trained EmoDC or baseline, from a folder that a run of the bench wrote."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bench.classifiers.kinds.base import Kind, TrainedWith, kind_of, register
from bench.classifiers.kinds.emodc import EvaluationConfig
from bench.rules import DecisionConfig
from bench.util import files
from bench.util.section import UserPath

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config
    from bench.perturb.base import Perturbation


@register
class CheckpointClassifier(Kind):
    """A trained EmoDC or baseline, from a folder that a run of the bench wrote."""

    kind: Literal["checkpoint"]
    path: UserPath  # beside the working folder, or shipped with the bench
    evaluation: EvaluationConfig = EvaluationConfig()
    trained_with: TrainedWith = Field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The folder that `path` means."""
        return self.path if self.path.exists() else files.find(self.path) or self.path

    @property
    def decision(self) -> DecisionConfig | None:
        """See `Kind.decision`."""
        return self.evaluation.decision

    @property
    def keeps_trace(self) -> bool:
        """See `Kind.keeps_trace`."""
        return True

    def views(self, count: int) -> int:
        """See `Kind.views`: as many as the kind that the checkpoint was made as."""
        from bench.store.checkpoints import Card

        made_as = kind_of(Card.verified(self.folder).recipe)
        if made_as.staged:
            return 0 if made_as.reads_prompts else self.evaluation.steps
        return count

    def evaluated(self, perturbation: "Perturbation", decides: bool) -> dict[str, Any]:
        """See `Kind.evaluated`."""
        return self.evaluation.inputs(perturbation, decides)

    def seconds(self, perturbation: "Perturbation", level: str) -> tuple[float, float]:
        """See `Kind.seconds`."""
        return self.evaluation.seconds(perturbation)

    def identity(self, name: str) -> str:
        """See `Kind.identity`."""
        from bench.store.checkpoints import Card

        return Card.verified(self.folder).weights

    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        """See `Kind.load`."""
        from bench.classifiers.load import from_checkpoint

        return from_checkpoint(name, self, folder, config, device)
