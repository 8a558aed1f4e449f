"""CK+'s layout: sequences of grey frames in one tree, labels of some of them in another."""

from pathlib import Path

import cv2
import numpy as np

from bench.data import faces
from bench.data.like.cast import Cast, save
from bench.data.like.posed import posed

_NUMBERS = {
    "anger": 1,
    "contempt": 2,
    "disgust": 3,
    "fear": 4,
    "happiness": 5,
    "sadness": 6,
    "surprise": 7,
}
_SHARES = (0.0, 0.6, 0.9, 1.0)  # of the expression, frame by frame up to its peak
_SIDE, _WIDTH = 245, 320  # half of the owners' 640x490, which would take most of the time


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Three persons for each test picture of a class; each shows all, and once is not labelled."""
    pictures, labels = root / "cohn-kanade-images", root / "Emotion"
    for person in range(max(10, 3 * per_class)):
        subject = f"S{5 * person + 5:03d}"
        for sequence, label in enumerate([*_NUMBERS, ""], 1):
            place = Path(subject) / f"{sequence:03d}"
            stem = f"{subject}_{sequence:03d}"
            shares = _SHARES if label else _SHARES[:1]
            for frame, share in enumerate(shares, 1):
                face = posed(cast, label or "neutral", person, 1, share)
                save(pictures / place / f"{stem}_{frame:08d}.png", _photographed(face))
            (labels / place).mkdir(parents=True)  # an empty one where there is no label
            if label:
                text = f"   {_NUMBERS[label]:.7e}\n"
                (labels / place / f"{stem}_{len(shares):08d}_emotion.txt").write_text(text)


def _photographed(face: faces.Face) -> np.ndarray:
    """Grey, the face in the middle."""
    grey = cv2.cvtColor(faces.draw(face), cv2.COLOR_RGB2GRAY)
    large = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    left = (_WIDTH - _SIDE) // 2
    right = _WIDTH - _SIDE - left
    return cv2.copyMakeBorder(large, 0, 0, left, right, cv2.BORDER_REPLICATE)
