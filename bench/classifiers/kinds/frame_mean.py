"""The mean over the frames of a clip of what a classifier of pictures says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench.classifiers.kinds.base import Around, register
from bench.util.errors import UserError
from bench.util.files import digest

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config
    from bench.data.config import ShownFrames
    from bench.perturb.base import Perturbation
    from bench.training.loop import TrainingJob


@register
class FrameMeanClassifier(Around):
    """Any classifier of pictures on every frame: the control of classifiers of clips.

    Its checkpoint is the classifier's. Of an EmoDC the errors are averaged.
    """

    kind: Literal["frame_mean"]
    average: Literal["probabilities", "logits"] = "probabilities"
    train_frames: int = Field(4, ge=1)  # of each clip; 1: the middle one, as alone
    steps: Literal["spread", "all"] = "spread"  # of an EmoDC: on one frame each, or on every frame
    shared_noise: bool = True  # of an EmoDC with steps: all

    text: ClassVar[str] = "A classifier of pictures, averaged over the frames of a clip."

    @override
    def for_clips(self, name: str, shown: "ShownFrames | None") -> "FrameMeanClassifier":
        inner = self.classifier.kind
        if shown is None:
            raise UserError(
                f"classifier {name!r} takes clips, and the run shows pictures: set `clips`, such "
                "as `clips: {frames: 16}`, and a data set of clips."
            )
        if inner in ("frame_mean", "clip_network", "adapted"):
            raise UserError(
                f"classifier {name!r}: frame_mean averages a classifier of pictures, which {inner} "
                "is not."
            )
        return self

    @override
    def check(self, name: str) -> None:
        """As the classifier, which must measure everything."""
        super().check(name)
        if self.classifier.decision is not None:
            raise UserError(
                f"classifier {name!r}: frame_mean measures all steps. Leave `evaluation.decision` "
                "out; rules are replayed on the stored traces."
            )

    @property
    @override
    def keeps_trace(self) -> bool:
        return self.classifier.keeps_trace

    @override
    def views(self, count: int) -> int:
        """Test-time augmentation is of pictures."""
        return 0

    @override
    def evaluated(self, perturbation: "Perturbation", decides: bool) -> dict[str, Any]:
        own = {"average": self.average, "steps": self.steps, "shared_noise": self.shared_noise}
        found = dict(self.classifier.evaluated(perturbation, decides) or {})
        found.pop("other_prompts", None)  # they are measured of pictures alone
        return found | {"frames": own}

    @override
    def seconds(self, perturbation: "Perturbation", level: str) -> tuple[float, float]:
        verdict, gradient = self.classifier.seconds(perturbation, level)
        looks = 1 if self.keeps_trace and self.steps == "spread" else 8
        return looks * verdict, looks * gradient

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The classifier's, on frames of the clips."""
        if self.train_frames > 1:
            common = {**common, "data": digest([common["data"], "frames", self.train_frames])}
        return super().recipes(common)

    @override
    def train(self, job: "TrainingJob") -> None:
        """Train the classifier of pictures on frames of the clips."""
        from bench.data.clips import ClipFrames
        from bench.training.loop import TrainingData

        clips = job.data.dataset.clips
        if clips is None:
            raise UserError(
                f"classifier {job.name!r} is trained on clips; set `clips` in the config."
            )
        if self.train_frames > 1:
            job = replace(job, data=TrainingData(ClipFrames(clips, self.train_frames)))
        super().train(job)

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.around import FrameMean

        inner = self.classifier.load(name, folder, config, device)
        return FrameMean(inner, self.average, self.steps, self.shared_noise)
