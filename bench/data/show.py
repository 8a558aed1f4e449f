"""Contact sheets of any data set."""

from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.base import DataSet, Sample, Split
from bench.data.drawn_faces import DrawnFaces
from bench.data.folder import FolderDataSet
from bench.data.sheet import contact_sheet
from bench.errors import unknown
from bench.files import atomic

_SIDE = 64


def write_contact_sheet(name: str, out: Path, columns: int, seed: int) -> None:
    """Write a PNG with `columns` test pictures of each class of the data set `name`.

    Raises:
        UserError: If there is no such data set.
    """
    dataset = _open(name, columns, seed)
    rows = [
        [_thumbnail(dataset.picture(sample)) for sample in _of_class(dataset, label)[:columns]]
        for label in dataset.classes
    ]
    sheet = contact_sheet(rows, dataset.classes, scale=2)
    with atomic(out) as scratch:
        Image.fromarray(sheet).save(scratch, format="PNG")


def _open(name: str, columns: int, seed: int) -> DataSet:
    difficulties = {"faces": "default", "faces_hard": "hard"}
    if name in difficulties:
        classes = len(DrawnFaces.classes)
        sizes: dict[Split, int] = {"train": classes, "val": classes, "test": classes * columns}
        return DrawnFaces(sizes, difficulties[name], seed)
    if Path(name).is_dir():
        return FolderDataSet(Path(name))
    raise unknown("data set or folder", name, difficulties)


def _of_class(dataset: DataSet, label: str) -> list[Sample]:
    return [sample for sample in dataset.samples("test") if sample.label == label]


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    if picture.shape[:2] == (_SIDE, _SIDE):
        return picture
    return np.asarray(Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))
