"""SFEW 2.0's layout: class folders of aligned faces and of full frames; a flat test set."""

from pathlib import Path

import numpy as np

from bench.data.like.cast import Cast, save

_FOLDERS = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
_FILMS = ("Airheads", "BirthdayGirl", "Hangover", "Unknown")
_FACE, _FRAME = (181, 143), (288, 360)  # height and width; real frames are twice as large


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Both kinds of pictures, named by film, time and frame."""
    for name, split, count in (("Train", "train", 2 * per_class), ("Val", "test", per_class)):
        for folder, label in _FOLDERS.items():
            for number in range(count):
                file = _file(list(_FOLDERS).index(folder), number)
                face = cast.picture(label, split, number, _FACE)
                save(root / name / f"{name}_Aligned_Faces" / folder / file, face)
                save(root / name / folder / file, _frame(face, number))
    for number in range(per_class):  # labels withheld
        face = cast.picture("neutral", "unlabelled", number, _FACE)
        save(root / "Test" / "Test_Aligned_Faces" / _file(7, number), face)


def _file(place: int, number: int) -> str:
    film = _FILMS[number % len(_FILMS)]
    return f"{film}_{1000 * place + 20 * number + 519240:09d}_{number + 1:08d}.png"


def _frame(face: np.ndarray, number: int) -> np.ndarray:
    """The face somewhere in a dim room."""
    height, width = face.shape[:2]
    frame = np.full((*_FRAME, 3), 40, np.uint8)
    frame[: _FRAME[0] // 2] = 70
    left = 20 + 37 * number % (_FRAME[1] - width - 20)
    frame[60 : 60 + height, left : left + width] = face
    return frame
