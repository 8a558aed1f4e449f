"""Lists of test pictures that somebody has made, as groups: occluded faces, turned heads.

K. Wang et al., "Region attention networks for pose and occlusion robust facial expression
recognition" (IEEE TIP 2020), list such pictures of RAF-DB, FERPlus and AffectNet. A list is a group
attribute, so every table by group shows its pictures beside the others.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from bench.data.base import DataSet, FrameChange, Sample, Split
from bench.data.reading.tables import lines, read_text, wrong_line
from bench.util.errors import UserError
from bench.util.progress import Reporter

LISTED, NOT_LISTED = "listed", "not listed"

_SHOWN = 5
_ALIGNED = "_aligned"
_LONGEST = 1000  # characters of a name


def parse_list(text: str, origin: str) -> tuple[str, ...]:
    """The names in a list, each once, in order: the first field of every line.

    Other fields, such as RAN's label and type of occlusion, are not read.

    Args:
        text: Lines of fields that are separated by commas, or else by white space.
        origin: The file's name, for errors.

    Raises:
        UserError: If there is no name, or a line begins with none.
    """
    names: dict[str, None] = {}
    for number, line in lines(text):
        name = (line.split(",") if "," in line else line.split())[0].strip()
        if not name or len(name) > _LONGEST:
            raise wrong_line(origin, number, line, "the name of a picture first")
        names[name] = None
    if not names:
        raise UserError(f"{origin}: names no picture; one a line is expected.")
    return tuple(names)


class ListedDataSet(DataSet):
    """A data set whose test samples are in groups by lists.

    Pictures, labels and splits are the data set's, and so is the digest: lists name pictures and
    change none.

    Args:
        dataset: Any.
        listed: By name of the group attribute, the ids of the listed samples.
    """

    def __init__(self, dataset: DataSet, listed: Mapping[str, frozenset[str]]) -> None:
        self.dataset, self.listed = dataset, dict(listed)
        self.name, self.classes, self.kind = dataset.name, dataset.classes, dataset.kind
        self.digest, self.protocol = dataset.digest, dataset.protocol
        self.synthetic, self.skipped = dataset.synthetic, dataset.skipped
        self.clips, self.length = dataset.clips, dataset.length
        both = dict.fromkeys(listed, (LISTED, NOT_LISTED))
        self.group_values = {**dataset.group_values, **both}
        self._tested = {sample.id for sample in dataset.samples("test")}

    @property
    def training_digest(self) -> str:
        """The data set's."""
        return self.dataset.training_digest

    def samples(self, split: Split) -> Sequence[Sample]:
        """The data set's."""
        return self.dataset.samples(split)

    def picture(self, sample: Sample) -> np.ndarray:
        """The data set's."""
        return self.dataset.picture(sample)

    def shown(self, sample: Sample, change: FrameChange | None = None) -> np.ndarray:
        """The data set's."""
        return self.dataset.shown(sample, change)

    def size(self, sample: Sample) -> tuple[int, int]:
        """The data set's."""
        return self.dataset.size(sample)

    def attributes(self, sample: Sample) -> dict[str, str | float | int | bool]:
        """The data set's."""
        return self.dataset.attributes(sample)

    def groups(self, sample: Sample) -> dict[str, str]:
        """The data set's, and of a test sample whether each list has it."""
        found = self.dataset.groups(sample)
        if sample.id not in self._tested:
            return found
        own = {n: LISTED if sample.id in ids else NOT_LISTED for n, ids in self.listed.items()}
        return {**found, **own}


def with_lists(dataset: DataSet, files: Mapping[str, Path], reporter: Reporter) -> DataSet:
    """The data set with a group attribute per list; itself if there is none.

    Args:
        dataset: Any.
        files: The lists, by name of the attribute.
        reporter: Told of names that no test sample has.

    Raises:
        UserError: If a list cannot be read or matched, or its name is taken.
    """
    if not files:
        return dataset
    taken = {"sample_id", "label", *dataset.group_values}
    for attribute in files:
        if attribute in taken:
            raise UserError(
                f"lists.{attribute}: the data set {dataset.name} has an attribute of that name "
                "already; give the list another."
            )
    ids = [sample.id for sample in dataset.samples("test")]
    listed = {}
    for attribute, path in files.items():
        names = parse_list(read_text(path), str(path))
        listed[attribute], lost = matched(names, ids, str(path))
        if lost:
            some = ", ".join(lost[:_SHOWN])
            more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
            reporter.say(
                f"{path}: {len(lost)} of {len(names)} names are of no test picture: {some}{more}"
            )
    return ListedDataSet(dataset, listed)


def matched(
    names: Sequence[str], ids: Sequence[str], origin: str
) -> tuple[frozenset[str], list[str]]:
    """The samples that a list names, and the names that are of none.

    A name is a sample's id, its file's name or stem, or its stem without "_aligned".

    Raises:
        UserError: If a name is of several samples, or more than half of the names are of none.
    """
    known: dict[str, set[str]] = {}
    for one in ids:
        for alias in _aliases(one):
            known.setdefault(alias, set()).add(one)
    whole, found, lost = set(ids), set[str](), list[str]()
    for name in names:
        own = {name} if name in whole else known.get(name) or known.get(_stem(name)) or set()
        if len(own) > 1:
            raise UserError(
                f"{origin}: {name} is the name of {len(own)} test pictures, such as "
                f"{' and '.join(sorted(own)[:2])}. Name them as the data set does, by their path."
            )
        found |= own
        lost += [] if own else [name]
    if 2 * len(lost) > len(names):
        raise UserError(
            f"{origin}: {len(lost)} of {len(names)} names are of no test picture, such as "
            f"{', '.join(lost[:_SHOWN])}; test pictures are called {', '.join(ids[:2])}. Is it "
            "the list of another data set or split?"
        )
    return frozenset(found), lost


def _aliases(sample_id: str) -> set[str]:
    path = PurePosixPath(sample_id)
    return {path.name, path.stem, _stem(sample_id)}


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.removesuffix(_ALIGNED)
