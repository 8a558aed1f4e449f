"""Posed data sets: few persons with many pictures each, so they are split by person into folds."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationInfo, field_validator

from bench.data.base import Skipped, Split
from bench.data.readers.base import Layout, subject_folds
from bench.data.reading.tree import Tree, folders


class BySubject(Layout):
    """What they share: one fold of persons is test, the others train.

    Validation pictures are those of some persons of train, see `bench.data.on_disk.dataset`.
    """

    folds: int = Field(default=10, ge=2, description="Folds that the persons are dealt into.")
    fold: int = Field(default=1, ge=1, description="The fold to test on, from 1.")

    @field_validator("fold")
    @classmethod
    def _is_one_of_them(cls, fold: int, info: ValidationInfo) -> int:
        folds = info.data.get("folds", fold)
        if fold > folds:
            raise ValueError(f"there are {folds} folds")
        return fold

    @property
    def fold_name(self) -> str:
        """For the data set's name: "fold1", "fold1_of_5" where there are not ten."""
        return f"fold{self.fold}" + ("" if self.folds == 10 else f"_of_{self.folds}")

    @property
    def fold_words(self) -> str:
        """For captions."""
        return f"persons of fold {self.fold} of {self.folds} are test, persons of train val"

    def split_of(self, persons: Iterable[str]) -> dict[str, Split]:
        """The split of each person.

        Raises:
            UserError: If there are fewer persons than folds.
        """
        dealt = subject_folds(persons, self.folds)
        if len(dealt) < self.folds:
            raise self.fail(f"{len(dealt)} persons cannot be dealt into {self.folds} folds.")
        return {name: "test" if fold == self.fold else "train" for name, fold in dealt.items()}


@dataclass(frozen=True)
class Coded:
    """Pictures whose file names say what they show.

    Attributes:
        pictures: Path and parts of the name, by the name's stem in capitals, in natural order.
        copies: Further files of a stem, which are not used.
        strange: Pictures named otherwise.
    """

    pictures: Mapping[str, tuple[str, re.Match[str]]]
    copies: tuple[Skipped, ...]
    strange: tuple[str, ...]


def coded(tree: Tree, code: re.Pattern[str], original: str) -> Coded:
    """Sort the files of a tree by what their names say.

    Copies of a data set often hold pictures twice, saved in another format, or in folders by
    person and by expression. The file with the suffix of the original, in lower case, comes first.
    """
    found: dict[str, list[tuple[bool, str, re.Match[str]]]] = {}
    strange = []
    for path in tree.files:
        name = PurePosixPath(path)
        match = code.fullmatch(name.stem)
        if match is None:
            strange.append(path)
            continue
        rank = name.suffix.lower() != original
        found.setdefault(name.stem.upper(), []).append((rank, path, match))
    pictures, copies = {}, []
    for stem, several in found.items():
        (_, kept, match), *others = sorted(several, key=lambda one: one[0])
        pictures[stem] = kept, match
        copies += [Skipped(path, f"a copy of {kept}") for _, path, _ in others]
    return Coded(pictures, tuple(copies), tuple(strange))


def holds(folder: Path, code: re.Pattern[str]) -> bool:
    """Whether a folder, or two folders in it at the least, have a file named by the code."""
    return _has(folder, code) or sum(_has(child, code) for child in folders(folder)) > 1


def _has(folder: Path, code: re.Pattern[str]) -> bool:
    try:
        return any(code.fullmatch(path.stem) for path in folder.iterdir())
    except OSError:
        return False
