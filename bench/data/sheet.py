"""Contact sheets: many small pictures on one page, with labelled rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_MARGIN = 6
_GAP = 2
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.45
_HEADER_HEIGHT = 22
_PAPER, _INK = 255, (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[Image]],
    row_labels: Sequence[str],
    column_labels: Sequence[str] | None = None,
    scale: int = 2,
) -> Image:
    """Lays pictures out in labelled rows.

    Args:
        rows: Pictures row by row, each (H, W, 3) uint8 RGB, all of one size. Rows may be of
            different lengths; missing cells stay blank.
        row_labels: One label per row, written left of it.
        column_labels: Labels written over the columns, at most one per column; none by default.
        scale: Whole factor by which pictures are enlarged.

    Returns:
        The sheet, (height, width, 3) uint8 RGB on white.

    Raises:
        ValueError: If there is no picture, sizes differ, labels do not match, or scale < 1.
    """
    height, width, columns = _checked_layout(rows, row_labels, column_labels, scale)
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


def _checked_layout(
    rows: Sequence[Sequence[Image]],
    row_labels: Sequence[str],
    column_labels: Sequence[str] | None,
    scale: int,
) -> tuple[int, int, int]:
    """Returns height and width of a picture and the number of columns."""
    shapes = {image.shape for images in rows for image in images}
    if len(shapes) != 1:
        raise ValueError(f"a contact sheet needs pictures of one size, got {sorted(shapes)}")
    shape = shapes.pop()
    if len(shape) != 3 or shape[2] != 3:
        raise ValueError(f"pictures must be (H, W, 3), got {shape}")
    if len(row_labels) != len(rows):
        raise ValueError(f"{len(rows)} rows but {len(row_labels)} row labels")
    columns = max(len(images) for images in rows)
    if column_labels is not None and len(column_labels) > columns:
        raise ValueError(f"{columns} columns but {len(column_labels)} column labels")
    if scale < 1:
        raise ValueError(f"scale must be at least 1, got {scale}")
    return shape[0], shape[1], columns


def _enlarged(image: Image, scale: int) -> Image:
    if scale == 1:
        return image
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0])


def _write(sheet: Image, text: str, x: int, y: int) -> None:
    cv2.putText(sheet, text, (x, y), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
