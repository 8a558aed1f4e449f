"""MAFW (Liu et al., ACM MM 2022): clips of eleven expressions, five folds."""

import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench.data.readers.base import Counts, Entry, Layout, Listing, register
from bench.data.readers.cast import Cast, save, save_video, written_folds
from bench.data.readers.clips import Clips, folder_of_clips, split_lists
from bench.data.tables import lines, read_text, wrong_line
from bench.labels import ORDERS, canonical, ordered
from bench.util.errors import UserError

CLASSES = ordered(set(ORDERS["mafw"]))
FOLDS = 5

_NAME = re.compile(r"(\d{1,9})\.mp4", re.IGNORECASE | re.ASCII)


class Mafw(Layout):
    """The clips with a single label, in one of the five official folds."""

    title: ClassVar[str] = "MAFW, single-label"
    terms: ClassVar[str | None] = "academic research, under a signed agreement"
    expects: ClassVar[str] = (
        "DIR/data/frames/<number>/*.png and DIR/split/single/no_caption/set_{1..5}/{train,test}.txt"
    )
    clips: ClassVar[bool] = True

    kind: Literal["mafw"] = "mafw"
    fold: int = Field(default=1, ge=1, le=FOLDS, description="Which of the five splits.")
    frames: Literal["frames", "clips"] = Field(
        default="frames", description="The folders of frames, or the original videos."
    )

    @property
    def name(self) -> str:
        """With the fold, and whether videos are read."""
        return f"mafw_fold{self.fold}{'' if self.frames == 'frames' else '_videos'}"

    @property
    def protocol(self) -> str:
        """Which frames, which fold."""
        shown = "frames as shipped" if self.frames == "frames" else "original videos"
        return f"{shown}, single labels, official fold {self.fold} of {FOLDS}"

    def published(self) -> Counts:
        """9,172 clips; how many there are of each class is not known here."""
        return {"train": {"": 7333}, "test": {"": 1839}} if self.fold == 1 else {}

    @override
    def listing(self) -> Listing:
        name = f"single/no_caption/set_{self.fold}/{{split}}.txt"
        what = (
            f"the label files of fold {self.fold} with classes by name (re-hosts' ids are not read)"
        )
        files = split_lists(self, [name], what)
        clips = Clips(folder_of_clips(self, (self.frames,)), 1, self.follow_links)
        entries: dict[str, Entry] = {}
        for split, file in files.items():
            for number, label in sorted(parse_split(read_text(file), str(file)).items()):
                name = f"{number:05d}"
                if name in entries:
                    raise UserError(f"{file}: {name} is in train already. Correct the label file.")
                source = clips.take(name, str(number))
                if source is not None:
                    entries[name] = Entry(name, label, split, source)
        return Listing(
            clips.base,
            tuple(entries.values()),
            CLASSES,
            missing=clips.missing,
            refused=clips.refused,
            unlabelled=clips.left,
            label_files=tuple(files.values()),
        )


def parse_split(text: str, origin: str) -> dict[int, str]:
    """The class name of each clip number, from lines such as `00025.mp4 anger`.

    Raises:
        UserError: Naming the line that is something else, or a clip with two classes.
    """
    seen: dict[int, str] = {}
    expected = "a video and one of the eleven classes, such as '00025.mp4 anger'"
    for number, line in lines(text):
        fields = line.split()
        found = _NAME.fullmatch(fields[0])
        if len(fields) != 2 or found is None or canonical(fields[1]) not in CLASSES:
            hint = "Ids of re-hosts are in one of three orders of classes: take the owners' file."
            raise wrong_line(origin, number, line, expected, hint if line[-1].isdigit() else "")
        label = canonical(fields[1])
        if seen.setdefault(int(found[1]), label) != label:
            raise wrong_line(origin, number, line, f"{seen[int(found[1])]!r} as further up")
    if not seen:
        raise UserError(f"{origin}: the label file is empty.")
    return seen


# ------------------------------------------------------------------------------------------------
# MAFW's layout: frames and videos by number, the single-label split files of five folds.


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


register(Mafw, write)
