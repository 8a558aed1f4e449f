"""MAFW's layout: frames and videos by number, the single-label split files of five folds."""

from pathlib import Path

from bench.data.labels import ORDERS
from bench.data.like.cast import Cast, save, save_video
from bench.data.like.folds import written_folds

_ORDER = ORDERS["mafw"]


def write(root: Path, cast: Cast, per_class: int) -> None:
    """Three times `per_class` clips of each class, five at least, dealt to five folds."""
    count = max(3 * per_class, 5)
    labelled = []
    for number in range(count * len(_ORDER) + 1):
        person, place = divmod(number, len(_ORDER))
        name, label = f"{number + 1:05d}", _ORDER[place]
        frames = cast.frames(label, "train", person)
        for frame, drawn in enumerate(frames, 1):
            save(root / "data" / "frames" / name / f"{frame:04d}.png", drawn)
        save_video(root / "data" / "clips" / f"{name}.mp4", frames)
        # The last clip has several labels, and is in no file of single ones.
        if person < count:
            labelled.append((f"{name}.mp4", label, person))
    for split, fold, members in written_folds(labelled):
        folder = root / "Train & Test Set" / "single" / "no_caption" / f"set_{fold}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [f"{name} {label}" for name, label in members]
        (folder / f"{split}.txt").write_text("\n".join(rows) + "\n")
