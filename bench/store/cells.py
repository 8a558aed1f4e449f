"""What a store has records of: cells, and the manifests of those that are complete."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from bench.util.files import digest

SCHEMA = 3


FamilyName = Literal[
    "clean",
    "corruption",
    "level",
    "attack",
    "draws",
    "certified",
    "sequence",
    "validation",
    "views",
]


@dataclass(frozen=True)
class Family:
    """What holds for all cells of a kind of perturbation, whatever its name and level.

    Attributes:
        place: Where a report has them: among its "results", or apart from these.
        strength: What a severity of theirs is called; empty if it says nothing ("0").
        clean: Whether the pictures are as they are.
        model_free: Whether every classifier meets the same pictures, and all test pictures.
        graded: Whether severities are ranks, over which accuracies are averaged.
        fits: Whether decision rules are fitted on them.
        augmented: Whether they are test-time augmentation: several views of each picture.
        repeated: Whether a picture has several rows, "picture#number".
    """

    place: Literal["results", "levels", "draws", "certified", "flips", "validation", "views"] = (
        "results"
    )
    strength: str = ""
    clean: bool = False
    model_free: bool = True
    graded: bool = False
    fits: bool = False
    augmented: bool = False
    repeated: bool = False

    @property
    def corrupted(self) -> bool:
        """Whether the pictures are changed, and for every classifier in the same way."""
        return self.model_free and not self.clean

    @property
    def for_decisions(self) -> bool:
        """Whether they are measured for decisions alone, so that no table of results has them."""
        return self.fits or self.augmented


#: By the label that cells and tables have, in the order of reports.
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "clean": Family(clean=True),
        "corruption": Family(strength="severity", graded=True),
        "level": Family("levels", strength="level"),
        "attack": Family(strength="budget", model_free=False),
        "draws": Family("draws", strength="budget", model_free=False, repeated=True),
        "certified": Family("certified", strength="sigma", model_free=False),
        "sequence": Family("flips", strength="frames", repeated=True),
        "validation": Family("validation", clean=True, fits=True),
        "views": Family("views", strength="views", clean=True, augmented=True),
    }
)


def pictures_of(perturbation: str, family: str, severity: str) -> str:
    """A perturbation with its severity, such as "gaussian_noise 3"; "clean" has none."""
    return f"{perturbation} {severity}" if FAMILIES[family].strength else perturbation


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Conditioning(_Record):
    """Whether the prompt changes an EmoDC's noise prediction, on clean validation pictures.

    Attributes:
        passed: Whether `accuracy_low` exceeds `chance` and `gap_low` exceeds 0.
        n: Pictures.
        accuracy: Share of pictures whose right class has the lowest error; a tie is an error.
        accuracy_low: Lower end of its 95 % Wilson interval.
        chance: Share of the most frequent class, which one answer to all pictures would reach.
        gap: Mean over pictures of d_n - d_p, paired: the errors share noise and timesteps.
        gap_low: Lower end of its 95 % interval (Student's t over pictures).
        gap_high: Upper end.
    """

    passed: bool
    n: int
    accuracy: float
    accuracy_low: float
    chance: float
    gap: float
    gap_low: float
    gap_high: float


#: Which Base a checkpoint's d_p is compared with.
Reference = Literal["itself", "equal_budget", "first_stage"]


class Gate(_Record):
    """The checks of an EmoDC checkpoint on the validation split.

    Attributes:
        passed: The denoiser check: whether d_p is at most 1.2 x its Base's.
        d_p: Of the checkpoint.
        base_d_p: Of the Base that it is judged by; None if there is none.
        conditioning: The conditioning check; None if the checkpoint was made before there was one.
        reference: Which Base that is: the run's plain denoiser of equal budget, which is found
            where results are read (`bench.store.checkpoints.Bases`), else the first stage, which
            is what training knows. A plain denoiser is judged by itself.
        linear_d_p: Of the best linear denoiser (`emodc.diffusion.measuring`), on the same pictures
            and timesteps: what a network has to beat. None if it was not measured.
    """

    passed: bool
    d_p: float
    base_d_p: float | None
    conditioning: Conditioning | None = None
    reference: Reference = "first_stage"
    linear_d_p: float | None = None


class Cell(_Record):
    """One (classifier, data set, perturbation, severity or eps, seed): the unit of a table.

    `seed` is that of training. `run_seed` is that of data, perturbations and evaluation noise: only
    cells that share it were measured on the same pictures under the same noise. A run with a single
    seed uses it for both.
    """

    id: str = Field(pattern=r"^\w[\w.-]*$")
    classifier: str
    dataset: str
    perturbation: str
    # "validation": clean pictures of that split; "views": clean test pictures augmented (TTA)
    family: FamilyName
    # "0" for clean, "1".."5" for a corruption, "0.05" or "30 dB" for a continuous level, "4/255"
    # for an attack; of a sequence its frames, each of which is a row; of views how many.
    severity: str
    seed: int
    run_seed: int

    @model_validator(mode="before")
    @classmethod
    def _single_seed(cls, content: Any) -> Any:
        if isinstance(content, dict) and "seed" in content:
            return {"run_seed": content["seed"]} | content
        return content

    @field_validator("classifier", "dataset")
    @classmethod
    def _leads_nowhere_else(cls, name: str, info: ValidationInfo) -> str:
        """Both become folders of the store; a data set may have one within another."""
        parts = name.split("/")
        if {"", ".", ".."} & set(parts) or (info.field_name == "classifier" and len(parts) > 1):
            raise ValueError(f"{name!r} is no name of a {info.field_name}")
        return name

    @model_validator(mode="after")
    def _has_a_level(self) -> "Cell":
        try:
            finite = math.isfinite(self.level)
        except (ValueError, ZeroDivisionError):
            finite = False
        if not finite:
            raise ValueError(f"{self.severity!r} is no severity")
        return self

    @property
    def about(self) -> Family:
        """What holds for all cells of the family."""
        return FAMILIES[self.family]

    @property
    def level(self) -> float:
        """Severity or eps as a number, for ordering and plotting; a greater one is harder."""
        if self.severity.endswith(" dB"):  # of signal over noise
            return -float(self.severity.removesuffix(" dB"))
        numerator, _, denominator = self.severity.partition("/")
        return float(numerator) / float(denominator or 1)

    @property
    def condition(self) -> str:
        """The perturbation, as people read it; clean pictures with what they are measured for."""
        named = {"validation": "clean, validation split", "views": "clean, TTA"}
        named["draws"] = f"{self.perturbation}, fresh noise"
        return named.get(self.family, self.perturbation)


class Manifest(_Record):
    """What stands behind the rows of a complete cell.

    Attributes:
        schema_version: Of this record.
        cell: The cell.
        classes: Class names in logit order.
        n: Number of rows.
        shards: Number of parts.
        checkpoint: Digest of the weights.
        gate: None for a discriminative classifier.
        timesteps: Of the trace; empty for a discriminative classifier.
        validation: Figures of the checkpoint on the validation split, as its card has them:
            `accuracy`, and for EmoDC `d_p`. Empty for a classifier that was not trained here.
        training: What made the weights: the checkpoint's recipe less what describes the data, for
            EmoDC with a list `stages`, and the `seconds` it took, earlier stages included. Empty
            for a classifier that was not trained here.
        inputs: Everything that the cell id digests.
        environment: Versions of libraries, kind of device; of a corruption its preset's name and
            version.
        flops: Floating-point operations of the network: `picture`, once per picture; `step`, one
            pass at one step; `evaluation`, one class at one step. A decision costs picture + step x
            steps + evaluation x evaluations. Empty where they cannot be counted.
        command: What computes the cell in a folder without results; empty if no command did.
        files: SHA-256 of each file that the cell consists of, by name; `Store.write_manifest` fills
            it.
        deterministic: Whether two equal calls of the classifier agreed.
    """

    schema_version: int = SCHEMA
    cell: Cell
    classes: list[str]
    n: int
    shards: int
    checkpoint: str
    gate: Gate | None
    timesteps: list[int]
    validation: dict[str, float]
    training: dict[str, Any]
    inputs: dict[str, Any]
    environment: dict[str, str]
    flops: dict[str, float] = Field(default_factory=dict)
    command: str = ""
    files: dict[str, str] | None = None
    deterministic: bool = True


def identify(classifier: str, dataset: str, inputs: dict[str, Any]) -> str:
    """The id of the cell that these inputs determine the rows of."""
    return digest([classifier, dataset, inputs])


def has_other_prompts(cell: Cell, inputs: dict[str, Any]) -> bool:
    """Whether an EmoDC's cell with these inputs measures the null and the non-class prompt."""
    evaluation = inputs.get("evaluation") or {}
    return cell.family == "clean" and bool(evaluation.get("other_prompts"))


def needs_trace(cell: Cell) -> bool:
    """Whether the trace is what the cell is measured for, though its rows have no d_p."""
    return cell.about.augmented
