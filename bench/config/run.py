"""The whole run in a config."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bench.classifiers.kinds import ClassifierConfig
from bench.config.perturbations import Perturbations
from bench.data.config import DataConfig, FacesData
from bench.util import runtime
from bench.util.errors import unknown
from bench.util.section import Section, UserPath

Precision = Literal["auto", "float32", "bfloat16"]


class EngineSettings(Section):
    """How the network is run where decisions are made while measuring; see `emodc.Engine`."""

    rows: int = Field(64, ge=1)
    channels_last: bool = False
    compile: bool = False


class Execution(Section):
    """How the work is done; nothing here changes a result (on a CPU, to the last bit).

    Only `traces: float16` rounds what rules are replayed from, but neither predictions nor what
    rules are fitted on, and another `engine` changes the last bits of what is measured where
    decisions are made live.
    """

    batch_size: int = Field(32, ge=1)
    shards: int = Field(2, ge=1)
    workers: int | None = Field(None, ge=1)  # None: one per core on a CPU, one on a GPU
    device: Annotated[str, AfterValidator(runtime.known_device)] = "auto"
    trackers: list[Literal["tensorboard", "wandb"]] = Field(default_factory=list)  # of training
    save_every: float = Field(60.0, gt=0)  # seconds between two saved states of a training
    corrupted_cache: int = Field(2000, ge=0)  # MB of corrupted pictures kept during a sweep
    traces: Literal["float32", "float16"] = "float32"  # what files keep errors in
    engine: EngineSettings = EngineSettings()


class Config(Section):
    """A whole run."""

    seed: int = Field(0, ge=0)  # of the data, the perturbations and the evaluation
    training_seeds: list[Annotated[int, Field(ge=0)]] | None = Field(None, min_length=1)
    precision: Precision = "auto"
    limit: int | None = Field(None, ge=1)  # test samples per cell
    validation: bool = True  # measure clean validation pictures, too: decisions are fitted on them
    views: int = Field(0, ge=0)  # of each clean test picture, for classifiers without steps
    data: DataConfig = FacesData()
    # Lists of test pictures, by the name of the group that they make.
    lists: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 _-]*$")], UserPath] = Field(
        default_factory=dict
    )
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
            UserError: For a classifier that the config does not have, or an unknown perturbation.
        """
        for name in classifiers or []:
            if name not in self.classifiers:
                raise unknown("classifier", name, self.classifiers)
        chosen = {k: v for k, v in self.classifiers.items() if not classifiers or k in classifiers}
        table = self.perturbations
        if perturbations:
            table = table.only(perturbations)
        return self.model_copy(update={"classifiers": chosen, "perturbations": table})
