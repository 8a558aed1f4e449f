"""EmoDC and its matched control: trained in stages, measured in steps."""

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import override

from bench.classifiers.kinds.base import GRADIENT, Kind, TrainedHere, register
from bench.classifiers.kinds.huggingface import require_place
from bench.rules import DecisionConfig
from bench.util.errors import UserError
from bench.util.section import Section
from emodc.settings import ErrorSettings, PromptTexts, StageSettings
from emodc.training.objectives import AnyObjective

if TYPE_CHECKING:
    import torch

    from bench.perturb.base import Perturbation
    from bench.training.loop import TrainingJob
    from emodc import Denoiser, Prompts


#: Raise when noise-aware evaluation gives other errors. 2: scored against eps / sqrt(q).
NOISE_AWARE_VERSION = 2


class EarlyStop(Section):
    """End a stage when a validation trace stops getting better; keep the best weights."""

    every: int = Field(200, ge=1)  # steps
    patience: int = Field(5, ge=1)  # validations without a better accuracy


class Stage(Section, StageSettings):
    """One training stage of an EmoDC; it starts from the weights of the stage before."""

    objective: Annotated[AnyObjective, Field(discriminator="kind")]
    batch_size: int = Field(64, ge=1)
    balanced: bool = False  # every class equally often
    cache_latents: bool = False  # encode every picture and its mirror image once, on disk
    early_stop: EarlyStop | None = None

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.null_share + self.non_class_share >= 1:
            raise ValueError("null_share and non_class_share leave nothing for the class prompts")
        return self


class EvaluationConfig(Section, ErrorSettings):
    """How EmoDC measures errors in a run, and decides."""

    attack_steps: int = Field(10, ge=1)  # of `steps`, per gradient of an attack
    noise_seed: int | None = Field(None, ge=0)  # None: the run's; another is independent noise
    other_prompts: int = Field(300, ge=0)  # clean samples measured under null and non-class, too
    decision: DecisionConfig | None = None  # decide while measuring; None measures everything
    decide_on_clean: bool = True  # False: clean pictures are measured completely, for their traces

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self

    def inputs(self, perturbation: "Perturbation", decides: bool) -> dict[str, Any]:
        """What determines a cell's rows; see `Kind.evaluated`."""
        # What a perturbation does not read must not rename its cells.
        left_out = {"attack_steps", "other_prompts"} - perturbation.evaluation_fields
        left_out = left_out | {"decide_on_clean"}  # `decides` is what came of it
        if self.noise_seed is None:
            left_out = left_out | {"noise_seed"}
        # Without a decision everything is measured, as before there were any.
        left_out = left_out | ({"other_prompts"} if decides else {"decision"})
        attack = "attack_steps" in perturbation.evaluation_fields
        if not (attack and self.level_gradient):
            left_out = left_out | {"level_gradient"}
        inputs = self.model_dump(exclude=left_out)
        if self.noise_aware:
            inputs["noise_aware"] = NOISE_AWARE_VERSION
        if attack:
            inputs["attack_steps"] = self.gradient_steps(perturbation)
        return inputs

    def gradient_steps(self, attack: "Perturbation") -> int:
        """Number of steps that each gradient of an attack measures.

        An attack with a single gradient has no later query that would see the other steps, and one
        that compares answers needs the same steps in all of them.
        """
        return max(self.steps, self.attack_steps) if attack.every_step else self.attack_steps

    def seconds(self, perturbation: "Perturbation", level: str) -> tuple[float, float]:
        """Seconds on one core of a decision and of a gradient, of the default network."""
        step, steps = 0.0006, self.steps
        if "attack_steps" in perturbation.evaluation_fields:
            steps = min(steps, self.gradient_steps(perturbation))
        # Its steps are its views, but noisy copies are decided one by one.
        looks = perturbation.looks(level) if perturbation.family == "certified" else 1
        return looks * step * self.steps, step * steps * GRADIENT


