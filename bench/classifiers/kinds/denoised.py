"""Denoise, then classify: any classifier behind an EmoDC's own denoiser."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.classifiers.kinds.base import Around, register
from bench.classifiers.kinds.checkpoint import what_it_is
from bench.util.errors import UserError
from bench.util.section import UserPath

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config
    from bench.data.config import ShownFrames
    from bench.perturb.base import Perturbation


@register
class DenoisedClassifier(Around):
    """A classifier that is shown what a diffusion model makes of the picture.

    Noise is added up to `timestep` and taken off again in `steps` passes under the null prompt; see
    `emodc.diffusion.denoiser.denoised`. The checkpoint is the classifier's.
    """

    kind: Literal["denoised"]
    denoiser: UserPath  # a folder of an EmoDC, such as OUT/checkpoints/emodc-base-...
    timestep: int = Field(100, ge=0)
    steps: int = Field(1, ge=1)

    text: ClassVar[str] = "A classifier behind a diffusion model that denoises."

    @model_validator(mode="after")
    def _enough_timesteps(self) -> "DenoisedClassifier":
        if self.steps > self.timestep + 1:
            raise ValueError(f"{self.steps} steps need a timestep of {self.steps - 1} or more")
        return self

    @override
    def for_clips(self, name: str, shown: "ShownFrames | None") -> "DenoisedClassifier":
        if shown is not None:
            raise UserError(f"classifier {name!r}: kind: denoised is for pictures, not for clips.")
        return self

    @override
    def check(self, name: str) -> None:
        """The classifier, and whether there is a denoiser."""
        super().check(name)
        if not (self.denoiser / "model_index.json").exists():
            raise UserError(
                f"classifier {name!r}: denoiser: it is a folder of an EmoDC, with a "
                f"model_index.json; {what_it_is(self.denoiser)}"
            )
        several = ("frame_mean", "clip_network", "adapted")
        if self.classifier.staged or self.classifier.kind in several:
            raise UserError(
                f"classifier {name!r}: kind: denoised takes a classifier that looks at a picture "
                f"once, not {self.classifier.kind}."
            )

    @override
    def views(self, count: int) -> int:
        """What it is shown is one estimate."""
        return 0

    @override
    def evaluated(self, perturbation: "Perturbation", decides: bool) -> dict[str, Any]:
        from bench.store.checkpoints import fingerprint

        made_by = {
            "denoiser": fingerprint(self.denoiser),
            "timestep": self.timestep,
            "steps": self.steps,
        }
        return dict(self.classifier.evaluated(perturbation, decides) or {}) | {"denoised": made_by}

    @override
    def seconds(self, perturbation: "Perturbation", level: str) -> tuple[float, float]:
        verdict, gradient = self.classifier.seconds(perturbation, level)
        return verdict + 0.003 * self.steps, gradient + 0.01 * self.steps

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.around import Denoised
        from emodc import CheckpointError, EmoDC

        inner = self.classifier.load(name, folder, config, device)
        try:
            model = EmoDC.from_pretrained(self.denoiser)
            return Denoised(inner, model, self.timestep, self.steps, config.seed)
        except (CheckpointError, ValueError) as error:
            raise UserError(f"classifier {name!r}: denoiser {self.denoiser}: {error}.") from error
