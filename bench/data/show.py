"""Contact sheets of any data set."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.config import ClipsData, DataConfig, FacesData
from bench.data.base import DataSet, Split
from bench.data.open import open_dataset
from bench.data.sheet import contact_sheet
from bench.files import atomic
from bench.progress import Reporter

_SIDE = 64


def write_contact_sheet(
    section: DataConfig, out: Path, columns: int, split: Split, seed: int
) -> None:
    """Write a PNG with up to `columns` pictures of each class.

    Raises:
        UserError: If the data set cannot be opened.
    """
    dataset = open_dataset(small(section, columns), seed, Reporter())
    rows = [
        [_thumbnail(picture) for picture in _of_class(dataset, split, label, columns)]
        for label in dataset.classes
    ]
    shown = [(row, label) for row, label in zip(rows, dataset.classes, strict=True) if row]
    sheet = contact_sheet([row for row, _ in shown], [label for _, label in shown], scale=2)
    with atomic(out) as scratch:
        Image.fromarray(sheet).save(scratch, format="PNG")


def small(section: DataConfig, columns: int) -> DataConfig:
    """Drawn faces: only as many as are shown, whatever the split."""
    if not isinstance(section, FacesData | ClipsData):
        return section
    count = 11 * columns  # of the largest set of expressions
    return section.model_copy(update={"train": max(14, count), "val": count, "test": count})


def _of_class(dataset: DataSet, split: Split, label: str, count: int) -> list[np.ndarray]:
    found = [sample for sample in dataset.samples(split) if sample.label == label]
    return [dataset.picture(sample) for sample in found[:count]]


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """The whole picture in a square, on grey where it is not one."""
    height, width = picture.shape[:2]
    if (height, width) == (_SIDE, _SIDE):
        return picture
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
    square = np.full((_SIDE, _SIDE, 3), 200, np.uint8)
    top, left = (_SIDE - size[1]) // 2, (_SIDE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square
