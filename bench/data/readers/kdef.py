"""KDEF (Lundqvist, Flykt & Öhman, 1998): 70 persons, seven expressions, five angles, twice each."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import cv2
from pydantic import Field
from typing_extensions import override

from bench import faces
from bench.data.base import Split
from bench.data.images import PICTURE_SUFFIXES
from bench.data.readers.base import (
    BySubject,
    Counts,
    Entry,
    Listing,
    PictureFile,
    coded,
    holds,
    register,
    subject_folds,
)
from bench.data.readers.cast import Cast, posed, save, turned
from bench.data.tree import locate, scan
from bench.labels import BASIC

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

    @override
    def listing(self) -> Listing:
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


# ------------------------------------------------------------------------------------------------
# KDEF's layout: a folder for each person and session, upright pictures from five angles.


_FOLDS = 10
_YAWS = {"FL": -0.8, "HL": -0.45, "S": 0.0, "HR": 0.45, "FR": 0.8}  # radians; as far as is drawn

_WIDTH, _HEIGHT = 281, 381  # half of the owners' 562x762, which would take most of the time


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Write ten folds, each with so many persons that every expression is there `per_class` times.

    At the most: a person shows each expression twice, in session A and in session B.
    """
    dealt = subject_folds(PERSONS, _FOLDS)
    for fold in range(1, _FOLDS + 1):
        members = [person for person in PERSONS if dealt[person] == fold]
        for person in members[: max(1, per_class // 2)]:
            for take, session in enumerate("AB", 1):
                _write_person(root / "KDEF", cast, f"{session}{person}", take)


def _write_person(base: Path, cast: Cast, name: str, take: int) -> None:
    number = PERSONS.index(name[1:])
    for code, label in EXPRESSIONS.items():
        face = posed(cast, label, number, take)
        for angle, yaw in _YAWS.items():
            drawn = faces.draw(turned(face, yaw))
            large = cv2.resize(drawn, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
            save(base / name / f"{name}{code}{angle}.JPG", large)


register(Kdef, write)
