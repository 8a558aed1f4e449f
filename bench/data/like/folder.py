"""A folder of pictures of one's own."""

from pathlib import Path

from bench.data.labels import BASIC
from bench.data.like.cast import Cast, save


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`train/<class>/000.png` and `test/<class>/000.png`, 64x64."""
    for split, count in (("train", 2 * per_class), ("test", per_class)):
        for label in BASIC:
            for number in range(count):
                path = root / split / label / f"{number:03d}.png"
                save(path, cast.picture(label, split, number))
