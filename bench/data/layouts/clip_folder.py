"""A folder of clips of one's own: `train/<class>/<clip>`, folders of frames or video files."""

from typing import ClassVar, Literal

from bench.data.labels import canonical, ordered
from bench.data.layouts.base import SPLITS, Entry, Layout, Listing
from bench.data.layouts.clips import Clips


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
