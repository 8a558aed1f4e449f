"""What the bench asks of any kind of classifier, and the register of kinds.

A kind is the classifier's entry in a config, and all that the bench knows of it:

    @register
    class Mine(Kind):
        kind: Literal["mine"]
        path: Path

        def identity(self, name): ...
        def load(self, name, folder, config, device): ...

Kinds are imported whenever a config is read, so they import torch and networks in their methods.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny
from typing_extensions import override

from bench import labels
from bench.perturb import CORRUPTIONS
from bench.util.errors import UserError, unknown
from bench.util.section import Section

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config
    from bench.data.config import ShownFrames
    from bench.perturb.base import Perturbation
    from bench.rules import DecisionConfig
    from bench.training.loop import TrainingJob


class Kind(Section):
    """A classifier's entry in a config.

    Attributes:
        kind: Name of the kind, in configs, recipes and manifests.
        label: What LaTeX tables and figures call it; no part of a recipe or a cell's id.
        trained_here: Whether a run trains it, once with each training seed.
        staged: Whether it is EmoDC or its control: trained in stages, measured in steps.
        reads_prompts: Whether classes are prompts, whose errors are noise-prediction errors.
        parts: What an ablation takes out of its network: names by field of the recipe.
        user_code: Whether it runs code of the user's, which is tried before anything is measured.
        saw: What its training shows besides clean pictures, as `trained_with` names it.
        text: What it is, for model cards.
        verdict_seconds: Seconds on one core of a verdict at the size that it takes: here 64 px.
        train_step_seconds: Seconds on one core of a training step of 64 pictures.
        shares_batches: Whether one network answers for all pictures, and rows of its batches do
            not depend on each other, so that `bench.perturb.base.ROWS` pictures share one.
        flag: How `--model` names it, "hf:FOLDER", and the field that the rest of that is for.
    """

    kind: str
    label: str | None = Field(default=None, exclude=True)
    trained_here: ClassVar[bool] = False
    staged: ClassVar[bool] = False
    reads_prompts: ClassVar[bool] = False
    parts: ClassVar[Mapping[str, str]] = {}
    user_code: ClassVar[bool] = False
    saw: ClassVar[tuple[str, ...]] = ()
    text: ClassVar[str] = "A classifier that was brought along."
    verdict_seconds: ClassVar[float] = 0.011
    train_step_seconds: ClassVar[float] = 0.0
    shares_batches: ClassVar[bool] = False
    flag: ClassVar[tuple[str, str] | None] = None

    # What it is, for planning: nothing here computes with a network.

    def check(self, name: str) -> None:
        """Find what would fail later, before any work. Cheap: it makes no network.

        Args:
            name: Names the classifier in errors.

        Raises:
            UserError: If it cannot be trained or opened as the config says.
        """

    def on_paper(self, classes: int) -> tuple[float, float]:
        """Operations of a verdict and of a training step, of what is too large to be tried.

        Returns:
            Zeros where they are unknown.
        """
        del classes
        return 0.0, 0.0

    @property
    def to_fetch(self) -> str | None:
        """The hub id that its training starts from, if no copy of it is on this machine."""
        return None

    def require_weights(self, name: str) -> None:
        """Fetch what its training starts from, before any other training begins.

        Args:
            name: Names the classifier in errors.

        Raises:
            UserError: If it is not here and cannot be fetched.
        """

    def for_clips(self, name: str, shown: "ShownFrames | None") -> "Kind":
        """What it is where a run shows these frames of clips, or pictures (None).

        A classifier of pictures sees the middle one of the frames.

        Args:
            name: Names the classifier in errors.
            shown: Of the run.

        Raises:
            UserError: If it cannot be measured on that.
        """
        del name, shown
        return self

    @property
    def decision(self) -> "DecisionConfig | None":
        """The rule that decides while it is measured; None measures everything."""
        return None

    @property
    def decides_on_clean(self) -> bool:
        """Whether that rule decides on clean test pictures, too."""
        return True

    @property
    def keeps_trace(self) -> bool:
        """Whether its validation cell has a trace that a rule can be fitted on."""
        return False

    @property
    def folder(self) -> Path | None:
        """The checkpoint that it brings along."""
        return None

    @property
    def wants_order_check(self) -> bool:
        """Whether its class order is to be checked on validation pictures before a run."""
        return False

    @property
    def together(self) -> int:
        """At most so many pictures that a verdict depends on; 0: it depends on its own alone."""
        return 0

    def refusal(self, perturbation: "Perturbation") -> str:
        """Why it cannot be measured under a perturbation; empty if it can."""
        del perturbation
        return ""

    def views(self, count: int) -> int:
        """Augmented pictures (TTA) it is measured on when a run asks for `count`; 0 for none."""
        return count

    def evaluated(self, perturbation: "Perturbation", decides: bool) -> dict[str, Any] | None:
        """How it measures a cell, for the cell's id; None if the config says nothing.

        Args:
            perturbation: Of the cell.
            decides: Whether a rule decides while measuring.
        """
        return None

    def seconds(self, perturbation: "Perturbation", level: str) -> tuple[float, float]:
        """Seconds on one core of a verdict and of a gradient, good to a factor of two."""
        verdict = self.verdict_seconds * perturbation.looks(level)
        return verdict, GRADIENT * verdict

    @property
    def passes(self) -> int:
        """Looks at a picture in a verdict that measures everything."""
        return 1

    @property
    def batch(self) -> int:
        """Pictures of a training step."""
        return int(getattr(self, "batch_size", 64))

    @property
    def tried_quickly(self) -> bool:
        """Whether a network like it can be made and hardly trained within seconds."""
        return True

    @property
    def only_denoises(self) -> bool:
        """Whether all its training is plain denoising: its decisions hardly end early."""
        return False

    def briefly(self, steps: int) -> "Kind":
        """The same with that many steps of each training."""
        return self.model_copy(update={"steps": steps})

    def declared(self) -> dict[str, Any]:
        """What the config says of a training that the bench did not make, for manifests."""
        names = getattr(self, "trained_with", [])
        return {"trained_with": list(names)} if names else {}

    @classmethod
    def shown(cls, training: Mapping[str, Any]) -> tuple[str, ...]:
        """What a training of this recipe shows besides clean pictures."""
        return cls.saw

    # Training, of the kinds that are trained here.

    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What determines the weights of each of its checkpoints, in order.

        Args:
            common: What all recipes of a run and training seed hold.
        """
        return []

    @classmethod
    def stem(cls, recipe: Mapping[str, Any]) -> str:
        """How the folder of a recipe's checkpoint begins."""
        raise TypeError(f"{cls.__name__} is not trained")

    @classmethod
    def training_steps(cls, recipe: Mapping[str, Any]) -> int:
        """Optimiser steps from the checkpoint before to the one of this recipe."""
        raise TypeError(f"{cls.__name__} is not trained")

    def training_seconds(self, recipe: Mapping[str, Any]) -> float:
        """About what these steps take on one core."""
        return self.training_steps(recipe) * self.train_step_seconds

    def train(self, job: "TrainingJob") -> None:
        """Train one checkpoint. All processes call it."""
        raise TypeError(f"{type(self).__name__} is not trained")

    # Measuring.

    def identity(self, name: str) -> str | None:
        """A digest of what it computes; None for what is trained here.

        Args:
            name: Names the classifier in errors.
        """
        return None

    @abstractmethod
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        """Open it.

        Args:
            name: Its name in the config.
            folder: Its checkpoint, for the kinds that have one.
            config: The run.
            device: Where it computes.

        Raises:
            UserError: If it cannot be opened.
        """

    def probe(self, classifier: "Classifier", attacked: bool) -> list[str]:
        """Try a classifier that was opened, before anything is measured or trained.

        Args:
            classifier: What `load` returned.
            attacked: Whether attacks that differentiate it are planned.

        Returns:
            What the user should know, a sentence each.

        Raises:
            UserError: If it cannot be measured as planned.
        """
        return []


