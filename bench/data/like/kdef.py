"""KDEF's layout: a folder for each person and session, upright pictures from five angles."""

from pathlib import Path

import cv2

from bench.data import faces
from bench.data.layouts.base import subject_folds
from bench.data.like.cast import Cast, save
from bench.data.like.posed import posed, turned

_PERSONS = [f"{sex}{number:02d}" for sex in "FM" for number in range(1, 36)]
_FOLDS = 10
_EXPRESSIONS = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
_ANGLES = {"FL": -0.8, "HL": -0.45, "S": 0.0, "HR": 0.45, "FR": 0.8}  # radians; as far as is drawn

_WIDTH, _HEIGHT = 281, 381  # half of the owners' 562x762, which would take most of the time


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Of each of ten folds so many persons that each expression is there `per_class` times.

    At the most: a person shows each expression twice, in session A and in session B.
    """
    dealt = subject_folds(_PERSONS, _FOLDS)
    for fold in range(1, _FOLDS + 1):
        members = [person for person in _PERSONS if dealt[person] == fold]
        for person in members[: max(1, per_class // 2)]:
            for take, session in enumerate("AB", 1):
                _write_person(root / "KDEF", cast, f"{session}{person}", take)


def _write_person(base: Path, cast: Cast, name: str, take: int) -> None:
    number = _PERSONS.index(name[1:])
    for code, label in _EXPRESSIONS.items():
        face = posed(cast, label, number, take)
        for angle, yaw in _ANGLES.items():
            drawn = faces.draw(turned(face, yaw))
            large = cv2.resize(drawn, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
            save(base / name / f"{name}{code}{angle}.JPG", large)
