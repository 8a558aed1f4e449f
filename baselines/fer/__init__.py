"""Published FER networks, one file each, and the files of weights that their authors released.

Every network is written anew from its paper and from the names in its released files; no code of
the originals is here, and no weights are shipped.

    network = open_released("dan", Path("rafdb_epoch21_acc0.897.pth"), classes=7)
"""

import importlib
import pkgutil

from baselines.fer.base import (
    ARCHITECTURES,
    PublishedNetwork,
    ReleasedFileError,
    open_released,
    read_tensors,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "ARCHITECTURES",
    "PublishedNetwork",
    "ReleasedFileError",
    "open_released",
    "read_tensors",
]
