"""A picture under every corruption of a preset, on one page: a row each, severities to the right.

The page shows the very pixels of a run: corrupted at native size, then enlarged or shrunk.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.data.sheet import contact_sheet
from bench.perturb import Preset
from bench.util.files import atomic

_SIDE = 128  # pixels of the longer side of a shown picture, at most


def corruption_sheet(
    preset: Preset,
    picture: np.ndarray,
    sample_id: str,
    dataset: str,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """The page.

    Args:
        preset: Which corruptions.
        picture: uint8 RGB (H, W, 3).
        sample_id: With the next two, the address of all draws.
        dataset: Name of the data set.
        seed: Run seed.
        advance: Called after each corruption.

    Returns:
        uint8 RGB (height, width, 3).
    """
    rows = []
    for corruption in preset.corruptions.values():
        row = [
            corruption(picture, severity, seed=seed, dataset=dataset, sample_id=sample_id)
            for severity in (0, *corruption.severities)
        ]
        rows.append([_fitting(one) for one in row])
        advance()
    names = [name.removeprefix(f"{preset.name}.").replace("_", " ") for name in preset.corruptions]
    columns = ["clean", *map(str, range(1, max(map(len, rows))))]
    scale = max(1, _SIDE // max(rows[0][0].shape[:2]))
    return np.asarray(contact_sheet(rows, names, columns, scale))


def write_sheet(page: np.ndarray, out: Path) -> None:
    """Write a page as PNG, atomically."""
    with atomic(out) as scratch:
        Image.fromarray(page).save(scratch, format="PNG", optimize=True)


def _fitting(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    if max(height, width) <= _SIDE:
        return picture
    factor = _SIDE / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
