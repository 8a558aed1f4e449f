"""A folder of clips of one's own."""

from pathlib import Path

from bench.data.labels import BASIC
from bench.data.like.cast import Cast, save, save_video


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`{train,test}/<class>/000/1.png`; every third clip is a video instead, `002.mp4`."""
    for split, count in (("train", 2 * per_class), ("test", per_class)):
        for label in BASIC:
            for number in range(count):
                clip = root / split / label / f"{number:03d}"
                frames = cast.frames(label, split, number)
                if number % 3 == 2:
                    save_video(clip.with_suffix(".mp4"), frames)
                    continue
                for place, frame in enumerate(frames, 1):
                    save(clip / f"{place}.png", frame)
