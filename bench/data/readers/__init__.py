"""Data sets on disk, as their owners ship them: one file each.

- `base`                            what a layout is, and the listing it makes
- `folder`, `manifest`              one's own: folders of classes, a table (`manifest_rows`)
- `own_split`                       train and test where the owners have none
- `raf_db`                          RAF-DB basic and compound
- `sfew`                            SFEW 2.0, aligned faces and full frames
- `affectnet`, `affectnet_8labels`  AffectNet's two releases (`affectnet_common`)
- `fer2013`, `ferplus`              FER2013, and FERPlus's votes on its pictures
- `expw`                            ExpW
- `ck_plus`, `jaffe`, `kdef`        posed data sets, split by person (`by_subject`)
- `dfew`, `ferv39k`, `mafw`         clips, as folders of frames or videos (`clips`)
- `clip_folder`                     clips of one's own
"""

from bench.data.readers.affectnet import AffectNet, AffectNet8Labels
from bench.data.readers.base import Entry, Layout, Listing, PictureFile, Source
from bench.data.readers.ck_plus import CkPlus
from bench.data.readers.clip_folder import ClipFolder
from bench.data.readers.dfew import Dfew
from bench.data.readers.expw import ExpW
from bench.data.readers.fer2013 import Fer2013
from bench.data.readers.ferplus import FerPlus
from bench.data.readers.ferv39k import Ferv39k
from bench.data.readers.folder import Folder
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
    "ck_plus": CkPlus,
    "jaffe": Jaffe,
    "kdef": Kdef,
    "dfew": Dfew,
    "ferv39k": Ferv39k,
    "mafw": Mafw,
    "clip_folder": ClipFolder,
}

__all__ = ["LAYOUTS", "Entry", "Layout", "Listing", "PictureFile", "Source"]
