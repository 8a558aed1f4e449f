"""From a config's data to a data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from bench import plugins
from bench.data.base import ClipDataSet, DataSet, Sample, Split
from bench.data.config import (
    FACES,
    FILES,
    ClipsData,
    CrossData,
    DataConfig,
    FacesData,
    ShownFrames,
)
from bench.data.drawn import DrawnClips, DrawnDataSet, DrawnFaces
from bench.data.on_disk import open_layout
from bench.data.readers import Layout
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
    return DrawnFaces(sizes, data.difficulty, seed, data.expressions, data.domain)


def _draw_now(drawn: DrawnDataSet, splits: Sequence[Split], reporter: Reporter) -> None:
    for split in splits:
        if not drawn.is_cached(split):
            with reporter.task(f"draw {split} {drawn.name}", drawn.sizes[split]) as task:
                drawn.pictures(split, task.advance)
