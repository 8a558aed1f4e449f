"""An EmoDC in a config: objectives, stages, prompts, evaluation."""

import os
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bench.config.decision import DecisionConfig
from bench.util.section import Section


class BaseObjective(Section):
    """Plain denoising."""

    kind: Literal["base"]


class _Discrepancy(Section):
    """What objectives with wrong prompts share; see `emodc.training.objectives.Discrepancy`."""

    weight: float = Field(5.0, ge=0)
    negatives: Annotated[int, Field(ge=1)] | Literal["all"] = "all"  # drawn per sample
    reduce: Literal["mean", "hardest"] = "mean"
    limit: float | None = Field(None, gt=0)


class HardNegativeObjective(_Discrepancy):
    """Clipped hard negatives on batch means."""

    kind: Literal["hard_negative"]
    weight: float = Field(0.9, ge=0, le=1)  # above 1 it diverges


class MarginObjective(_Discrepancy):
    """Fixed margin."""

    kind: Literal["margin"]
    margin: float = Field(0.05, ge=0)


class AMDiTObjective(_Discrepancy):
    """Adaptive margin discrepancy training."""

    kind: Literal["amdit"]
    alpha: float = Field(0.2, ge=0)
    c_nn: Literal["positive", "null", "non_class"] = "positive"
    detach_margin: bool = True


class CrossEntropyObjective(Section):
    """Denoising, and cross-entropy over the errors."""

    kind: Literal["cross_entropy"]
    weight: float = Field(0.1, ge=0)
    scale: float = Field(40.0, gt=0)


class EarlyStop(Section):
    """End a stage when a validation trace stops getting better; keep the best weights."""

    every: int = Field(200, ge=1)  # steps
    patience: int = Field(5, ge=1)  # validations without a better accuracy


class Stage(Section):
    """One training stage of an EmoDC; it starts from the weights of the stage before."""

    objective: Annotated[
        BaseObjective
        | HardNegativeObjective
        | MarginObjective
        | AMDiTObjective
        | CrossEntropyObjective,
        Field(discriminator="kind"),
    ]
    steps: int = Field(ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    batch_size: int = Field(64, ge=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: int = Field(50, ge=0)
    ema: float = Field(0.998, ge=0, lt=1)
    null_share: float = Field(0.1, ge=0, lt=1)
    non_class_share: float = Field(0.05, ge=0, lt=1)
    weighting: Literal["noise", "target"] = "noise"
    trained: Literal["all", "lora", "text"] = "all"
    lora_rank: int = Field(8, ge=1)
    accumulate: int = Field(1, ge=1)
    checkpointing: bool = False
    balanced: bool = False  # every class equally often
    cache_latents: bool = False  # encode every picture and its mirror image once, on disk
    early_stop: EarlyStop | None = None

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.null_share + self.non_class_share >= 1:
            raise ValueError("null_share and non_class_share leave nothing for the class prompts")
        return self


class EvaluationConfig(Section):
    """How EmoDC measures errors."""

    steps: int = Field(100, ge=1)
    low: int = Field(0, ge=0)
    high: int = Field(500, ge=1, le=1000)
    noise_aware: bool = False
    level_gradient: bool = False  # attacks see how the estimated noise level moves
    weighting: Literal["noise", "target"] = "noise"
    attack_steps: int = Field(20, ge=1)  # of `steps`, per gradient of an attack
    noise_seed: int | None = Field(None, ge=0)  # None: the run's; another is independent noise
    other_prompts: int = Field(300, ge=0)  # clean samples measured under null and non-class, too
    decision: DecisionConfig | None = None  # decide while measuring; None measures everything

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class PromptTexts(Section):
    """How classes are worded; see `emodc.prompts.Prompts`."""

    templates: list[Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")]] = Field(
        ["a photo of a {} face"], min_length=1
    )
    non_class: str = "a photo of a face"
    null: str = ""
    words: dict[str, str] = Field(default_factory=dict)


class StagedClassifier(Section):
    """What EmoDC and its matched control have in common: the small network, stages, evaluation."""

    kind: str
    stages: list[Stage] = Field(min_length=1)
    whitening: float = Field(0.0, ge=0, le=1)
    block_out_channels: tuple[int, int, int] = (32, 64, 96)
    head_channels: int = 48
    evaluation: EvaluationConfig = EvaluationConfig()


class EmoDCClassifier(StagedClassifier):
    """An EmoDC, trained in stages."""

    kind: Literal["emodc"]
    # A diffusers folder or hub id to start from.
    pretrained: Annotated[str, AfterValidator(os.path.expanduser)] | None = None
    prompts: PromptTexts = PromptTexts()


class ControlClassifier(StagedClassifier):
    """The matched control: EmoDC's trunk, noised inputs and budget, with a cross-entropy head.

    Its stages train the cross-entropy of the class at every noise level; its verdict averages the
    log-probabilities over the same steps as EmoDC's. It reads no prompts.
    """

    kind: Literal["control"]

    @model_validator(mode="after")
    def _head(self) -> Self:
        if any(stage.objective.kind != "base" for stage in self.stages):
            raise ValueError("a control is trained by cross-entropy alone: objective {kind: base}")
        return self
