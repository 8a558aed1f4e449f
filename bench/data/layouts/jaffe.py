"""JAFFE (Lyons et al., 1998): ten women who pose seven expressions, 213 grey pictures."""

import re
from typing import ClassVar, Literal

from pydantic import Field

from bench.data.labels import BASIC
from bench.data.layouts.base import Entry, Listing, PictureFile
from bench.data.layouts.by_subject import BySubject, coded, holds
from bench.data.reading.images import PICTURE_SUFFIXES
from bench.data.reading.tree import locate, scan

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

    def listing(self) -> Listing:
        """See `Layout.listing`."""
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