class InSteps(Kind):
    """A kind that may be measured in steps, as `evaluation` says."""

    evaluation: EvaluationConfig = EvaluationConfig()

    @property
    @override
    def decision(self) -> DecisionConfig | None:
        return self.evaluation.decision

    @property
    @override
    def decides_on_clean(self) -> bool:
        return self.evaluation.decide_on_clean

    @override
    def evaluated(self, perturbation: "Perturbation", decides: bool) -> dict[str, Any]:
        return self.evaluation.inputs(perturbation, decides)

    @override
    def seconds(self, perturbation: "Perturbation", level: str) -> tuple[float, float]:
        return self.evaluation.seconds(perturbation, level)


class StagedClassifier(InSteps, TrainedHere):
    """What EmoDC and its matched control have in common: the small network, stages, evaluation."""

    stages: list[Stage] = Field(min_length=1)
    whitening: float = Field(0.0, ge=0, le=1)
    block_out_channels: tuple[int, int, int] = (32, 64, 96)

    staged: ClassVar[bool] = True
    # Pictures in Gaussian noise, moved by a few pixels.
    saw: ClassVar[tuple[str, ...]] = ("noise", "shift", "translation")
    train_step_seconds: ClassVar[float] = 0.15

    @override
    def check(self, name: str) -> None:
        """Whether peft is there, if a stage needs it."""
        if any(stage.trained == "lora" for stage in self.stages) and not find_spec("peft"):
            raise UserError(
                f"classifier {name!r}: a stage with trained: lora needs peft: "
                "pip install 'emodc-bench[finetune]'."
            )

    @property
    @override
    def passes(self) -> int:
        return self.evaluation.steps

    @property
    @override
    def batch(self) -> int:
        return self.stages[-1].batch_size

    @property
    @override
    def only_denoises(self) -> bool:
        return self.reads_prompts and all(s.objective.kind == "base" for s in self.stages)

    @override
    def briefly(self, steps: int) -> "StagedClassifier":
        short = {"steps": steps, "early_stop": None, "cache_latents": False}
        stages = [stage.model_copy(update=short) for stage in self.stages]
        return self.model_copy(update={"stages": stages})

    @property
    @override
    def keeps_trace(self) -> bool:
        return self.reads_prompts

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One per stage, so that variants that begin alike share stages."""
        network = self.model_dump(exclude={"stages", "evaluation"})
        network["network"] = "late"  # there were two; checkpoints are addressed by recipes
        network["timesteps"] = [0, self.evaluation.high]
        stages = [stage.model_dump() for stage in self.stages]
        return [
            {**common, **network, "stages": stages[: count + 1]} for count in range(len(stages))
        ]

    @classmethod
    @override
    def training_steps(cls, recipe: Mapping[str, Any]) -> int:
        return int(recipe["stages"][-1]["steps"])

    @override
    def training_seconds(self, recipe: Mapping[str, Any]) -> float:
        margins = recipe["stages"][-1]["objective"]["kind"] != "base"
        return super().training_seconds(recipe) * (2.0 if margins else 1.0)  # of all prompts

    @override
    def train(self, job: "TrainingJob") -> None:
        from bench.training.stage import train_stage

        train_stage(self, job)

    # What a stage's training asks; see `bench.training.stage`.

    @abstractmethod
    def texts(self, classes: Sequence[str]) -> PromptTexts:
        """How the classes are worded."""

    def opened(self, prompts: "Prompts") -> "Denoiser | None":
        """The pipeline that the first stage starts from; None: a new network.

        Raises:
            CheckpointError: If it cannot be opened.
        """
        return None

    def untrained(self, images: "torch.Tensor", prompts: "Prompts") -> "Denoiser":
        """A new network, its codec fitted to uint8 images (N, 3, S, S)."""
        from emodc import small_control, small_denoiser

        make = small_denoiser if self.reads_prompts else small_control
        return make(
            images,
            prompts,
            whitening=self.whitening,
            block_out_channels=self.block_out_channels,
        )


@register
class EmoDCClassifier(StagedClassifier):
    """An EmoDC, trained in stages."""

    kind: Literal["emodc"]
    # A diffusers folder or hub id to start from.
    pretrained: Annotated[str, AfterValidator(os.path.expanduser)] | None = None
    image_size: int | None = Field(None, ge=8)  # side in pixels; None: the pretrained network's own
    prompts: PromptTexts = PromptTexts()

    reads_prompts: ClassVar[bool] = True
    text: ClassVar[str] = (
        "An EmoDC: a diffusion model that answers with the class whose prompt lets it predict the "
        "noise of a picture best."
    )

    @model_validator(mode="after")
    def _own_network(self) -> Self:
        if self.pretrained is None and self.image_size is not None:
            raise ValueError("image_size is of a pretrained pipeline; remove it")
        return self

    @override
    def check(self, name: str) -> None:
        """Also whether the pipeline to start from is a folder, or has the form of a hub id."""
        super().check(name)
        if self.pretrained is None:
            return
        require_place(name, self.pretrained, "pretrained")
        folder = Path(self.pretrained)
        if folder.is_dir() and not (folder / "model_index.json").exists():
            from bench.classifiers.kinds.checkpoint import what_it_is  # which imports this file

            raise UserError(
                f"classifier {name!r}: pretrained: it is a diffusers pipeline or an EmoDC, with a "
                f"model_index.json; {what_it_is(folder)}"
            )
        if folder.is_dir():
            self.require_weights(name)

    @override
    def require_weights(self, name: str) -> None:
        """The pipeline, of a kind that EmoDC reads."""
        if self.pretrained is None:
            return
        from emodc.adapters.open import CheckpointError, require_parts

        try:
            require_parts(self.pretrained)
        except CheckpointError as error:
            raise UserError(f"classifier {name!r}: pretrained: {error}", 1) from error

    @override
    def on_paper(self, classes: int) -> tuple[float, float]:
        """A gradient with respect to activations is a pass, like one with respect to weights.

        Activations that are computed again are one more.
        """
        if self.pretrained is None:
            return super().on_paper(classes)
        from emodc.adapters.open import evaluation_flops, unet_config

        config = unet_config(self.pretrained)
        if config is None:
            return super().on_paper(classes)
        try:
            one, last = evaluation_flops(config, self.image_size), self.stages[-1]
        except Exception:  # of a network with another config; opening it tells what is wrong
            return super().on_paper(classes)
        negatives = last.objective.drawn
        prompts = 1 + (classes - 1 if negatives is None else negatives)
        prompts += last.objective.not_negative != "positive"
        passes = 2 + (last.trained == "all") + last.checkpointing
        return self.passes * classes * one, last.batch_size * prompts * passes * one

    @property
    @override
    def to_fetch(self) -> str | None:
        from huggingface_hub import try_to_load_from_cache

        if self.pretrained is None or Path(self.pretrained).is_dir():
            return None
        known = try_to_load_from_cache(self.pretrained, "model_index.json")
        return None if isinstance(known, str) else self.pretrained

    @property
    @override
    def tried_quickly(self) -> bool:
        """A pretrained pipeline is large, and may have to be fetched."""
        return self.pretrained is None

    @override
    def views(self, count: int) -> int:
        """Its steps are in its traces."""
        return 0

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A pretrained folder is named by its content."""
        from bench.store.checkpoints import fingerprint

        chain = super().recipes(common)
        for recipe in chain:
            if self.pretrained is not None:
                del recipe["network"]  # it brings its own
            if self.image_size is None:
                del recipe["image_size"]  # as before there was a choice
        if self.pretrained is None or not Path(self.pretrained).is_dir():  # of the hub
            return chain
        return [recipe | {"pretrained": fingerprint(Path(self.pretrained))} for recipe in chain]

    @classmethod
    @override
    def stem(cls, recipe: Mapping[str, Any]) -> str:
        return f"emodc-{recipe['stages'][-1]['objective']['kind']}"

    @override
    def texts(self, classes: Sequence[str]) -> PromptTexts:
        return self.prompts

    @override
    def opened(self, prompts: "Prompts") -> "Denoiser | None":
        if self.pretrained is None:
            return None
        from emodc import EmoDC

        size = self.image_size
        return EmoDC.from_pretrained(self.pretrained, prompts=prompts, image_size=size).denoiser


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
