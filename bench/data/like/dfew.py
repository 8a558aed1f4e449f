"""DFEW's layout: aligned frames, 16 of each clip, original videos, split files of five folds."""

from pathlib import Path

import numpy as np

from bench.data.labels import ORDERS
from bench.data.like.cast import Cast, save, save_video
from bench.data.like.folds import written_folds

_ORDER = ORDERS["dfew"]


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Three times `per_class` clips of each class, five at least, dealt to five folds."""
    count = max(3 * per_class, 5)
    labelled = []
    for number in range(count * len(_ORDER) + 1):
        person, place = divmod(number, len(_ORDER))
        # The last clip has no single label, and is in no split file.
        _clip(root / "Clip", f"{number + 1:05d}", cast, _ORDER[place], person)
        if person < count:
            labelled.append((number + 1, place + 1, person))
    folder = root / "EmoLabel_DataSplit"
    for split, fold, members in written_folds(labelled):
        path = folder / f"{split}(single-labeled)" / f"set_{fold}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{name},{label}" for name, label in members]
        path.write_text("\n".join(["video_name,label", *rows]) + "\n")


def _clip(folder: Path, name: str, cast: Cast, label: str, person: int) -> None:
    frames = cast.frames(label, "train", person, (224, 224))
    for place, frame in enumerate(frames, 1):
        save(folder / "clip_224x224" / name / f"{name}_{place:05d}.jpg", frame)
    interpolated = np.linspace(0, len(frames) - 1, 16).round().astype(int)
    for place, number in enumerate(interpolated, 1):
        save(folder / "clip_224x224_16f" / name / f"{place}.jpg", frames[number])
    save_video(folder / "original" / f"{name}.mp4", cast.frames(label, "train", person))