#: Seconds of a gradient, over those of a verdict.
GRADIENT = 3.0


# ------------------------------------------------------------------------------------------------
# The register.


#: Every kind, by its name.
KINDS: dict[str, type[Kind]] = {}

_K = TypeVar("_K", bound=Kind)


def register(cls: type[_K]) -> type[_K]:
    """Make a kind known; its name is the literal of its field `kind`."""
    (name,) = get_args(cls.model_fields["kind"].annotation)
    KINDS[name] = cls
    return cls


def kind_of(training: Mapping[str, Any]) -> type[Kind]:
    """The kind that a manifest's `training` or a recipe tells of; `Kind` if it tells of none."""
    return KINDS.get(training.get("kind", ""), Kind)


# ------------------------------------------------------------------------------------------------
# What a classifier met in training.


def _words(name: str) -> frozenset[str]:
    """The words of a corruption's name without its preset: "raf_db_c.motion_blur", motion, blur."""
    return frozenset(name.rpartition(".")[2].split("_"))


def alike(declared: str, corruption: str) -> bool:
    """Whether training with `declared` lets a classifier see what `corruption` does.

    Args:
        declared: A corruption, or a kind such as "noise" or "blur", which stands for all of them.
        corruption: A test corruption or sequence; one of a preset is alike the same of another,
            and a mix is alike each of its parts.
    """
    return _words(declared) <= _words(corruption)


def known_names(corruptions: Iterable[str]) -> list[str]:
    """What may be declared: kinds, and corruptions with and without their preset."""
    found = dict.fromkeys(["noise", "blur"])
    for name in corruptions:
        found |= dict.fromkeys([name, name.rpartition(".")[2]])
    return list(found)


def _known_corruption(name: str) -> str:
    known = known_names(CORRUPTIONS)
    if name not in known:
        raise ValueError(str(unknown("corruption or kind", name, known)))
    return name


