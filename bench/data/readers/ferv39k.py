"""FERV39k (Wang et al., CVPR 2022): clips from 22 scenes, seven expressions, one split."""

from itertools import count
from pathlib import Path
from typing import ClassVar, Literal

from typing_extensions import override

from bench.data.base import Split
from bench.data.readers.base import Counts, Entry, Layout, Listing, register
from bench.data.readers.cast import Cast, save
from bench.data.readers.clips import Clips, folder_of_clips
from bench.data.tables import lines, read_text, wrong_line
from bench.data.tree import inside, locate
from bench.labels import BASIC, ORDERS, canonical
from bench.util.errors import UserError

#: The first parts of the paths, in the alphabet's order.
SCENES = (
    *("Action", "Argue", "Business", "Conflict", "Contest", "Crime", "Crisis", "DailyLife"),
    *("ElegantArt", "Experiment", "History", "Interview", "Liveshow", "Medicine"),
    *("OfficialEvent", "ScholarReport", "School", "Social", "Speech", "Talkshow", "Terror", "War"),
)

_FRAMES = "2_ClipsforFaceCrop"
_LABEL_FILES = (  # as shipped, and where re-hosts have theirs
    "4_setups/All_scenes/{split}_All.csv",
    "All_scenes/{split}_All.csv",
    "Annotation/{split}.csv",
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
        base = locate(
            self.root,
            lambda folder: _label_file(folder, "train") is not None,
            f"expected {self.expects}",
        )
        clips = Clips(folder_of_clips(self, (_FRAMES,)), 3, self.follow_links)
        entries: dict[str, Entry] = {}
        files = []
        split: Split
        for split in ("train", "test"):
            file = _label_file(base, split)
            if file is None:
                raise self.fail(f"no label file of the {split} split.")
            files.append(file)
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
            label_files=tuple(files),
        )


def parse_split(text: str, origin: str) -> dict[str, str]:
    """The class name of each clip, from lines such as `Action/Happy/0267 Happy`; all are clips.

    Raises:
        UserError: Naming the line that is something else, or whose two class names differ.
    """
    seen: dict[str, str] = {}
    expected = "scene/class/number and the class, such as 'Action/Happy/0267 Happy'"
    for number, line in lines(text):
        if line.lower() == "path,id" or (line.count(",") == 1 and line[-1].isdigit()):
            raise UserError(
                f"{origin}, line {number}: a re-host's file of paths and ids, whose order of "
                "classes is not DFEW's. Take the official 4_setups/All_scenes/*_All.csv."
            )
        fields = line.rsplit(maxsplit=1)
        path = fields[0].replace("\\", "/")
        parts = path.split("/")
        name = canonical(fields[-1])
        if len(fields) != 2 or len(parts) != 3 or not inside(path) or name not in BASIC:
            raise wrong_line(origin, number, line, expected)
        if canonical(parts[1]) != name:
            raise wrong_line(origin, number, line, f"the class {parts[1]!r} as in the path")
        seen[path] = name
    if not seen:
        raise UserError(f"{origin}: the label file is empty.")
    return seen


def _label_file(base: Path, split: str) -> Path | None:
    paths = (base / name.format(split=split) for name in _LABEL_FILES)
    return next((path for path in paths if path.is_file()), None)


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
