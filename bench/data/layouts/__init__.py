"""Data sets on disk, as their owners ship them: one file each.

- `base`     what a layout is, and the listing it makes
- `folder`   a folder of one's own
- `raf_db`   RAF-DB basic and compound

Of clips (`clips` has what they share: sources, and how they are found):

- `clip_folder`  a folder of clips of one's own
- `dfew`         DFEW, five folds
- `ferv39k`      FERV39k, with its scenes
- `mafw`         MAFW, five folds
"""

from bench.data.layouts.base import Entry, Layout, Listing, PictureFile, Source
from bench.data.layouts.clip_folder import ClipFolder
from bench.data.layouts.dfew import Dfew
from bench.data.layouts.ferv39k import Ferv39k
from bench.data.layouts.folder import Folder
from bench.data.layouts.mafw import Mafw
from bench.data.layouts.raf_db import RafDb, RafDbCompound

#: Every layout, by kind.
LAYOUTS: dict[str, type[Layout]] = {
    "folder": Folder,
    "raf_db": RafDb,
    "raf_db_compound": RafDbCompound,
    "clip_folder": ClipFolder,
    "dfew": Dfew,
    "ferv39k": Ferv39k,
    "mafw": Mafw,
}

__all__ = ["LAYOUTS", "Entry", "Layout", "Listing", "PictureFile", "Source"]
