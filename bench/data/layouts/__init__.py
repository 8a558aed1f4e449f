"""Data sets on disk, as their owners ship them: one file each.

- `base`                what a layout is, and the listing it makes
- `affectnet`           AffectNet as first given out: photographs, lists, face boxes
- `affectnet_8labels`   AffectNet as given out later: faces and npy files
- `affectnet_common`    what both releases share
- `folder`              a folder of one's own
- `raf_db`              RAF-DB basic and compound
- `sfew`                SFEW 2.0, aligned faces and full frames
- `base`     what a layout is, and the listing it makes
- `folder`   a folder of one's own
- `raf_db`   RAF-DB basic and compound
- `ck_plus`, `jaffe`, `kdef`    posed data sets, split by person (`by_subject`)
"""

from bench.data.layouts.affectnet import AffectNet
from bench.data.layouts.affectnet_8labels import AffectNet8Labels
from bench.data.layouts.base import Entry, Frames, Layout, Listing, PictureFile, Source
from bench.data.layouts.ck_plus import CkPlus
from bench.data.layouts.folder import Folder
from bench.data.layouts.jaffe import Jaffe
from bench.data.layouts.kdef import Kdef
from bench.data.layouts.raf_db import RafDb, RafDbCompound
from bench.data.layouts.sfew import Sfew

#: Every layout, by kind.
LAYOUTS: dict[str, type[Layout]] = {
    "folder": Folder,
    "raf_db": RafDb,
    "raf_db_compound": RafDbCompound,
    "sfew": Sfew,
    "affectnet": AffectNet,
    "affectnet_8labels": AffectNet8Labels,
    "ck_plus": CkPlus,
    "jaffe": Jaffe,
    "kdef": Kdef,
}

__all__ = ["LAYOUTS", "Entry", "Frames", "Layout", "Listing", "PictureFile", "Source"]
