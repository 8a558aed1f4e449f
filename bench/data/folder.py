"""A folder of pictures: `train/<class>/*` and `test/<class>/*`; val is carved from train.

Pictures may have any size, be RGB or grey, PNG or JPEG. Files that cannot be decoded are skipped,
counted and listed. Faces never leave the folder: nothing is cached or copied.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.data.base import DataSet, Sample, Skipped, Split
from bench.data.images import (
    PICTURE_SUFFIXES,
    UnreadablePicture,
    indexed_picture,
    read_picture,
)
from bench.data.labels import canonical, ordered
from bench.errors import UserError
from bench.files import digest

VAL_SHARE = 0.15
LAYOUT = "expected DIR/train/<class>/*.png|jpg and DIR/test/<class>/*.png|jpg"


class FolderDataSet(DataSet):
    """See the module's head.

    Args:
        root: The folder.

    Raises:
        UserError: If the folder, a split or a second class is missing.
    """

    kind = "folder of pictures"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.resolve().name
        if not root.is_dir():
            raise UserError(f"--data {root}: there is no such folder ({LAYOUT}).")
        self._sizes: dict[str, tuple[int, int]] = {}
        skipped: list[Skipped] = []
        hashes: dict[str, str] = {}
        train = self._index("train", hashes, skipped)
        test = self._index("test", hashes, skipped)
        val_ids = _carve_val(train, hashes)
        self._splits: dict[Split, list[Sample]] = {
            "train": [sample for sample in train if sample.id not in val_ids],
            "val": [sample for sample in train if sample.id in val_ids],
            "test": test,
        }
        self.classes = ordered({sample.label for sample in train})
        self.skipped = tuple(skipped)
        self._check()
        listing = {
            split: [(sample.id, sample.label, hashes[sample.id]) for sample in samples]
            for split, samples in self._splits.items()
        }
        self.digest = digest(listing)

    def samples(self, split: Split) -> Sequence[Sample]:
        """The samples of a split, ordered by path."""
        return self._splits[split]

    def picture(self, sample: Sample) -> np.ndarray:
        """Decode the sample's file."""
        return indexed_picture(self.root / sample.id)

    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width of the upright picture, known since the folder was read."""
        return self._sizes[sample.id]

    def _index(self, split: str, hashes: dict[str, str], skipped: list[Skipped]) -> list[Sample]:
        samples = []
        for path in sorted((self.root / split).glob("*/*")):
            if path.suffix.lower() not in PICTURE_SUFFIXES or path.name.startswith("."):
                continue
            identifier = path.relative_to(self.root).as_posix()
            try:
                height, width, _ = read_picture(path).shape
            except UnreadablePicture as error:
                skipped.append(Skipped(identifier, str(error)))
                continue
            self._sizes[identifier] = height, width
            hashes[identifier] = hashlib.sha256(path.read_bytes()).hexdigest()
            samples.append(Sample(identifier, canonical(path.parent.name)))
        if not samples:
            broken = f"; {len(skipped)} files could not be decoded" if skipped else ""
            raise UserError(f"--data {self.root}: no pictures in {split}/{broken} ({LAYOUT}).")
        return samples

    def _check(self) -> None:
        if len(self.classes) < 2:
            raise UserError(
                f"--data {self.root}: train/ has only the class {self.classes[0]!r}; "
                f"a classifier needs two or more ({LAYOUT})."
            )
        strangers = {sample.label for sample in self._splits["test"]} - set(self.classes)
        if strangers:
            raise UserError(
                f"--data {self.root}: test/ has classes that train/ lacks: "
                f"{', '.join(sorted(strangers))}. Add them to train/ or remove them from test/."
            )
        if {sample.label for sample in self._splits["train"]} != set(self.classes):
            raise UserError(
                f"--data {self.root}: a class of train/ has a single picture, which is needed "
                "for validation. Each class needs two or more."
            )


def _carve_val(train: Sequence[Sample], hashes: dict[str, str]) -> set[str]:
    """Ids of the validation samples: per class, the share with the smallest file hashes.

    By hash of the content, so renaming or adding files reshuffles nothing, and copies of one
    picture fall on the same side.
    """
    chosen: set[str] = set()
    for label in {sample.label for sample in train}:
        members = sorted((hashes[s.id], s.id) for s in train if s.label == label)
        count = max(1, round(VAL_SHARE * len(members)))
        last = members[count - 1][0]
        chosen |= {identifier for file_hash, identifier in members if file_hash <= last}
    return chosen
