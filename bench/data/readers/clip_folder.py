"""A folder of clips of one's own: `train/<class>/<clip>`, folders of frames or video files."""

from pathlib import Path
from typing import ClassVar, Literal

from bench.data.base import Split
from bench.data.readers.base import Entry, Listing, OwnLayout, merged, split_folders
from bench.data.readers.cast import Cast, save, save_video
from bench.data.readers.clips import Clips
from bench.data.reading.tree import content, locate
from bench.labels import BASIC, ordered

_EXPECTED = "no clips in folders of splits and classes, such as train/anger"


class ClipFolder(OwnLayout):
    """Classes are the names of the folders; usual names become the vocabulary's."""

    title: ClassVar[str] = "folder of clips"
    expects: ClassVar[str] = (
        "DIR/train/<class>/<clip>/*.jpg or DIR/train/<class>/<clip>.mp4, and the same in DIR/test, "
        "optionally in DIR/val"
    )
    clips: ClassVar[bool] = True

    kind: Literal["clip_folder"] = "clip_folder"

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.root.resolve().name

    @property
    def protocol(self) -> str:
        """Whose split it is."""
        return "the folder's own split"

    def listing(self) -> Listing:
        """See `Layout.listing`."""
        base = locate(self.root, lambda folder: bool(split_folders(folder)), _EXPECTED)
        splits, clips = split_folders(base), Clips(base, 3, self.follow_links)
        found: list[tuple[str, Split, str]] = []
        for path in clips.paths:
            top, label, _ = path.split("/")
            if top in splits:
                found.append((path, splits[top], label))
        labels = self.meanings(
            {label: str((base / path).parent) for path, _, label in found}, str(base)
        )
        entries = [
            Entry(path, labels[label], split, source)
            for path, split, label in found
            if (source := clips.take(path)) is not None
        ]
        if not entries:
            raise self.fail(f"no clips in folders of classes; found {content(base)}.")
        return Listing(
            base,
            tuple(entries),
            ordered({entry.label for entry in entries if entry.split == "train"}),
            missing=clips.missing,
            refused=clips.refused,
            unlabelled=clips.left,
            claimed={(split, labels[label]): path for path, split, label in found},
            notes=merged((split, label, labels[label]) for _, split, label in found),
        )


# ------------------------------------------------------------------------------------------------
# A folder of clips of one's own.


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
