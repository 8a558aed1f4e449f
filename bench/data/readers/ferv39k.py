"""FERV39k (Wang et al., CVPR 2022): clips from 22 scenes, seven expressions, one split."""

from itertools import count
from pathlib import Path
from typing import ClassVar, Literal

from typing_extensions import override

from bench.data.readers.base import Counts, Entry, Layout, Listing, register
from bench.data.readers.cast import Cast, save
from bench.data.readers.clips import Clips, folder_of_clips, listed, split_lists
from bench.data.tables import read_text, wrong_line
from bench.data.tree import inside
from bench.labels import BASIC, ORDERS, canonical
from bench.util.errors import UserError

#: The first parts of the paths, in the alphabet's order.
SCENES = (
    *("Action", "Argue", "Business", "Conflict", "Contest", "Crime", "Crisis", "DailyLife"),
    *("ElegantArt", "Experiment", "History", "Interview", "Liveshow", "Medicine"),
    *("OfficialEvent", "ScholarReport", "School", "Social", "Speech", "Talkshow", "Terror", "War"),
)

_FRAMES = "2_ClipsforFaceCrop"
_LABEL_FILES = (  # as shipped; and in re-hosts: S2D, DFER-CLIP, LSTPNet, MAE-DFER
    "4_setups/All_scenes/{split}_All.csv",
    "All_scenes/{split}_All.csv",
    "Annotation/{split}.csv",
    "FERV39K_{split}.txt",
    "FERV39k_{split}.txt",
    "all_scenes/{split}.csv",
)


class Ferv39k(Layout):
    """The split over all scenes; scenes are groups."""

    title: ClassVar[str] = "FERV39k"
    terms: ClassVar[str | None] = (
        "non-commercial research, on request from a university account; no redistribution"
    )
    expects: ClassVar[str] = (
        "DIR/2_ClipsforFaceCrop/<scene>/<class>/<number>/*.jpg and "
        "DIR/4_setups/All_scenes/{train,test}_All.csv"
    )
    clips: ClassVar[bool] = True

    kind: Literal["ferv39k"] = "ferv39k"

    @property
    def protocol(self) -> str:
        """Which frames, whose split."""
        return "face crops, official split over all scenes"

    def published(self) -> Counts:
        """31,088 and 7,847 clips."""
        train = (5854, 5523, 7790, 5906, 2502, 1833, 1680)
        test = (1473, 1393, 1958, 1487, 638, 467, 431)
        return {
            "train": dict(zip(ORDERS["ferv39k"], train, strict=True)),
            "test": dict(zip(ORDERS["ferv39k"], test, strict=True)),
        }

    @override
    def listing(self) -> Listing:
        files = split_lists(self, _LABEL_FILES, "the label files")
        clips = Clips(folder_of_clips(self, (_FRAMES,)), 3, self.follow_links)
        entries: dict[str, Entry] = {}
        for split, file in files.items():
            for path, label in parse_split(read_text(file), str(file)).items():
                if path in entries:
                    raise UserError(f"{file}: {path} is in train already. Correct the label file.")
                source = clips.take(path)
                if source is not None:
                    scene = path.split("/")[0]
                    entries[path] = Entry(path, label, split, source, groups={"scene": scene})
        found = {entry.groups["scene"] for entry in entries.values()}
        return Listing(
            clips.base,
            tuple(entries.values()),
            BASIC,
            group_values={"scene": (*SCENES, *sorted(found - set(SCENES)))},
            missing=clips.missing,
            refused=clips.refused,
            unlabelled=clips.left,
            label_files=tuple(files.values()),
        )


def parse_split(text: str, origin: str) -> dict[str, str]:
    """The class name of each clip, from lines such as `Action/Happy/0267 Happy`; see `listed`.

    Re-hosts have ids, in three orders of classes. The class is always that of the path, and what
    stands behind it must be its name, or one id of its own.

    Raises:
        UserError: Naming the line that is something else, or that says another class.
    """
    seen: dict[str, str] = {}
    ids: dict[str, str] = {}  # class by id, and id by class
    expected = "scene/class/number and the class, such as 'Action/Happy/0267 Happy'"
    for place, (number, parts, label) in enumerate(listed(text, origin, expected)):
        path = "/".join(parts[-3:])
        if place == 0 and (path.lower(), label.lower()) == ("path", "id"):
            continue
        name = canonical(parts[-2]) if len(parts) > 2 else ""
        told = f"{path} {label}"
        if name not in BASIC or not inside(path):
            raise wrong_line(origin, number, told, expected)
        if label.isascii() and label.isdigit():
            if ids.setdefault(label, name) != name or ids.setdefault(name, label) != label:
                raise wrong_line(origin, number, told, "one id for each class, as further up")
        elif canonical(label) != name:
            raise wrong_line(origin, number, told, f"the class {parts[-2]!r} as in the path")
        seen[path] = name
    if not seen:
        raise UserError(f"{origin}: the label file is empty.")
    return seen


# ------------------------------------------------------------------------------------------------
# FERV39k's layout: face crops by scene and class, one split over all scenes.


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


register(Ferv39k, write)
