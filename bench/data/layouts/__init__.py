"""Data sets on disk, as their owners ship them: one file each.

- `base`     what a layout is, and the listing it makes
- `folder`   a folder of one's own
- `manifest` a table of one's own
- `raf_db`   RAF-DB basic and compound
- `fer2013`  FER2013
- `ferplus`  FERPlus, on FER2013's pictures
- `expw`     ExpW
"""

from bench.data.layouts.base import Entry, Frames, Layout, Listing, PictureFile, Source
from bench.data.layouts.expw import ExpW
from bench.data.layouts.fer2013 import Fer2013
from bench.data.layouts.ferplus import FerPlus
from bench.data.layouts.folder import Folder
from bench.data.layouts.manifest import Manifest
from bench.data.layouts.raf_db import RafDb, RafDbCompound

#: Every layout, by kind.
LAYOUTS: dict[str, type[Layout]] = {
    "folder": Folder,
    "manifest": Manifest,
    "raf_db": RafDb,
    "raf_db_compound": RafDbCompound,
    "fer2013": Fer2013,
    "ferplus": FerPlus,
    "expw": ExpW,
}

__all__ = ["LAYOUTS", "Entry", "Frames", "Layout", "Listing", "PictureFile", "Source"]
