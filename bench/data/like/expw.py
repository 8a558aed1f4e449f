"""ExpW's layout: photographs with one or two faces, boxes, no split."""

from itertools import count
from pathlib import Path

import numpy as np

from bench.data.base import Split
from bench.data.labels import ORDERS
from bench.data.layouts.expw import split_of
from bench.data.like.cast import Cast, save

_FACE = 80  # pixels, height and width
_TOP, _LEFT = 30, 20  # of the first face
_STEP = 100  # from a face to the next
_ORDER = ORDERS["expw"]


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`image/origin/*.jpg` and `label/label.lst`; the first photographs of a split have two faces.

    ExpW has no split of its own. Names are chosen so that those of the bench have faces of every
    class.
    """
    lines = []
    splits: tuple[tuple[Split, int], ...] = (("train", 2), ("val", 1), ("test", 1))
    for split, share in splits:
        for number in range(share * per_class):
            step = 2 if number == 0 else 1
            for place in range(0, len(_ORDER), step):
                labels = _ORDER[place : place + step]
                name = _name(labels[0], split, number)
                faces = [cast.picture(label, split, number, (_FACE, _FACE)) for label in labels]
                save(root / "image" / "origin" / name, _photograph(faces))
                lines += [_line(name, face, label) for face, label in enumerate(labels)]
    path = root / "label" / "label.lst"
    path.parent.mkdir()
    path.write_text("".join(lines))


def _name(label: str, split: Split, number: int) -> str:
    """Names are a search on the web and the number of its result."""
    names = (f"{label}_actor_{result}.jpg" for result in count(1))
    fitting = (name for name in names if split_of(name) == split)
    return next(name for rank, name in enumerate(fitting) if rank == number)


def _photograph(faces: list[np.ndarray]) -> np.ndarray:
    photograph = np.full((_FACE + 2 * _TOP, _STEP * len(faces) + _LEFT, 3), 90, np.uint8)
    for place, face in enumerate(faces):
        left = _LEFT + place * _STEP
        photograph[_TOP : _TOP + _FACE, left : left + _FACE] = face
    return photograph


def _line(name: str, face: int, label: str) -> str:
    """Picture, face, then top, left, right, bottom, then confidence and label."""
    left = _LEFT + face * _STEP
    box = f"{_TOP} {left} {left + _FACE} {_TOP + _FACE}"
    return f"{name} {face} {box} {40 + 5.5 * face:g} {_ORDER.index(label)}\n"
