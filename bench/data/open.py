"""From a config's data to a data set: opened, trained on one and tested on another, in groups."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from bench import plugins
from bench.data.base import AroundDataSet, ClipDataSet, DataSet, Sample, Split
from bench.data.config import FACES, FILES, ClipsData, CrossData, DataConfig, FacesData, ShownFrames
from bench.data.drawn import DrawnClips, DrawnDataSet, DrawnFaces
from bench.data.on_disk import open_layout
from bench.data.readers import Layout
from bench.data.tables import lines, read_text, wrong_line
from bench.util.errors import UserError, unknown
from bench.util.files import digest
from bench.util.progress import Reporter
from bench.util.section import sentences

_SOURCE = "source:"


class CrossDataSet(DataSet):
    """Train and validation of one data set, test of another.

    Samples of classes that only one of them has are left out on both sides.

    Args:
        source: What is trained on.
        target: What is tested on.

    Raises:
        UserError: If they share fewer than two classes.
    """

    def __init__(self, source: DataSet, target: DataSet) -> None:
        self.source, self.target = source, target
        self.classes = tuple(name for name in source.classes if name in target.classes)
        if len(self.classes) < 2:
            raise UserError(
                f"{source.name} has the classes {', '.join(source.classes)}, {target.name} has "
                f"{', '.join(target.classes)}: to train on one and test on the other they need "
                "two in common."
            )
        self.name = f"{source.name}_to_{target.name}"
        self.kind = f"trained on {source.kind}, tested on {target.kind}"
        self.synthetic = target.synthetic
        self.protocol = _protocol(source, target, self.classes)
        self.skipped = (*source.skipped, *target.skipped)
        self.group_values = dict(target.group_values)  # workers get a copy
        self.digest = digest([source.digest, target.digest, self.classes])

    @property
    def training_digest(self) -> str:
        """That of the data set trained on, so that its checkpoints serve here, too."""
        known = self.source.training_digest
        return known if self.classes == self.source.classes else digest([known, self.classes])

    def samples(self, split: Split) -> Sequence[Sample]:
        """Those of the shared classes; ids of the data set trained on begin with "source:"."""
        if split == "test":
            found = list(self.target.samples("test"))
        else:
            found = [Sample(_SOURCE + s.id, s.label) for s in self.source.samples(split)]
        return [sample for sample in found if sample.label in self.classes]

    def picture(self, sample: Sample) -> np.ndarray:
        """The picture, read by the data set that the sample is from."""
        side, own = self._own(sample)
        return side.picture(own)

    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width, as the data set that the sample is from knows them."""
        side, own = self._own(sample)
        return side.size(own)

    def groups(self, sample: Sample) -> dict[str, str]:
        """Those of the data set that is tested on."""
        side, own = self._own(sample)
        return side.groups(own) if side is self.target else {}

    def _own(self, sample: Sample) -> tuple[DataSet, Sample]:
        """The side that a sample is of, and what it is called there."""
        if sample.id.startswith(_SOURCE):
            return self.source, Sample(sample.id.removeprefix(_SOURCE), sample.label)
        return self.target, sample


def _protocol(source: DataSet, target: DataSet, classes: tuple[str, ...]) -> str:
    shared = f"the {len(classes)} classes that both have"
    parts = [
        f"{side.name}: {side.protocol}" if side.protocol else side.name for side in (source, target)
    ]
    return f"trained on {parts[0]}; tested on {parts[1]}; {shared}"


def named(
    name: str, root: Path | None = None, options: Mapping[str, Any] = MappingProxyType({})
) -> DataConfig:
    """The part of a config that names a data set, as it is said in flags and in Python.

    Args:
        name: A data set of `bench data list`, or a folder of pictures.
        root: Folder of a named data set.
        options: Fields of its config.

    Raises:
        UserError: For a name, a field or a value that does not exist.
    """
    section, fields = _section(name, root)
    known = sorted(set(section.model_fields) - {"kind", "root"})
    for field in options:
        if field not in known:
            raise unknown(f"option of {name}", field, known)
    kind = {"kind": section.model_fields["kind"].default}
    try:
        found: DataConfig = section.model_validate({**kind, **fields, **options})
    except ValidationError as error:
        raise UserError(f"{name}: {sentences(error)}.") from error
    return found


def _section(name: str, root: Path | None) -> tuple[Any, dict[str, Any]]:
    """The section of the config that `name` means, and what is said of the folder."""
    if name in FACES:
        if root is not None:
            raise UserError(f"--root: {name} are drawn, they have no folder.")
        return FACES[name], {}
    layout = FILES.get(name) or plugins.section("dataset", name, Layout)
    if layout is not None:
        if root is None:
            raise UserError(f"{name} needs --root DIR: {layout.expects}.")
        return layout, {"root": root}
    if name == "cross":
        raise UserError("cross has two data sets; write them in a config (docs/configuration.md).")
    if Path(name).is_dir():
        if root is not None:
            raise UserError(f"{name} is a folder already; --root is for names, such as raf_db.")
        return FILES["folder"], {"root": Path(name)}
    if Path(name).exists():
        raise UserError(f"{name} is a file; name a folder, or a data set of `bench data list`.")
    if Path(name).name != name:
        raise UserError(f"{name}: there is no such folder.")
    raise unknown("data set or folder", name, [*FACES, *FILES])


