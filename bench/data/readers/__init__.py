"""Data sets on disk, as their owners ship them: one file for each, its drawn look-alike in it.

`base` says what a layout is, `clips` and `by_subject` have what several share, `folder` and
`manifest` read data of one's own, `like` writes look-alikes.
"""

from bench.data.readers.affectnet import AffectNet, AffectNet8Labels
from bench.data.readers.base import Entry, Layout, Listing, PictureFile, Source
from bench.data.readers.ck_plus import CkPlus
from bench.data.readers.dfew import Dfew
from bench.data.readers.emonet_face import EmoNetFace
from bench.data.readers.expw import ExpW
from bench.data.readers.fer2013 import Fer2013, FerPlus
from bench.data.readers.ferv39k import Ferv39k
from bench.data.readers.folder import ClipFolder, Folder
from bench.data.readers.jaffe import Jaffe
from bench.data.readers.kdef import Kdef
from bench.data.readers.mafw import Mafw
from bench.data.readers.manifest import ManifestLayout
from bench.data.readers.raf_db import RafDb, RafDbCompound
from bench.data.readers.sfew import Sfew

#: Every layout, by kind.
LAYOUTS: dict[str, type[Layout]] = {
    "folder": Folder,
    "manifest": ManifestLayout,
    "raf_db": RafDb,
    "raf_db_compound": RafDbCompound,
    "sfew": Sfew,
    "affectnet": AffectNet,
    "affectnet_8labels": AffectNet8Labels,
    "fer2013": Fer2013,
    "ferplus": FerPlus,
    "expw": ExpW,
    "emonet_face": EmoNetFace,
    "ck_plus": CkPlus,
    "jaffe": Jaffe,
    "kdef": Kdef,
    "dfew": Dfew,
    "ferv39k": Ferv39k,
    "mafw": Mafw,
    "clip_folder": ClipFolder,
}

__all__ = ["LAYOUTS", "Entry", "Layout", "Listing", "PictureFile", "Source"]
