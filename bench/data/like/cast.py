"""Drawn faces on demand, by label, split and number."""

from collections.abc import Sequence
from functools import lru_cache
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
        index = _index(_person(label, number), shown, faces.EXPRESSION_SETS[kind])
        return faces.sample_face(self.seed, split, index, expressions=kind, domain=self.domain)

    def picture(
        self, label: str, split: str, number: int, size: tuple[int, int] = (64, 64)
    ) -> np.ndarray:
        """That face, uint8 RGB (H, W, 3) of the given height and width."""
        return _resized(_drawn(self.face(label, split, number)), size)

    def frames(
        self, label: str, split: str, number: int, size: tuple[int, int] = (64, 64)
    ) -> list[np.ndarray]:
        """A clip of that expression (of the basic seven, or a stand-in), 6 to 20 frames."""
        shown = STAND_INS.get(label, label)
        index = _index(_person(label, number), shown, faces.EXPRESSIONS)
        return [_resized(frame, size) for frame in _clip(self.seed, split, index, self.domain)]


# One picture comes at several sizes, and trees of several layouts are often made of one cast.
_drawn = lru_cache(maxsize=512)(faces.draw)  # 6 MB


@lru_cache(maxsize=128)  # 20 MB
def _clip(seed: int, split: str, index: int, domain: str) -> tuple[np.ndarray, ...]:
    clip = faces.sample_clip(seed, split, index, domain)
    # Every second frame: trees of clips are for trying things out, and half as large this way.
    return tuple(faces.draw(clip.face(number)) for number in range(0, clip.frame_count, 2))


def _person(label: str, number: int) -> int:
    """Stand-ins are other persons, or two labels would share one picture."""
    stand_ins = list(STAND_INS)
    return number + 1000 * (1 + stand_ins.index(label)) if label in STAND_INS else number


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
    # Quality is for JPEG; the other is for PNG, which takes longer to write than to draw otherwise.
    Image.fromarray(picture).save(path, quality=95, compress_level=1)


def save_video(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Write a video of 25 frames a second, as MPEG-4 or (.webm) VP8; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    code = cv2.VideoWriter.fourcc(*("VP80" if path.suffix == ".webm" else "mp4v"))
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 25.0, (width, height))
    for frame in frames:
        video.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    video.release()
