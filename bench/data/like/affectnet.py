"""AffectNet's layouts: photographs with lists of faces; later, faces with npy files."""

from hashlib import sha224
from pathlib import Path

import numpy as np

from bench.data.labels import ORDERS
from bench.data.like.cast import Cast, save

_COLUMNS = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,"
    "facial_landmarks,expression,valence,arousal"
)
_ORDER = ORDERS["affectnet"]
_JUNK = ("none", "uncertain", "no face")  # 8 to 10
_SUFFIXES = ("jpg", "JPG", "jpeg", "png", "PNG", "bmp", "tif")
_SIDE = 100  # of a face in its photograph, pixels


def write(root: Path, cast: Cast, per_class: int) -> None:
    """The first release: photographs in numbered folders; the list of validation has no header."""
    lists = root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    pictures = root / "Manually_Annotated_Images"
    for name, split, count in (
        ("training.csv", "train", 2 * per_class),
        ("validation.csv", "test", per_class),
    ):
        rows = [_COLUMNS] if split == "train" else []
        for number in range(count):
            for expression, label in enumerate((*_ORDER, *_JUNK)):
                shown = "neutral" if label in _JUNK else label
                face = cast.picture(shown, split, number, (_SIDE, _SIDE))
                left, top = 20 + 9 * number % 60, 15 + 7 * expression % 40
                digest = sha224(f"{split} {number} {label}".encode()).hexdigest()
                suffix = _SUFFIXES[(number + expression) % len(_SUFFIXES)]
                path = f"{number % 12 + 1}/{digest}.{suffix}"
                save(pictures / path, _photograph(face, left, top))
                rows.append(_row(path, left, top, expression))
        (lists / name).write_text("\n".join(rows) + "\n")


def write_8labels(root: Path, cast: Cast, per_class: int) -> None:
    """The later release: 224x224 faces, numbered with gaps, four npy files each."""
    for folder, split, count in (
        ("train_set", "train", 2 * per_class),
        ("val_set", "test", per_class),
    ):
        annotations = root / folder / "annotations"
        annotations.mkdir(parents=True)
        for number in range(count):
            for expression, label in enumerate(_ORDER):
                name = 3 * (number * len(_ORDER) + expression) + number % 2
                face = cast.picture(label, split, number, (224, 224))
                save(root / folder / "images" / f"{name}.jpg", face)
                _annotate(annotations, name, expression)


def _annotate(folder: Path, name: int, expression: int) -> None:
    """Expression, valence and arousal as text in arrays without dimensions; 68 landmarks."""
    valence, arousal = _affect(expression)
    np.save(folder / f"{name}_exp.npy", np.array(str(expression)))
    np.save(folder / f"{name}_val.npy", np.array(str(valence)))
    np.save(folder / f"{name}_aro.npy", np.array(str(arousal)))
    np.save(folder / f"{name}_lnd.npy", np.linspace(40, 180, 136))


def _row(path: str, left: int, top: int, expression: int) -> str:
    points = ";".join(f"{left + _SIDE * place / 136:.2f}" for place in range(136))
    valence, arousal = _affect(expression)
    box = f"{left},{top},{_SIDE},{_SIDE}"
    return f"{path},{box},{points},{expression},{valence},{arousal}"


def _affect(expression: int) -> tuple[float, float]:
    """Valence and arousal; -2 where there is no expression."""
    return (-2, -2) if expression >= len(_ORDER) else (expression / 8 - 0.5, expression / 16)


def _photograph(face: np.ndarray, left: int, top: int) -> np.ndarray:
    """A face on a wall, as large as the face needs and some more."""
    photograph = np.full((_SIDE + 60, _SIDE + 90, 3), (150, 140, 125), np.uint8)
    photograph[top : top + _SIDE, left : left + _SIDE] = face
    return photograph
