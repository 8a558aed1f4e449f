"""Drawn faces on demand, by label, split and number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from PIL import Image

from bench import faces

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


# ------------------------------------------------------------------------------------------------
# Persons who pose every expression, several times, as in a laboratory.


def posed(cast: Cast, label: str, person: int, take: int, share: float = 1.0) -> faces.Face:
    """A face of a person, whoever else the cast would show in that take.

    Args:
        cast: Draws.
        label: The expression.
        person: Number of the person, from 0.
        take: Another take of the same expression differs in strength, pose and light.
        share: How much of the expression is shown, in [0, 1].
    """
    # Contempt is drawn as disgust; a take of its own keeps the two apart.
    sampled = cast.face(label, f"{label} {take}", person)
    muscles = sampled.action_units
    units = {name: share * getattr(muscles, name) for name in faces.AU_NAMES}
    return replace(
        sampled,
        identity=cast.face("neutral", "posed", person).identity,
        action_units=faces.ActionUnits(**units),
        intensity=share * sampled.intensity,
    )


def turned(face: faces.Face, yaw: float) -> faces.Face:
    """The same face with the head turned: `yaw` radians, positive as in `Face.scene.pose`."""
    return replace(face, scene=replace(face.scene, pose=replace(face.scene.pose, yaw=yaw)))


# ------------------------------------------------------------------------------------------------
# Five folds, as DFEW and MAFW have them: the tests part the clips, train is all the others.


Name = TypeVar("Name")
Label = TypeVar("Label")


def written_folds(
    clips: Iterable[tuple[Name, Label, int]],
) -> Iterator[tuple[Literal["train", "test"], int, Sequence[tuple[Name, Label]]]]:
    """Split, fold and its clips.

    Args:
        clips: Name, label and place in its class: clip i is tested in fold i mod 5 + 1.
    """
    known = list(clips)
    for fold in range(1, 6):
        test = [place % 5 + 1 == fold for *_, place in known]
        named = [(name, label) for name, label, _ in known]
        yield "train", fold, [clip for clip, held in zip(named, test, strict=True) if not held]
        yield "test", fold, [clip for clip, held in zip(named, test, strict=True) if held]
