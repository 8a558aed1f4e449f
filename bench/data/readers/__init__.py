"""Data sets on disk, as their owners ship them: one file for each, found by themselves.

`base` says what a layout is, `clips` has what several share, `folder` and `manifest` read data of
one's own, `cast` draws the faces and clips of their drawn look-alikes.
"""

import importlib
import pkgutil
from pathlib import Path

from bench import faces
from bench.data.readers.base import (
    DRAWN_MARK,
    LAYOUTS,
    WRITERS,
    Entry,
    Layout,
    Listing,
    PictureFile,
    Source,
)
from bench.data.readers.cast import Cast
from bench.util.errors import UserError, unknown
from bench.util.files import atomic

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "LAYOUTS",
    "WRITERS",
    "Entry",
    "Layout",
    "Listing",
    "PictureFile",
    "Source",
    "make_like",
]

# ------------------------------------------------------------------------------------------------
# Their drawn look-alikes: what tests, docs and first tries run on. Writers follow the published
# descriptions and not the readers beside them, but for codes and class orders.


_NOTICE = (
    "The pictures in this folder are drawings, generated in the layout of a data set of faces.\n"
    "They are nobody's pictures and no evidence about real faces.\n"
)


def make_like(
    layout: str, root: Path, per_class: int, seed: int = 0, domain: str = "default"
) -> int:
    """Write a tree of drawn faces.

    Args:
        layout: A key of `WRITERS`.
        root: The new folder.
        per_class: Test pictures of each class; there are twice as many to train.
        seed: Another seed gives other faces.
        domain: A name in `faces.DOMAINS`: the room and the camera.

    Returns:
        The number of files.

    Raises:
        UserError: If there is no such layout, or if the folder exists already.
    """
    if domain not in faces.DOMAINS:
        raise unknown("domain of drawn faces", domain, faces.DOMAINS)
    if layout not in WRITERS:
        raise unknown("layout", layout, WRITERS)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root} is there already; name a new folder.")
    with atomic(root, flush=False) as scratch:
        scratch.mkdir(parents=True)
        (scratch / DRAWN_MARK).write_text(_NOTICE)
        WRITERS[layout](scratch, Cast(seed, domain), per_class)
        count = sum(path.is_file() for path in scratch.rglob("*"))
        if root.is_dir():
            root.rmdir()
    return count
