"""The configuration of a run: YAML in, checked models out.

Every field that determines a result goes into cell ids; the fields of `Execution` do not.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench import resources
from bench.errors import UserError, unknown
from bench.perturb import ATTACKS, CORRUPTIONS

Precision = Literal["auto", "float32", "bfloat16"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FacesData(_Section):
    """Drawn faces."""

    kind: Literal["faces"] = "faces"
    train: int = Field(7000, ge=14)
    val: int = Field(350, ge=7)
    test: int = Field(504, ge=7)
    difficulty: Literal["default", "hard"] = "default"


class FolderData(_Section):
    """A folder with train/<class>/* and test/<class>/*."""

    kind: Literal["folder"]
    root: Path


class BaseObjective(_Section):
    """Plain denoising."""

    kind: Literal["base"]


class _Discrepancy(_Section):
    """What objectives with wrong prompts share; see `emodc.objectives.Discrepancy`."""

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


class CrossEntropyObjective(_Section):
    """Denoising, and cross-entropy over the errors."""

    kind: Literal["cross_entropy"]
    weight: float = Field(0.1, ge=0)
    scale: float = Field(40.0, gt=0)


class EarlyStop(_Section):
    """End a stage when a validation trace stops getting better; keep the best weights."""

    every: int = Field(200, ge=1)  # steps
    patience: int = Field(5, ge=1)  # validations without a better accuracy


class Stage(_Section):
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


class Evaluation(_Section):
    """How EmoDC measures errors."""

    steps: int = Field(100, ge=1)
    low: int = Field(0, ge=0)
    high: int = Field(500, ge=1, le=1000)
    noise_aware: bool = False
    weighting: Literal["noise", "target"] = "noise"
    attack_steps: int = Field(20, ge=1)  # of `steps`, per gradient of an attack
    other_prompts: int = Field(300, ge=0)  # clean samples measured under null and non-class, too


class PromptTexts(_Section):
    """How classes are worded; see `emodc.prompts.Prompts`."""

    templates: list[Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")]] = Field(
        ["a photo of a {} face"], min_length=1
    )
    non_class: str = "a photo of a face"
    null: str = ""
    words: dict[str, str] = {}


class EmoDCClassifier(_Section):
    """An EmoDC, trained in stages."""

    kind: Literal["emodc"]
    stages: list[Stage] = Field(min_length=1)
    pretrained: str | None = None  # a diffusers folder or hub id to start from
    whitening: float = Field(0.0, ge=0, le=1)
    block_out_channels: tuple[int, int, int] = (32, 64, 96)
    head_channels: int = 48
    prompts: PromptTexts = PromptTexts()
    evaluation: Evaluation = Evaluation()


class ControlClassifier(EmoDCClassifier):
    """The matched control: EmoDC's trunk, noised inputs and budget, with a cross-entropy head.

    Its stages train the cross-entropy of the class at every noise level; its verdict averages the
    log-probabilities over the same steps as EmoDC's.
    """

    kind: Literal["control"]  # type: ignore[assignment]


class BaselineClassifier(_Section):
    """A discriminative network, trained from scratch."""

    kind: Literal["baseline"]
    architecture: str
    steps: int = Field(625, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(64, ge=1)


class CheckpointClassifier(_Section):
    """A trained EmoDC or baseline, from a folder that a run of the bench wrote."""

    kind: Literal["checkpoint"]
    path: Path  # beside the working folder, or shipped with the bench
    evaluation: Evaluation = Evaluation()

    @property
    def folder(self) -> Path:
        """The folder that `path` means."""
        return self.path if self.path.exists() else resources.find(self.path) or self.path


class PythonClassifier(_Section):
    """Your own classifier: `factory` is "module:function" and returns a torch module."""

    kind: Literal["python"]
    factory: str = Field(pattern=r"^[\w.]+:\w+$")


ClassifierConfig = Annotated[
    EmoDCClassifier
    | ControlClassifier
    | BaselineClassifier
    | CheckpointClassifier
    | PythonClassifier,
    Field(discriminator="kind"),
]


class Perturbations(_Section):
    """Which perturbations, at which levels. The clean pictures are always measured."""

    corruptions: dict[str, list[Annotated[int, Field(ge=1, le=5)]]] = {}
    attacks: dict[str, list[Annotated[int, Field(ge=1, le=255)]]] = {}  # eps in 1/255
    attack_limit: int | None = Field(None, ge=1)  # test samples attacked

    def names(self) -> list[str]:
        """Names of all perturbations."""
        return [*self.corruptions, *self.attacks]


class Execution(_Section):
    """How the work is done; nothing here changes a result (on a CPU, to the last bit)."""

    batch_size: int = Field(32, ge=1)
    shards: int = Field(2, ge=1)
    workers: int | None = Field(None, ge=1)  # None: one per core on a CPU, one on a GPU
    device: str = "auto"
    trackers: list[Literal["tensorboard", "wandb"]] = []  # of training
    save_every: float = Field(60.0, gt=0)  # seconds between two saved states of a training


class Config(_Section):
    """A whole run."""

    seed: int = Field(0, ge=0)  # of the data, the perturbations and the evaluation
    training_seeds: list[Annotated[int, Field(ge=0)]] | None = Field(None, min_length=1)
    precision: Precision = "auto"
    limit: int | None = Field(None, ge=1)  # test samples per cell
    data: Annotated[FacesData | FolderData, Field(discriminator="kind")] = FacesData()
    classifiers: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")], ClassifierConfig] = (
        Field(min_length=1)
    )
    perturbations: Perturbations = Perturbations()
    execution: Execution = Execution()

    @property
    def seeds(self) -> list[int]:
        """The training seeds: every trained classifier is trained once with each."""
        return list(dict.fromkeys(self.training_seeds or [self.seed]))

    def select(
        self, classifiers: list[str] | None = None, perturbations: list[str] | None = None
    ) -> "Config":
        """The same run with only the named classifiers and perturbations.

        Raises:
            UserError: For a name the config does not have.
        """
        for name in classifiers or []:
            if name not in self.classifiers:
                raise unknown("classifier", name, self.classifiers)
        for name in perturbations or []:
            if name not in ("clean", *self.perturbations.names()):
                raise unknown("perturbation", name, ["clean", *self.perturbations.names()])
        chosen = {k: v for k, v in self.classifiers.items() if not classifiers or k in classifiers}
        table = self.perturbations
        if perturbations:
            table = table.model_copy(
                update={
                    family: {k: v for k, v in getattr(table, family).items() if k in perturbations}
                    for family in ("corruptions", "attacks")
                }
            )
        return self.model_copy(update={"classifiers": chosen, "perturbations": table})


def load(path: Path) -> Config:
    """Read a YAML config.

    Raises:
        UserError: Naming the file, the field and what is allowed there.
    """
    shipped_name = Path("configs") / path.with_suffix(".yaml").name
    found = path if path.is_file() else resources.find(shipped_name)
    if found is None:
        shipped = resources.find(Path("configs"))
        known = [p.stem for p in shipped.glob("*.yaml")] if shipped else []
        raise unknown("config file", str(path), known)
    try:
        content = yaml.safe_load(found.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{found} is not YAML: {error}") from error
    return parse(content, str(found))


def parse(content: Any, origin: str) -> Config:
    """Check a config's content; `origin` names it in errors."""
    if not isinstance(content, dict):
        raise UserError(f"{origin}: a config is a mapping of fields, not {type(content).__name__}.")
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{origin}: " + "; ".join(map(_sentence, error.errors()))) from error
    for name in config.perturbations.corruptions:
        if name not in CORRUPTIONS:
            raise unknown("corruption", name, CORRUPTIONS)
    for name in config.perturbations.attacks:
        if name not in ATTACKS:
            raise unknown("attack", name, ATTACKS)
    return config


def _sentence(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown field {field!r} (a typo? see docs/configuration.md for those that exist)"
    return f"field {field!r}: {error['msg'].lower()}, got {error['input']!r}"
