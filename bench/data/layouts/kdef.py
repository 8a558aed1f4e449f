"""KDEF (Lundqvist, Flykt & Öhman, 1998): 70 persons, seven expressions, five angles, twice each."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from bench.data.base import Split
from bench.data.labels import BASIC
from bench.data.layouts.base import Counts, Entry, Listing, PictureFile
from bench.data.layouts.by_subject import BySubject, coded, holds
from bench.data.reading.images import PICTURE_SUFFIXES
from bench.data.reading.tree import locate, scan

SESSIONS = ("A", "B")
PERSONS = tuple(f"{sex}{number:02d}" for sex in "FM" for number in range(1, 36))
EXPRESSIONS = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
SEXES = {"F": "female", "M": "male"}
ANGLES = {
    "FL": "full left",
    "HL": "half left",
    "S": "straight",
    "HR": "half right",
    "FR": "full right",
}

#: Session, person, expression, angle: AF01ANS
CODE = re.compile(
    rf"[AB]({'|'.join(PERSONS)})({'|'.join(EXPRESSIONS)})({'|'.join(ANGLES)})",
    re.IGNORECASE | re.ASCII,
)

_CHOSEN: Mapping[str, tuple[str, ...]] = {
    "straight": ("S",),
    "half": ("HL", "S", "HR"),
    "all": tuple(ANGLES),
}


class Kdef(BySubject):
    """Persons are in one split with both of their sessions, AF01 and BF01."""

    title: ClassVar[str] = "KDEF"
    terms: ClassVar[str | None] = "non-commercial research, under the owners' conditions"
    expects: ClassVar[str] = "DIR/AF01ANS.JPG and so on, or DIR/AF01/AF01ANS.JPG"

    kind: Literal["kdef"] = "kdef"
    folds: int = Field(default=10, ge=2, le=70, description="Folds of persons.")
    angles: Literal["straight", "half", "all"] = Field(
        default="straight",
        description="Faces seen from the front, from up to 45 degrees, or from all five angles.",
    )

    @property
    def name(self) -> str:
        """With the fold, and the angles if there are several."""
        angles = "" if self.angles == "straight" else f"{self.angles}_"
        return f"kdef_{angles}{self.fold_name}"

    @property
    def protocol(self) -> str:
        """Angles and split."""
        seen = {
            "straight": "straight faces",
            "half": "straight faces and half profiles",
            "all": "all angles",
        }
        return f"{seen[self.angles]}; {self.fold_words}"

    def published(self) -> Counts:
        """4,900 pictures: each person twice in each expression and angle."""
        persons = Counter(self.split_of(PERSONS).values())
        each = len(SESSIONS) * len(_CHOSEN[self.angles])
        splits: tuple[Split, ...] = ("train", "test")
        return {split: dict.fromkeys(BASIC, each * persons[split]) for split in splits}

    def listing(self) -> Listing:
        """See `Layout.listing`."""
        base = locate(self.root, lambda folder: holds(folder, CODE), f"expected {self.expects}")
        tree = scan(base, PICTURE_SUFFIXES, self.follow_links)
        found = coded(tree, CODE, ".jpg")
        # All 70 and not those that are there: a copy that lacks persons has the same folds.
        splits = self.split_of(PERSONS)
        entries, left_out = [], 0
        for stem, (path, match) in found.pictures.items():
            person, expression, angle = (part.upper() for part in match.groups())
            if angle not in _CHOSEN[self.angles]:
                left_out += 1
                continue
            groups = {"sex": SEXES[person[0]], "angle": ANGLES[angle]}
            if self.angles == "straight":
                del groups["angle"]
            entries.append(
                Entry(
                    stem,
                    EXPRESSIONS[expression],
                    splits[person],
                    PictureFile(path),
                    person,
                    groups,
                )
            )
        return Listing(
            base,
            tuple(entries),
            BASIC,
            group_values=self._group_values(),
            refused=(*tree.refused, *found.copies),
            unlabelled=found.strange,
            left_out={f"seen from other angles than {self.angles}": left_out} if left_out else {},
        )

    def _group_values(self) -> dict[str, tuple[str, ...]]:
        sexes = {"sex": tuple(SEXES.values())}
        angles = tuple(ANGLES[angle] for angle in _CHOSEN[self.angles])
        return sexes if len(angles) == 1 else sexes | {"angle": angles}
