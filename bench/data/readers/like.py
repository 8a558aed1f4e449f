"""Drawn faces in the layouts of other data sets: what tests, docs and first tries run on.

The writer of each layout stands beside its reader, but follows the published description and not
the reader. `cast` draws the faces and clips.
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
from bench.data.readers.base import DRAWN_MARK
from bench.data.readers.cast import Cast
from bench.util.errors import UserError, unknown
from bench.util.files import atomic

#: What writes each layout: (folder, cast, test pictures of each class) -> None.
WRITERS: dict[str, Callable[[Path, Cast, int], None]] = {
    "folder": folder.write,
    "manifest": manifest.write,
    "raf_db": raf_db.write_basic,
    "raf_db_compound": raf_db.write_compound,
    "sfew": sfew.write,
    "affectnet": affectnet.write,
    "affectnet_8labels": affectnet.write_8labels,
    "fer2013": fer2013.write,
    "ferplus": fer2013.write_ferplus,
    "expw": expw.write,
    "emonet_face": emonet_face.write,
    "ck_plus": ck_plus.write,
    "jaffe": jaffe.write,
    "kdef": kdef.write,
    "dfew": dfew.write,
    "ferv39k": ferv39k.write,
    "mafw": mafw.write,
    "clip_folder": folder.write_clips,
}

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
