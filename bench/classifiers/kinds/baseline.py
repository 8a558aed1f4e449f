"""A discriminative network, trained from scratch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench.classifiers.kinds.base import TrainedAtOnce, register
from bench.util.errors import UserError
from bench.util.section import Section

if TYPE_CHECKING:
    from baselines.train import AdversarialTraining
    from bench.training.loop import TrainingJob


class AdversarialConfig(Section):
    """Adversarial training; see `baselines.train`."""

    method: Literal["pgd", "trades"] = "pgd"
    eps: float = Field(2.0, gt=0, le=255)  # in 1/255
    steps: int = Field(7, ge=1)
    step_size: float | None = Field(None, gt=0)  # in 1/255; a quarter of eps if not given
    beta: float = Field(6.0, gt=0)  # of trades

    def training(self) -> "AdversarialTraining":
        """What the trainer is given."""
        from baselines.train import AdversarialTraining

        step = None if self.step_size is None else self.step_size / 255
        return AdversarialTraining(self.method, self.eps / 255, self.steps, step, self.beta)


@register
class BaselineClassifier(TrainedAtOnce):
    """A discriminative network, trained from scratch."""

    kind: Literal["baseline"]
    architecture: str
    steps: int = Field(625, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(64, ge=1)
    # Half of the pictures are changed, each by one of these.
    augmentation: tuple[
        Literal["noise", "blur", "augmix", "randaugment", "jitter", "erasing"], ...
    ] = ()
    balanced: bool = False  # every class equally often
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mixup: float = Field(0.0, ge=0)
    sam: float = Field(0.0, ge=0)
    adversarial: AdversarialConfig | None = None
    objective: Literal["scn", "dan", "eac"] | None = None  # a paper's loss and head, on a ResNet

    saw: ClassVar[tuple[str, ...]] = ("shift", "translation")  # moved by a few pixels
    text: ClassVar[str] = "A discriminative classifier."
    train_step_seconds: ClassVar[float] = 0.36

    @override
    def check(self, name: str) -> None:
        """Whether timm has the architecture, for the size of baselines, and the recipe is one."""
        from baselines.networks import require_architecture

        try:
            require_architecture(self.architecture, self.objective)
        except ValueError as error:
            raise UserError(f"classifier {name!r}: {error}") from error
        if self.objective is not None and (self.adversarial is not None or self.mixup):
            raise UserError(
                f"classifier {name!r}: objective: {self.objective} is a loss of its own; remove "
                f"{'mixup' if self.mixup else 'adversarial'}."
            )
        if self.objective is not None and self.batch_size < 2:
            raise UserError(f"classifier {name!r}: objective needs a batch_size of 2 or more.")
        if self.adversarial is not None and self.mixup:
            raise UserError(
                f"classifier {name!r}: adversarial attacks one label, mixup has two; remove one."
            )

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Options at their defaults are left out: recipes are what they were without them."""
        options = (
            "augmentation",
            "balanced",
            "label_smoothing",
            "mixup",
            "sam",
            "adversarial",
            "objective",
        )
        usual = {field: type(self).model_fields[field].default for field in options}
        own = self.model_dump()
        return [{**common, **{k: v for k, v in own.items() if k not in usual or v != usual[k]}}]

    @classmethod
    @override
    def shown(cls, training: Mapping[str, Any]) -> tuple[str, ...]:
        return (*cls.saw, *training.get("augmentation", ()))

    @override
    def train_network(self, job: "TrainingJob") -> None:
        from bench.training.discriminative import train_baseline

        train_baseline(self, job)
