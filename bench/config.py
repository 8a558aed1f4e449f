"""The configuration of a run: YAML in, checked models out, with errors that name file and field.

Each room has the sections that it reads: `bench.data.config`, `bench.perturb.config`,
`bench.classifiers.kinds`. Every field that determines a result goes into cell ids; the fields of
`Execution` do not.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from bench.classifiers.kinds import ClassifierConfig
from bench.data.config import DataConfig, FacesData, ShownFrames
from bench.perturb.config import Perturbations
from bench.util import files, runtime
from bench.util.errors import UserError, unknown
from bench.util.section import Name, Section, UserPath, from_yaml, sentences
from emodc.settings import EngineSettings, Precision


class Execution(Section):
    """How the work is done; nothing here changes a result (on a CPU, to the last bit).

    Only `traces: float16` rounds what rules are replayed from, but neither predictions nor what
    rules are fitted on, and another `engine` changes the last bits of what is measured where
    decisions are made live.
    """

    batch_size: int = Field(32, ge=1)
    shards: int = Field(2, ge=1)
    workers: int | None = Field(None, ge=1)  # None: one per core on a CPU, one on a GPU
    executor: str = "processes"  # where work runs: processes of this machine, ray, or a plugin's
    address: str | None = None  # of a Ray cluster; None: $RAY_ADDRESS, else this machine
    gpu_share: float = Field(1.0, gt=0, le=1)  # of a GPU, that each worker on Ray takes
    errors: Literal["stop", "record"] = "stop"  # what an error in one shard does to the others
    device: Annotated[str, AfterValidator(runtime.known_device)] = "auto"
    trackers: list[Literal["tensorboard", "wandb"]] = Field(default_factory=list)  # of training
    save_every: float = Field(60.0, gt=0)  # seconds between two saved states of a training
    corrupted_cache: int = Field(2000, ge=0)  # MB of corrupted pictures kept during a sweep
    traces: Literal["float32", "float16"] = "float32"  # what files keep errors in
    engine: EngineSettings = EngineSettings()


class Config(Section):
    """A whole run."""

    seed: int = Field(0, ge=0, lt=2**63)  # of the data, the perturbations and the evaluation
    training_seeds: list[Annotated[int, Field(ge=0)]] | None = Field(None, min_length=1)
    precision: Precision = "auto"
    limit: int | None = Field(None, ge=1)  # test samples per cell
    validation: bool = True  # measure clean validation pictures, too: decisions are fitted on them
    views: int = Field(0, ge=0)  # of each clean test picture, for classifiers without steps
    data: DataConfig = FacesData()
    # Folds of the data set that make one experiment, each trained and tested on its own.
    folds: list[Annotated[int, Field(ge=1)]] | None = Field(None, min_length=1)
    # Which frames of clips classifiers are shown; without it they are shown pictures.
    clips: ShownFrames | None = None
    # Lists of test pictures, by the name of the group that they make.
    lists: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 _-]*$")], UserPath] = Field(
        default_factory=dict
    )
    classifiers: dict[Name, ClassifierConfig] = Field(min_length=1)
    perturbations: Perturbations = Perturbations()
    execution: Execution = Execution()

    def settled(self) -> "Config":
        """The same with presets as their members, and all suiting what the run shows.

        Raises:
            UserError: For a perturbation that does not exist, or one or a classifier that needs
                clips where pictures are shown, or the other way round.
        """
        found = {name: spec.for_clips(name, self.clips) for name, spec in self.classifiers.items()}
        expanded = self.perturbations.expanded()
        for perturbation, _ in expanded.members():
            if self.clips is not None:
                perturbation.of_clips()
            elif perturbation.clips_only:
                raise UserError(
                    f"{perturbation.name} is about frames of clips, and the run shows pictures: "
                    "set `clips`, such as `clips: {frames: 16}`, and a data set of clips."
                )
        return self.model_copy(update={"classifiers": found, "perturbations": expanded})

    @property
    def seeds(self) -> list[int]:
        """The training seeds: every trained classifier is trained once with each."""
        return list(dict.fromkeys(self.training_seeds or [self.seed]))

    def parts(self) -> "list[Config]":
        """The runs that it is made of: one for each of `folds`, else itself.

        Raises:
            UserError: If the data set has no such folds.
        """
        if self.folds is None:
            return [self]
        if "fold" not in type(self.data).model_fields:
            raise UserError(f"folds: {self.data.kind} has no folds; leave `folds` out.")
        found = []
        for fold in dict.fromkeys(self.folds):
            try:
                data = type(self.data).model_validate({**self.data.model_dump(), "fold": fold})
            except ValidationError as error:
                raise UserError(f"folds: {self.data.kind}: {sentences(error)}.") from error
            found.append(self.model_copy(update={"data": data, "folds": None}))
        return found

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


# ------------------------------------------------------------------------------------------------
# From YAML
# ------------------------------------------------------------------------------------------------


def load(path: Path) -> Config:
    """Read a YAML config.

    Raises:
        UserError: Naming the file, the field and what is allowed there.
    """
    shipped_name = Path("configs") / path.with_suffix(".yaml").name
    found = path if path.is_file() else files.find(shipped_name)
    if found is None:
        shipped = files.find(Path("configs"))
        known = [p.stem for p in shipped.glob("*.yaml")] if shipped else []
        raise unknown("config file", str(path), known)
    return parse(content(found), str(found))


def content(path: Path, above: tuple[Path, ...] = ()) -> Any:
    """What a YAML file says, on top of the files that its `extends` names, beside it.

    Mappings are merged field by field; anything else replaces what was there, and null takes a
    mapping away, such as a classifier. Of several files a later one is on top.

    Args:
        path: The file.
        above: Files that extend this one.

    Raises:
        UserError: Naming the file that is not YAML, not there, or that extends itself.
    """
    if path.resolve() in above:
        raise UserError(f"{path} extends itself.")
    try:
        found = from_yaml(path.read_text())
    except ValueError as error:  # of text that is no UTF-8, too
        raise UserError(f"{path} is not YAML: {error}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if not isinstance(found, dict) or "extends" not in found:
        return found
    names = found.pop("extends")
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: extends names a file, or a list of files.")
    base: dict[str, Any] = {}
    for name in names:
        below = content(path.parent / files.expanded(name), (*above, path.resolve()))
        if not isinstance(below, dict):
            raise UserError(f"{path.parent / name}: a config is a mapping of fields.")
        base = merged(base, below)
    return merged(base, found)


def merged(below: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """A config's content with another's on top; see `content`."""
    both = {**below, **top}
    for key, value in top.items():
        if isinstance(below.get(key), dict):
            if value is None:
                del both[key]
            elif isinstance(value, dict):
                both[key] = merged(below[key], value)
    return both


def parse(content: Any, origin: str) -> Config:
    """Check a config's content; `origin` names it in errors."""
    if not isinstance(content, dict):
        raise UserError(f"{origin}: a config is a mapping of fields, not {type(content).__name__}.")
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{origin}: {sentences(error)}") from error
    return config.settled()
