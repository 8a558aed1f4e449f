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
        domain: A name in `faces.DOMAINS`: the room and the camera.
    """

    def __init__(self, seed: int = 0, domain: str = "default") -> None:
        self.seed, self.domain = seed, domain

    def face(self, label: str, split: str, number: int) -> faces.Face:
        """The face of person `number` of a split, with the expression `label`."""
        shown = STAND_INS.get(label, label)
        kind = "compound" if shown in faces.EXPRESSION_SETS["compound"] else "basic"
        index = _index(number, shown, faces.EXPRESSION_SETS[kind])
        return faces.sample_face(self.seed, split, index, expressions=kind, domain=self.domain)

    def picture(
        self, label: str, split: str, number: int, size: tuple[int, int] = (64, 64)
    ) -> np.ndarray:
        """That face, uint8 RGB (H, W, 3) of the given height and width."""
        return _resized(faces.draw(self.face(label, split, number)), size)

    def frames(
        self, label: str, split: str, number: int, size: tuple[int, int] = (64, 64)
    ) -> list[np.ndarray]:
        """A clip of that expression (one of the basic seven or a stand-in), 12 to 40 frames."""
        index = _index(number, STAND_INS.get(label, label), faces.EXPRESSIONS)
        clip = faces.sample_clip(self.seed, split, index, self.domain)
        drawn = (faces.draw(clip.face(number)) for number in range(clip.frame_count))
        return [_resized(frame, size) for frame in drawn]


def _index(number: int, label: str, expressions: tuple[str, ...]) -> int:
    """Number of the picture that shows `label` on person `number`."""
    return number * len(expressions) + expressions.index(label)


def _resized(drawn: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    if drawn.shape[:2] == size:
        return drawn
    return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC))


def save(path: Path, picture: np.ndarray) -> None:
    """Write a picture, in the format of its suffix; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)  # which only JPEG minds
