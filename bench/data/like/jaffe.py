"""JAFFE's layout: one flat folder of grey 256x256 TIFF files."""

from pathlib import Path

import cv2

from bench.data import faces
from bench.data.like.cast import Cast, save
from bench.data.like.posed import posed

_PERSONS = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
_EXPRESSIONS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Each of the ten persons shows each expression `per_class` times; the owners' show 2 to 4."""
    running = 0
    for person, initials in enumerate(_PERSONS):
        for code, label in _EXPRESSIONS.items():
            for take in range(1, per_class + 1):
                running += 1
                drawn = faces.draw(posed(cast, label, person, take))
                grey = cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY)
                large = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_CUBIC)
                save(root / "jaffe" / f"{initials}.{code}{take}.{running}.tiff", large)
    (root / "jaffe" / "README.txt").write_text("Drawn faces in the layout of JAFFE.\n")
