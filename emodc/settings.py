"""What a person chooses of an EmoDC: prompts, how errors are measured, training, how to compute.

Plain dataclasses without torch, so that a config can be checked in a moment. The code extends them
by what it alone knows (`Evaluation`, `TrainConfig`, `Engine`), and a config of the bench
by what only a run knows; fields, defaults and limits stand here once. The limits are annotations:
pydantic checks them where settings come from a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt

from emodc.training.objectives import Objective

Precision = Literal["auto", "float32", "bfloat16"]

#: Units that errors can be written in: those of the noise, or those of the network's own target.
Weighting = Literal["noise", "target"]

RateSchedule = Literal["linear", "cosine", "constant"]
Trained = Literal["all", "lora", "text"]

Share = Annotated[float, Field(ge=0, lt=1)]


#: How a class is worded within a template. A class that neither this nor `PromptTexts.words` has is
#: worded by its name, which suits compound expressions ("happily_surprised") as they stand.
WORDS = {
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "fear": "fearful",
    "anger": "angry",
    "disgust": "disgusted",
    "contempt": "contemptuous",
}


def _some(templates: tuple[str, ...]) -> tuple[str, ...]:
    if not templates:
        raise ValueError("it needs one template or more")
    return templates


@dataclass(frozen=True, kw_only=True)
class PromptTexts:
    """How classes are worded.

    Attributes:
        templates: Texts with one ``{}`` for the class word. With several, a class's error is the
            mean over its templates.
        non_class: Text that describes the picture without naming a class.
        null: Text of the null prompt.
        words: How classes are worded, where `WORDS` should not decide.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    templates: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")], ...],
        AfterValidator(_some),
    ] = ("a photo of a {} face",)
    non_class: str = "a photo of a face"
    null: str = ""
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompts(PromptTexts):
    """The texts that condition the denoiser.

    A prompt is positive when it names the class of the picture, negative when it names another
    one. Two prompts name no class: the null prompt (the empty text) and the non-class prompt.

    Attributes:
        classes: Class names; their order is the order of the logits.
    """

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.classes)) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"EmoDC needs two or more different classes, got {self.classes}")
        for template in self.templates:
            if template.count("{}") != 1:
                raise ValueError(f"a prompt template needs exactly one {{}}, got {template!r}")
        strangers = sorted(set(self.words) - set(self.classes))
        if strangers:
            raise ValueError(f"prompt words for {', '.join(strangers)}, which are not classes")
        texts = self.texts()
        if not self.templates or len(set(texts[: self.null_index])) < self.null_index:
            raise ValueError(f"two classes share a prompt, or there is none: {texts}")

    def texts(self) -> list[str]:
        """All prompts: per class its templates in order, then null, then non-class."""
        named = [
            template.format(self._word(name))
            for name in self.classes
            for template in self.templates
        ]
        return [*named, self.null, self.non_class]

    @property
    def null_index(self) -> int:
        """Row of the null prompt in `texts()`; the class prompts are the rows before it."""
        return len(self.classes) * len(self.templates)

    @property
    def non_class_index(self) -> int:
        """Row of the non-class prompt in `texts()`."""
        return self.null_index + 1

    def _word(self, name: str) -> str:
        return self.words.get(name) or WORDS.get(name) or name.replace("_", " ").lower()


@dataclass(frozen=True)
class ErrorSettings:
    """How errors are measured.

    Attributes:
        steps: (timestep, noise) pairs per picture; "100-step evaluation" = 100 of them.
        low: First timestep of the range that the steps cover.
        high: End of that range (exclusive).
        noise_aware: Count noise that is in the picture already as a part of the forward process;
            see `emodc.diffusion.noise_aware`.
        level_gradient: Let gradients pass through the estimate of that noise, too. Without it the
            estimate is a constant of the picture to whoever differentiates.
        weighting: Units of the errors: those of the noise, or those of the network's own target.
    """

    steps: PositiveInt = 100
    low: NonNegativeInt = 0
    high: Annotated[int, Field(ge=1, le=1000)] = 500
    noise_aware: bool = False
    level_gradient: bool = False
    weighting: Weighting = "noise"


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One training stage.

    Attributes:
        objective: Loss per sample as a function of the errors.
        steps: Optimiser steps.
        learning_rate: Peak rate of AdamW.
        schedule: After the warm-up: constant, then "linear" to zero over the last steps; "cosine"
            to zero over all steps; or "constant" to the end.
        warmup: Steps of linear warm-up.
        ema: Decay of the averaged weights, which are the result.
        null_share: Share of denoising under the null prompt (prompt dropout).
        non_class_share: The same for the non-class prompt.
        weighting: Units of the errors in the loss.
        trained: All weights, low-rank adapters of the network's attention ("lora", Hu et al. 2021,
            arXiv 2106.09685; merged at the end), or only the text conditioning.
        lora_rank: Rank of the adapters.
        accumulate: Parts that a batch is computed in, to save memory.
        checkpointing: Recompute activations in the backward pass, to save memory.
    """

    objective: Objective
    steps: PositiveInt
    learning_rate: PositiveFloat = 2e-3
    schedule: RateSchedule = "linear"
    warmup: NonNegativeInt = 50
    ema: Share = 0.998
    null_share: Share = 0.1
    non_class_share: Share = 0.05
    weighting: Weighting = "noise"
    trained: Trained = "all"
    lora_rank: PositiveInt = 8
    accumulate: PositiveInt = 1
    checkpointing: bool = False


@dataclass(frozen=True)
class EngineSettings:
    """How the network is run where decisions are made while measuring.

    Attributes:
        rows: Network rows of a micro-batch. A network with a shared trunk scores all prompts of
            a row. It is halved when memory runs out.
        channels_last: Keep the network's weights with channels last in memory; the first
            convolution then brings the rows into that order, too.
        compile: `torch.compile` the network for this one shape. The first micro-batch then takes
            a minute or so, and one of another size again. Compiled code adds in an order of its
            own: errors differ from uncompiled ones in the last bits.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    rows: PositiveInt = 64
    channels_last: bool = False
    compile: bool = False


def chosen(settings: type, source: Any) -> dict[str, Any]:
    """The fields of a class of settings, of an object that has them all."""
    return {one.name: getattr(source, one.name) for one in fields(settings)}
