"""FER2013's and FERPlus's layout: 48x48 grey pictures as text, and the votes of ten people."""

from collections.abc import Iterator
from pathlib import Path

import cv2

from bench.data.base import Split
from bench.data.labels import BASIC, ORDERS
from bench.data.like.cast import Cast

_USAGES: tuple[tuple[Split, str, int], ...] = (
    ("train", "Training", 2),
    ("val", "PublicTest", 1),
    ("test", "PrivateTest", 1),
)
_COLUMNS = (*ORDERS["ferplus"], "unknown", "NF")
#: Votes that give no label, next to which picture such a line stands.
_JUNK = {
    "happiness": {"NF": 10},
    "sadness": {"happiness": 5, "surprise": 5},
    "fear": {"unknown": 6, "fear": 4},
}


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`fer2013.csv` with the seven labels of FER2013."""
    lines = [_line(cast, place) for place in _places(ORDERS["fer2013"], per_class)]
    (root / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "".join(lines))


def write_ferplus(root: Path, cast: Cast, per_class: int) -> None:
    """`fer2013.csv` and `fer2013new.csv`, with a picture of each kind that is left out."""
    pictures, votes = [], []
    for running, place in enumerate(_places(ORDERS["ferplus"], per_class)):
        split, usage, label, number = place
        pictures.append(_line(cast, place))
        name = f"fer{running:07d}.png"
        votes.append(_votes(usage, name, {label: 7 + number % 3, "unknown": 1}))
        if number == 0 and label in _JUNK:
            junk = _JUNK[label]
            pictures.append(_line(cast, (split, usage, label, 1000)))
            votes.append(_votes(usage, "" if "NF" in junk else name, junk))
    (root / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "".join(pictures))
    header = ",".join(["Usage", "Image name", *_COLUMNS])
    (root / "fer2013new.csv").write_text(header + "\n" + "".join(votes))


def _places(labels: tuple[str, ...], per_class: int) -> Iterator[tuple[Split, str, str, int]]:
    """Split, usage, label and number of every picture, in the order of the file."""
    for split, usage, share in _USAGES:
        for number in range(share * per_class):
            for label in labels:
                yield split, usage, label, number


def _line(cast: Cast, place: tuple[Split, str, str, int]) -> str:
    split, usage, label, number = place
    grey = cv2.cvtColor(cast.picture(label, split, number, (48, 48)), cv2.COLOR_RGB2GRAY)
    pixels = " ".join(str(value) for value in grey.ravel())
    # FER2013 knows no contempt: its label is one of the others.
    shown = ORDERS["fer2013"].index(label if label in BASIC else "neutral")
    return f"{shown},{pixels},{usage}\n"


def _votes(usage: str, name: str, votes: dict[str, int]) -> str:
    """A line of votes; those not given are for neutral, or for nothing."""
    given = {**votes, "neutral": votes.get("neutral", 0) + 10 - sum(votes.values())}
    return ",".join([usage, name, *(str(given.get(column, 0)) for column in _COLUMNS)]) + "\n"
