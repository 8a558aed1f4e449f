"""Data sets on disk, as their owners ship them: one file for each, its drawn look-alike in it.

`base` says what a layout is, `clips` has what several share, `folder` and
`manifest` read data of one's own, `cast` draws the faces and clips of look-alikes.
"""

from collections.abc import Callable
from pathlib import Path

from bench import faces
from bench.data.readers import (
    affectnet,
    ck_plus,
    dfew,
    emonet_face,
    expw,
    fer2013,
    ferv39k,
    folder,
    jaffe,
    kdef,
    mafw,
    manifest,
    raf_db,
    sfew,
)
from bench.data.readers.affectnet import AffectNet, AffectNet8Labels
from bench.data.readers.base import DRAWN_MARK, Entry, Layout, Listing, PictureFile, Source
from bench.data.readers.cast import Cast
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
from bench.util.errors import UserError, unknown
from bench.util.files import atomic

__all__ = [
    "LAYOUTS",
    "WRITERS",
    "AffectNet",
    "AffectNet8Labels",
    "CkPlus",
    "ClipFolder",
    "Dfew",
    "EmoNetFace",
    "Entry",
    "ExpW",
    "Fer2013",
    "FerPlus",
    "Ferv39k",
    "Folder",
    "Jaffe",
    "Kdef",
    "Layout",
    "Listing",
    "Mafw",
    "ManifestLayout",
    "PictureFile",
    "RafDb",
    "RafDbCompound",
    "Sfew",
    "Source",
    "make_like",
]

#: By kind: what reads a layout, and what writes it: (folder, cast, test pictures of each class).
_BUILT_IN: dict[str, tuple[type[Layout], Callable[[Path, Cast, int], None]]] = {
    "folder": (Folder, folder.write),
    "manifest": (ManifestLayout, manifest.write),
    "raf_db": (RafDb, raf_db.write_basic),
    "raf_db_compound": (RafDbCompound, raf_db.write_compound),
    "sfew": (Sfew, sfew.write),
    "affectnet": (AffectNet, affectnet.write),
    "affectnet_8labels": (AffectNet8Labels, affectnet.write_8labels),
    "fer2013": (Fer2013, fer2013.write),
    "ferplus": (FerPlus, fer2013.write_ferplus),
    "expw": (ExpW, expw.write),
    "emonet_face": (EmoNetFace, emonet_face.write),
    "ck_plus": (CkPlus, ck_plus.write),
    "jaffe": (Jaffe, jaffe.write),
    "kdef": (Kdef, kdef.write),
    "dfew": (Dfew, dfew.write),
    "ferv39k": (Ferv39k, ferv39k.write),
    "mafw": (Mafw, mafw.write),
    "clip_folder": (ClipFolder, folder.write_clips),
}

#: Every layout, by kind.
LAYOUTS: dict[str, type[Layout]] = {kind: layout for kind, (layout, _) in _BUILT_IN.items()}
WRITERS = {kind: write for kind, (_, write) in _BUILT_IN.items()}

# ------------------------------------------------------------------------------------------------
# Their drawn look-alikes: what tests, docs and first tries run on. Writers follow the published
# descriptions and not the readers beside them.


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