#: Corruptions, or the kinds "noise" and "blur", that a classifier met in training.
TrainedWith = list[Annotated[str, AfterValidator(_known_corruption)]]


def trained_with(training: Mapping[str, Any]) -> tuple[str, ...]:
    """What a manifest's `training` says was seen besides clean pictures.

    What a user has declared, and what the recipe's kind implies.
    """
    return tuple(
        dict.fromkeys([*training.get("trained_with", ()), *kind_of(training).shown(training)])
    )


def seen(training: Mapping[str, Any], corruption: str) -> bool:
    """Whether a classifier of this training has seen a corruption, or one alike."""
    return any(alike(declared, corruption) for declared in trained_with(training))


# ------------------------------------------------------------------------------------------------
# What several kinds have in common.


def _known_order(value: str | list[str]) -> str | list[str]:
    try:
        labels.class_names(value)
    except UserError as error:  # as a field's error it is told with the file
        raise ValueError(str(error)) from error
    return value


#: Classes in the order of a network's logits: a name in `bench.labels.ORDERS`, or the names.
ClassOrder = Annotated[str | list[str], AfterValidator(_known_order)]


class Brought(Kind):
    """A model that was trained elsewhere, whose outputs somebody has named."""

    trained_with: TrainedWith = Field(default_factory=list)
    check_class_order: bool = True  # on validation pictures, before the sweep

    @property
    @override
    def wants_order_check(self) -> bool:
        return self.check_class_order


class TrainedHere(Kind):
    """A classifier that the bench trains, and opens from the checkpoint."""

    trained_here: ClassVar[bool] = True

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.load import from_checkpoint

        return from_checkpoint(name, self, folder, config, device)


def _of_its_kind(content: Any) -> Any:
    from bench.classifiers.kinds import of_its_kind  # which imports this file

    return of_its_kind(content)


class Around(Kind):
    """What shows another classifier something else than the pictures: its checkpoint is that one's.

    Attributes:
        classifier: The other one's entry.
    """

    classifier: Annotated[SerializeAsAny[Kind], BeforeValidator(_of_its_kind)]

    # What is a constant of other kinds depends here on the classifier: mypy sees a property in the
    # place of a class variable.

    @property
    def trained_here(self) -> bool:  # type: ignore[override]
        """Whether the classifier is."""
        return self.classifier.trained_here

    @property
    def user_code(self) -> bool:  # type: ignore[override]
        """Whether the classifier runs code of the user's."""
        return self.classifier.user_code

    @property
    def train_step_seconds(self) -> float:  # type: ignore[override]
        """The classifier's."""
        return self.classifier.train_step_seconds

    @property
    def image_size(self) -> int | None:
        """The classifier's, if it says."""
        return getattr(self.classifier, "image_size", None)

    @override
    def check(self, name: str) -> None:
        self.classifier.check(name)

    @property
    @override
    def folder(self) -> Path | None:
        return self.classifier.folder

    @property
    @override
    def passes(self) -> int:
        return self.classifier.passes

    @property
    @override
    def batch(self) -> int:
        return self.classifier.batch

    @property
    @override
    def tried_quickly(self) -> bool:
        return self.classifier.tried_quickly

    @property
    @override
    def only_denoises(self) -> bool:
        return self.classifier.only_denoises

    @override
    def briefly(self, steps: int) -> Kind:
        return self.model_copy(update={"classifier": self.classifier.briefly(steps)})

    @override
    def declared(self) -> dict[str, Any]:
        return self.classifier.declared()

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self.classifier.recipes(common)

    @override
    def training_seconds(self, recipe: Mapping[str, Any]) -> float:
        return self.classifier.training_seconds(recipe)

    @override
    def train(self, job: "TrainingJob") -> None:
        self.classifier.train(job)

    @override
    def identity(self, name: str) -> str | None:
        return self.classifier.identity(name)

    @override
    def probe(self, classifier: "Classifier", attacked: bool) -> list[str]:
        return self.classifier.probe(getattr(classifier, "inner", classifier), attacked)


class TrainedAtOnce(TrainedHere):
    """A network with one checkpoint.

    Attributes:
        data_parallel: Whether all processes train it; else the main one does, and the others wait.
    """

    data_parallel: ClassVar[bool] = False

    @classmethod
    @override
    def stem(cls, recipe: Mapping[str, Any]) -> str:
        return str(recipe["architecture"])

    @classmethod
    @override
    def training_steps(cls, recipe: Mapping[str, Any]) -> int:
        return int(recipe["steps"])

    @abstractmethod
    def train_network(self, job: "TrainingJob") -> None:
        """Train it in this process."""

    @override
    def train(self, job: "TrainingJob") -> None:
        if self.data_parallel or job.loop.accelerator.is_main_process:
            self.train_network(job)
        else:
            job.loop.accelerator.wait_for_everyone()
