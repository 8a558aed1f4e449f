"""Drawn faces on demand, by label, split and number."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.data import faces

#: Expressions that are not drawn, and those that are drawn in their place.
STAND_INS = {
    "contempt": "disgust",
    "anxiety": "fear",
    "helplessness": "sadness",
    "disappointment": "sadness",
}


class Cast:
    """Draws faces.

    Args:
        seed: Another seed gives other faces.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def face(self, label: str, split: str, number: int) -> faces.Face:
        """The face of person `number` of a split, with the expression `label`."""
        place = faces.EXPRESSIONS.index(STAND_INS.get(label, label))
        return faces.sample_face(self.seed, split, number * len(faces.EXPRESSIONS) + place)

    def picture(
        self, label: str, split: str, number: int, size: tuple[int, int] = (64, 64)
    ) -> np.ndarray:
        """That face, uint8 RGB (H, W, 3) of the given height and width."""
        drawn = faces.draw(self.face(label, split, number))
        height, width = size
        return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC))


def save(path: Path, picture: np.ndarray) -> None:
    """Write a picture, in the format of its suffix; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)  # which only JPEG minds
