"""The papers' experiments: a config for each data set (`configs/paper/`), at three scales.

What a data set says (which one, its perturbations) is in its own file, what a scale says (the
classifiers, their budgets) in the scale's. At `tiny` and `small` a data set without a root is drawn
as a look-alike; at `full` only what is there is run. All share a folder of results and its report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.config import Config, content, merged, parse
from bench.util import files
from bench.util.errors import UserError, unknown

#: Names of the data sets, in the order in which they are run.
DATA_SETS = ("raf_db", "raf_db_compound", "sfew", "affectnet")

_FOLDER = Path("configs/paper")


class Scale(StrEnum):
    """How much of it is done."""

    tiny = "tiny"
    small = "small"
    full = "full"

    @classmethod
    def named(cls, name: str) -> "Scale":
        """The scale of that name.

        Raises:
            UserError: If there is none.
        """
        if name not in {scale.value for scale in cls}:
            raise unknown("scale", name, [scale.value for scale in cls])
        return cls(name)

    @property
    def drawn_per_class(self) -> int | None:
        """Test pictures of a class of a look-alike; None where none is drawn."""
        return {Scale.tiny: 2, Scale.small: 50}.get(self)


@dataclass(frozen=True)
class Experiment:
    """One data set's.

    Attributes:
        name: Of the data set.
        config: What is run.
        root: Its folder.
        drawn: Whether that is a look-alike, which is drawn first.
    """

    name: str
    config: Config
    root: Path
    drawn: bool


def read_roots(path: Path) -> dict[str, Path]:
    """Folders of data sets by name, from a YAML file.

    Raises:
        UserError: If the file says something else, or names a data set that has no experiment.
    """
    given = content(path)
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise UserError(f"{path}: a mapping of data sets to folders, such as `raf_db: DIR`.")
    for name in given:
        if name not in DATA_SETS:
            raise unknown("experiment for a data set", str(name), DATA_SETS)
    return {name: files.expanded(Path(folder)) for name, folder in given.items()}


def experiments(
    scale: Scale, roots: Mapping[str, Path], out: Path, only: Sequence[str] = ()
) -> tuple[list[Experiment], dict[str, str]]:
    """What can be run, and what is missing: data sets with a sentence each.

    Args:
        scale: How much of it.
        roots: Folders of data sets.
        out: Folder of the results; look-alikes are drawn in `out/drawn`.
        only: Names of data sets; all if empty.

    Raises:
        UserError: For an unknown name, a root that is not there, or if nothing can be run.
    """
    for name in only:
        if name not in DATA_SETS:
            raise unknown("experiment for a data set", name, DATA_SETS)
    found, missing = [], {}
    for name in only or DATA_SETS:
        root = roots.get(name)
        drawn = root is None and scale.drawn_per_class is not None
        if root is not None and not root.is_dir():
            raise UserError(f"{name}: there is no folder {root}.")
        if drawn:
            root = out / "drawn" / name
        if root is None:
            missing[name] = (
                "no root: name its folder in the file of --roots, or by --data and --root"
            )
            continue
        found.append(Experiment(name, _config(name, scale, root), root, drawn))
    if not found:
        raise UserError(f"no data set of the paper is there. {'; '.join(missing)}: give --roots.")
    return found, missing


def _config(name: str, scale: Scale, root: Path) -> Config:
    own = _content(f"{name}.yaml")
    del own["classifiers"]  # those of the full scale, which it extends
    if scale is not Scale.full:
        own.pop("training_seeds", None)
    scaled = _content(f"{scale.value}.yaml")
    made: dict[str, Any] = merged(own, scaled)
    if "perturbations" in scaled:  # fewer, not more
        made["perturbations"] = scaled["perturbations"]
    return parse(merged(made, {"data": {"root": str(root)}}), f"{_FOLDER / name}.yaml at {scale}")


def _content(name: str) -> dict[str, Any]:
    path = files.find(_FOLDER / name)
    if path is None:
        raise UserError(f"{_FOLDER / name} is not shipped with this installation.", 1)
    found = content(path)
    assert isinstance(found, dict)
    return found


def draw(experiment: Experiment, scale: Scale) -> None:
    """Draw the look-alike of an experiment that needs one and has none yet."""
    from bench.data.readers import make_like

    if experiment.drawn and not experiment.root.exists():
        assert scale.drawn_per_class is not None
        make_like(experiment.name, experiment.root, scale.drawn_per_class)
