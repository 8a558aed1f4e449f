"""Contact sheets: many small pictures on one page, with labelled rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.base import DataSet, Split
from bench.data.config import ClipsData, DataConfig, FacesData
from bench.data.open import open_dataset
from bench.util.errors import UserError
from bench.util.files import atomic
from bench.util.progress import Reporter

Picture = NDArray[np.uint8]

_MARGIN = 6
_GAP = 2
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.45
_HEADER_HEIGHT = 22
_PAPER, _INK = 255, (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[Picture]],
    row_labels: Sequence[str],
    column_labels: Sequence[str] | None = None,
    scale: int = 2,
) -> Picture:
    """Lays pictures out in labelled rows.

    Args:
        rows: Pictures row by row, each (H, W, 3) uint8 RGB, all of one size. Rows may be of
            different lengths; missing cells stay blank.
        row_labels: One label per row, written left of it.
        column_labels: Labels written over the columns, at most one per column; none by default.
        scale: Whole factor by which pictures are enlarged.

    Returns:
        The sheet, (height, width, 3) uint8 RGB on white.
    """
    height, width, _ = rows[0][0].shape
    columns = max(map(len, rows))
    left = _MARGIN + max(_text_width(label) for label in row_labels) + _MARGIN
    top = _HEADER_HEIGHT if column_labels else _GAP
    step_y, step_x = height * scale + _GAP, width * scale + _GAP
    sheet = np.full((top + len(rows) * step_y, left + columns * step_x, 3), _PAPER, np.uint8)
    for column, label in enumerate(column_labels or ()):
        _write(sheet, label, left + column * step_x, _HEADER_HEIGHT - 7)
    for row, (images, label) in enumerate(zip(rows, row_labels, strict=True)):
        y = top + row * step_y
        _write(sheet, label, _MARGIN, y + step_y // 2 + 4)
        for column, image in enumerate(images):
            x = left + column * step_x
            sheet[y : y + height * scale, x : x + width * scale] = _enlarged(image, scale)
    return sheet


def _enlarged(image: Picture, scale: int) -> Picture:
    if scale == 1:
        return image
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0])


def _write(sheet: Picture, text: str, x: int, y: int) -> None:
    cv2.putText(sheet, text, (x, y), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)


def fitted(picture: Picture, side: int) -> Picture:
    """The picture (H, W, 3) with a longer side of `side` pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return picture
    picture = np.ascontiguousarray(picture)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def write_png(out: Path, picture: Picture) -> None:
    """Write a picture, atomically."""
    with atomic(out) as scratch:
        Image.fromarray(picture).save(scratch, format="PNG", optimize=True)


# ------------------------------------------------------------------------------------------------
# Contact sheets of any data set.


_SIDE = 64


def write_contact_sheet(
    section: DataConfig, out: Path, columns: int, split: Split, seed: int
) -> None:
    """Write a PNG with up to `columns` pictures of each class.

    Raises:
        UserError: If the data set cannot be opened, or has no picture in that split.
    """
    dataset = open_dataset(small(section, columns), seed, Reporter())
    rows = [
        [_thumbnail(picture) for picture in _of_class(dataset, split, label, columns)]
        for label in dataset.classes
    ]
    shown = [(row, label) for row, label in zip(rows, dataset.classes, strict=True) if row]
    if not shown:
        raise UserError(f"{dataset.name} has no {split} pictures: choose another --split.")
    sheet = contact_sheet([row for row, _ in shown], [label for _, label in shown], scale=2)
    write_png(out, sheet)


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
    shown = fitted(picture, _SIDE)
    height, width, _ = shown.shape
    square = np.full((_SIDE, _SIDE, 3), 200, np.uint8)
    top, left = (_SIDE - height) // 2, (_SIDE - width) // 2
    square[top : top + height, left : left + width] = shown
    return square
