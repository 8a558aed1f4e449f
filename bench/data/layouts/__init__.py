"""Data sets on disk, as their owners ship them: one file each.

- `base`     what a layout is, and the listing it makes
- `folder`   a folder of one's own
- `raf_db`   RAF-DB basic and compound
"""

from bench.data.layouts.base import Entry, Frames, Layout, Listing, PictureFile, Source
from bench.data.layouts.folder import Folder
from bench.data.layouts.raf_db import RafDb, RafDbCompound

#: Every layout, by kind.
LAYOUTS: dict[str, type[Layout]] = {
    "folder": Folder,
    "raf_db": RafDb,
    "raf_db_compound": RafDbCompound,
}

__all__ = ["LAYOUTS", "Entry", "Frames", "Layout", "Listing", "PictureFile", "Source"]