def open_dataset(
    data: DataConfig,
    seed: int,
    reporter: Reporter | None = None,
    clips: ShownFrames | None = None,
) -> DataSet:
    """Open a data set; what has to be drawn or examined first is done now if a reporter shows it.

    Args:
        data: Which one.
        seed: The run's: of drawn faces.
        reporter: Shows progress.
        clips: Which frames of clips classifiers are shown; None shows pictures.

    Raises:
        UserError: If files are not what they should be, or if their owners' terms were not
            agreed to.
    """
    if isinstance(data, CrossData):
        if clips is not None:
            raise UserError("clips: shows clips of one data set; cross has two, of pictures.")
        source = _open(data.train, seed, reporter, ("train", "val"))
        return CrossDataSet(source, _open(data.test, seed, reporter, ("test",)))
    dataset = _open(data, seed, reporter, ("train", "val", "test"))
    if clips is None:
        return dataset
    from bench.data.clips import ShownClips  # which imports torch

    if not isinstance(dataset, ClipDataSet):
        raise UserError(
            f"clips: {dataset.name} has pictures and no clips. Choose a data set of clips, such "
            "as `data: {kind: clips}`, or leave out `clips`."
        )
    return ShownClips(dataset, clips.frames, clips.sampler, clips.padding, seed)


def _open(data: Any, seed: int, reporter: Reporter | None, splits: Sequence[Split]) -> DataSet:
    if isinstance(data, FacesData | ClipsData):
        drawn = _drawn(data, seed)
        if reporter is not None:
            _draw_now(drawn, splits, reporter)
        return drawn
    dataset = open_layout(data, reporter)
    if reporter is not None:
        for note in dataset.notes:
            reporter.say(f"{dataset.name}: {note}")
        if not dataset.synthetic:
            _tell_counts(data, dataset, reporter)
    return dataset


def _tell_counts(layout: Layout, dataset: DataSet, reporter: Reporter) -> None:
    """Say which splits have not the published number of usable samples: partial copies are usual.

    Where the owners have no validation split, it is a part of their train.
    """
    published, told = layout.published(), []
    split: Split
    for split in ("train", "val", "test"):
        number = sum(published.get(split, {}).values())
        found = len(dataset.samples(split))
        if split == "train" and "val" not in published:
            found += len(dataset.samples("val"))
        if number and found != number:
            told.append(f"{split} has {found:,} of {number:,}")
    total, every = layout.published_total(), (len(dataset.samples(s)) for s in get_args(Split))
    if total is not None and (found := sum(every)) != total:
        told.append(f"{found:,} of {total:,} in all")
    if told:
        reporter.say(
            f"{dataset.name} has not the published number of samples: {', '.join(told)}; "
            f"`bench data verify {layout.kind} --root ...` says more"
        )


def _drawn(data: FacesData | ClipsData, seed: int) -> DrawnDataSet:
    sizes: dict[Split, int] = {"train": data.train, "val": data.val, "test": data.test}
    if isinstance(data, ClipsData):
        return DrawnClips(sizes, seed, data.domain, data.task)
    return DrawnFaces(sizes, data.difficulty, seed, data.expressions, data.domain, data.drawing)


def _draw_now(drawn: DrawnDataSet, splits: Sequence[Split], reporter: Reporter) -> None:
    for split in splits:
        if not drawn.is_cached(split):
            with reporter.task(f"draw {split} {drawn.name}", drawn.sizes[split]) as task:
                drawn.pictures(split, task.advance)


# ------------------------------------------------------------------------------------------------
# Lists of test pictures that somebody has made, as groups: occluded faces, turned heads.
#
# K. Wang et al., "Region attention networks for pose and occlusion robust facial expression
# recognition" (IEEE TIP 2020), list such pictures of RAF-DB, FERPlus and AffectNet. A list is a
# group attribute, so every table by group shows its pictures beside the others.


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


class ListedDataSet(AroundDataSet):
    """A data set whose test samples are in groups by lists.

    The digest is the data set's: lists name pictures and change none.

    Args:
        dataset: Any.
        listed: By name of the group attribute, the ids of the listed samples.
    """

    def __init__(self, dataset: DataSet, listed: Mapping[str, frozenset[str]]) -> None:
        super().__init__(dataset)
        self.listed = dict(listed)
        self.group_values = {**self.group_values, **dict.fromkeys(listed, (LISTED, NOT_LISTED))}
        self._tested = {sample.id for sample in dataset.samples("test")}

    def groups(self, sample: Sample) -> dict[str, str]:
        """The data set's, and of a test sample whether each list has it."""
        found = self.inner.groups(sample)
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
