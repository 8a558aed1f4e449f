"""Train on one data set, test on another, over the classes that both have."""

from collections.abc import Sequence

import numpy as np

from bench.data.base import DataSet, Sample, Split
from bench.util.errors import UserError
from bench.util.files import digest

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
