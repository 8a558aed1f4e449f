"""What the tests of kernels share: every kernel with its constants, and a picture."""

import inspect
from typing import Any

import numpy as np

from bench.perturb.corruptions import digital, face, weather
from bench.util import rng

TABLES = (
    (weather, weather.IMAGECORRUPTIONS),
    (digital, digital.IMAGECORRUPTIONS),
    (face, face.FACE),
    (face, face.FRAMING),
    (face, face.CAPTURE),
)
KERNELS = {name: getattr(module, name) for module, table in TABLES for name in table}
CONSTANTS: dict[str, tuple[dict[str, Any], ...]] = {
    name: rows for _, table in TABLES for name, rows in table.items()
}
FROM_THE_PACKAGE = [name for _, table in TABLES[:2] for name in table]


def is_random(name: str) -> bool:
    return "draws" in inspect.signature(KERNELS[name]).parameters


def corrupted(
    name: str, pictures: np.ndarray, severity: int, first: int = 0, **constants: Any
) -> np.ndarray:
    """Pictures first, first + 1, ... of a data set, corrupted; each draws alike at any severity."""
    if is_random(name):
        addresses = range(first, first + len(pictures))
        constants["draws"] = [rng.generator(name, number) for number in addresses]
    result: np.ndarray = KERNELS[name](pictures, **CONSTANTS[name][severity - 1], **constants)
    return result


def scene(height: int, width: int) -> np.ndarray:
    """Gradients in three directions and stripes, uint8 (H, W, 3)."""
    y, x = np.indices((height, width))
    red, green = x * 150 // width + 30, y * 150 // height + 30
    blue = (x + y) * 99 // (height + width) + x // 8 % 2 * 60
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)
