"""A folder of clips of one's own: `train/<class>/<clip>`, folders of frames or video files."""

from pathlib import Path
from typing import ClassVar, Literal

from bench.data.readers.base import SPLITS, Entry, Layout, Listing
from bench.data.readers.cast import Cast, save, save_video
from bench.data.readers.clips import Clips
from bench.labels import BASIC, canonical, ordered


class ClipFolder(Layout):
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
        if not self.root.is_dir():
            raise self.fail("there is no such folder.")
        clips = Clips(self.root, 3, self.follow_links)
        entries = []
        for path in clips.paths:
            top, label, _ = path.split("/")
            split = SPLITS.get(top.lower())
            source = clips.take(path) if split is not None else None
            if split is not None and source is not None:
                entries.append(Entry(path, canonical(label), split, source))
        if not entries:
            raise self.fail("no clips where they should be.")
        classes = ordered({entry.label for entry in entries if entry.split == "train"})
        return Listing(
            self.root,
            tuple(entries),
            classes,
            missing=clips.missing,
            refused=clips.refused,
            unlabelled=clips.left,
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
