"""The matched control of EmoDC."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator
from typing_extensions import override

from bench.classifiers.kinds.base import register
from bench.classifiers.kinds.emodc import StagedClassifier
from emodc.settings import PromptTexts

if TYPE_CHECKING:
    from bench.perturb.base import Perturbation


@register
class ControlClassifier(StagedClassifier):
    """The matched control: EmoDC's trunk, noised inputs and budget, with a cross-entropy head.

    Its stages train the cross-entropy of the class at every noise level; its verdict averages the
    log-probabilities over the same steps as EmoDC's. It reads no prompts.
    """

    kind: Literal["control"]

    text: ClassVar[str] = (
        "The matched control of EmoDC: the same trunk, noised inputs, steps and budget with a "
        "cross-entropy head. It predicts no noise."
    )

    @model_validator(mode="after")
    def _head(self) -> Self:
        if any(stage.objective.kind != "base" for stage in self.stages):
            raise ValueError("a control is trained by cross-entropy alone: objective {kind: base}")
        return self

    @override
    def views(self, count: int) -> int:
        """As many as it has steps."""
        return self.evaluation.steps

    @override
    def evaluated(self, perturbation: "Perturbation", decides: bool) -> dict[str, Any]:
        """It reads no other prompts."""
        found = super().evaluated(perturbation, decides)
        found.pop("other_prompts", None)
        return found

    @classmethod
    @override
    def stem(cls, recipe: Mapping[str, Any]) -> str:
        return "control"

    @override
    def texts(self, classes: Sequence[str]) -> PromptTexts:
        """One per class, to keep its place."""
        return PromptTexts(words={label: label for label in classes})
