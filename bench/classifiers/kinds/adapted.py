"""Test-time adaptation: any network, which adapts to the pictures that it is measured on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.classifiers.kinds.base import Around, register
from bench.util.errors import UserError

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config
    from bench.data.config import ShownFrames
    from bench.perturb.base import Perturbation

_OWN = {"tent": ("steps", "learning_rate"), "t3a": ("keep",)}


@register
class AdaptedClassifier(Around):
    """A network that adapts, without labels, to each block of the pictures it is measured on.

    It is transductive: a verdict depends on the other pictures of its block. A cell is cut into
    blocks in a fixed order (`bench.sweep.plan.blocks_of`), and each begins with the trained
    network. The checkpoint is the classifier's.
    """

    kind: Literal["adapted"]
    method: Literal["tent", "t3a"] = "tent"
    block: int = Field(64, ge=2)  # at most so many pictures in a block
    steps: int = Field(1, ge=0)  # of tent, for each block; 0: batch statistics alone
    learning_rate: float = Field(1e-3, gt=0)  # of tent
    keep: int | None = Field(None, ge=1)  # of t3a: of each class the surest; None: all

    text: ClassVar[str] = "A classifier that adapts to the pictures it is measured on."

    @model_validator(mode="after")
    def _own_fields(self) -> "AdaptedClassifier":
        for method, names in _OWN.items():
            usual = type(self).model_fields
            strange = [name for name in names if getattr(self, name) != usual[name].default]
            if method != self.method and strange:
                raise ValueError(f"{strange[0]} is for method: {method}")
        return self

    @property
    @override
    def together(self) -> int:
        return self.block

    @override
    def refusal(self, perturbation: "Perturbation") -> str:
        if perturbation.family == "certified":
            return "what is certified is one function of a picture, and this one adapts"
        if perturbation.family in ("attack", "draws") and not perturbation.source:
            return (
                "an attack changes one picture, and a verdict depends on a block of them; measure "
                "it on pictures that another classifier was attacked with (kind: transfer)"
            )
        return ""

    @override
    def for_clips(self, name: str, shown: "ShownFrames | None") -> "AdaptedClassifier":
        if shown is not None:
            raise UserError(f"classifier {name!r}: kind: adapted is for pictures, not for clips.")
        return self

    @override
    def check(self, name: str) -> None:
        """The classifier, which must be a network with logits."""
        super().check(name)
        inner = self.classifier
        if inner.staged or isinstance(inner, Around) or inner.kind in ("clip_network", "onnx"):
            raise UserError(
                f"classifier {name!r}: kind: adapted takes one torch network with logits, not "
                f"{inner.kind}."
            )

    @property
    @override
    def tried_quickly(self) -> bool:
        """A picture alone is no block."""
        return False

    @override
    def views(self, count: int) -> int:
        """Augmented pictures would be a block of their own."""
        return 0

    @override
    def evaluated(self, perturbation: "Perturbation", decides: bool) -> dict[str, Any]:
        own = {field: getattr(self, field) for field in _OWN[self.method]}
        made = {"method": self.method, "block": self.block, "version": 1} | own
        return dict(self.classifier.evaluated(perturbation, decides) or {}) | {"adapted": made}

    @override
    def seconds(self, perturbation: "Perturbation", level: str) -> tuple[float, float]:
        verdict, gradient = self.classifier.seconds(perturbation, level)
        return verdict + (self.steps * gradient if self.method == "tent" else 0.0), gradient

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.around import T3A, Tent
        from bench.classifiers.discriminative import DiscriminativeClassifier

        inner = self.classifier.load(name, folder, config, device)
        if not isinstance(inner, DiscriminativeClassifier):
            raise UserError(f"classifier {name!r}: {self.classifier.kind} is no network to adapt.")
        try:
            if self.method == "tent":
                return Tent(inner, self.steps, self.learning_rate)
            return T3A(inner, self.keep)
        except ValueError as error:
            raise UserError(f"classifier {name!r}: method: {self.method}: {error}.") from error
