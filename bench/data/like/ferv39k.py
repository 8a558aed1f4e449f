"""FERV39k's layout: face crops by scene and class, one split over all scenes."""

from itertools import count
from pathlib import Path

from bench.data.labels import ORDERS
from bench.data.like.cast import Cast, save

_FOLDERS = {  # in the order of the owners
    "happiness": "Happy",
    "sadness": "Sad",
    "neutral": "Neutral",
    "anger": "Angry",
    "surprise": "Surprise",
    "disgust": "Disgust",
    "fear": "Fear",
}
_SCENES = (
    *("Action", "Argue", "Business", "Conflict", "Contest", "Crime", "Crisis", "DailyLife"),
    *("ElegantArt", "Experiment", "History", "Interview", "Liveshow", "Medicine"),
    *("OfficialEvent", "ScholarReport", "School", "Social", "Speech", "Talkshow", "Terror", "War"),
)


def write(root: Path, cast: Cast, per_class: int) -> None:
    """As Google Drive unpacks it, with the folder of clips inside another one."""
    folder = root / "2_ClipsforFaceCrop-002" / "2_ClipsforFaceCrop"
    setups = root / "4_setups" / "All_scenes"
    setups.mkdir(parents=True)
    running = count(1)
    for split, clips in (("train", 2 * per_class), ("test", per_class)):
        rows = []
        for number in range(clips):
            for label in ORDERS["ferv39k"]:
                place, name = next(running), _FOLDERS[label]
                path = f"{_SCENES[place % len(_SCENES)]}/{name}/{place:04d}"
                rows.append(f"{path} {name}")
                for frame, drawn in enumerate(cast.frames(label, split, number), 1):
                    save(folder / path / f"{frame:04d}.jpg", drawn)
        (setups / f"{split}_All.csv").write_text("\n".join(rows) + "\n")
