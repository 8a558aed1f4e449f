"""JAFFE (Lyons et al., 1998): ten women who pose seven expressions, 213 grey pictures."""

import re
from pathlib import Path
from typing import ClassVar, Literal

import cv2
from pydantic import Field
from typing_extensions import override

from bench import faces
from bench.data.images import PICTURE_SUFFIXES
from bench.data.readers.base import BySubject, Entry, Listing, PictureFile, coded, holds, register
from bench.data.readers.cast import Cast, posed, save
from bench.data.tree import locate, scan
from bench.labels import BASIC

PERSONS = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
EXPRESSIONS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}

#: Person, expression, number among the person's pictures of it, number in the whole: KA.AN1.39
CODE = re.compile(
    rf"({'|'.join(PERSONS)})\.({'|'.join(EXPRESSIONS)})\d\.\d{{1,3}}", re.IGNORECASE | re.ASCII
)


class Jaffe(BySubject):
    """Leave one subject out, unless `folds` says otherwise."""

    title: ClassVar[str] = "JAFFE"
    terms: ClassVar[str | None] = "non-commercial research, on request from the owners"
    expects: ClassVar[str] = "DIR/KA.AN1.39.tiff and so on, as .tiff or saved again as .jpg"

    kind: Literal["jaffe"] = "jaffe"
    folds: int = Field(
        default=10, ge=2, le=10, description="Folds of persons; 10 leave one subject out."
    )

    @property
    def name(self) -> str:
        """With the fold."""
        return f"jaffe_{self.fold_name}"

    @property
    def protocol(self) -> str:
        """Whose split it is."""
        return f"all pictures; {self.fold_words}"

    def published_total(self) -> int | None:
        """213 pictures."""
        return 213

    @override
    def listing(self) -> Listing:
        base = locate(self.root, lambda folder: holds(folder, CODE), f"expected {self.expects}")
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links)
        found = coded(tree, CODE, ".tiff")
        # The ten and not those that are there: a copy that lacks persons has the same folds.
        splits = self.split_of(PERSONS)
        entries = []
        for stem, (path, match) in found.pictures.items():
            person, label = match[1].upper(), EXPRESSIONS[match[2].upper()]
            entries.append(Entry(stem, label, splits[person], PictureFile(path), person))
        return Listing(
            base,
            tuple(entries),
            BASIC,
            refused=(*tree.refused, *found.copies),
            unlabelled=found.strange,
        )


# ------------------------------------------------------------------------------------------------
# JAFFE's layout: one flat folder of grey 256x256 TIFF files.


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Each of the ten persons shows each expression `per_class` times; the owners' show 2 to 4."""
    running = 0
    for person, initials in enumerate(PERSONS):
        for code, label in EXPRESSIONS.items():
            for take in range(1, per_class + 1):
                running += 1
                drawn = faces.draw(posed(cast, label, person, take))
                grey = cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY)
                large = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_CUBIC)
                save(root / "jaffe" / f"{initials}.{code}{take}.{running}.tiff", large)
    (root / "jaffe" / "README.txt").write_text("Drawn faces in the layout of JAFFE.\n")


register(Jaffe, write)
