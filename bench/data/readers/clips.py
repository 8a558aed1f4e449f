"""Where clips come from: folders of frames or video files, and the lists that name them."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from bench.data.base import Skipped, Split
from bench.data.images import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    UnreadablePicture,
    count_frames,
    read_picture,
    read_video,
)
from bench.data.readers.base import Layout, Source
from bench.data.tables import lines, wrong_line
from bench.data.tree import files_in, locate, parts_of, scan_level
from bench.labels import natural_key


@runtime_checkable
class ClipSource(Source, Protocol):
    """Where one clip comes from. As a picture it is its middle frame."""

    def frame_count(self, base: Path) -> int:
        """Number of frames.

        Raises:
            UnreadablePicture: With the reason.
        """

    def read_frames(self, base: Path, numbers: Sequence[int]) -> np.ndarray:
        """The frames with these numbers, from 0, uint8 RGB (T, H, W, 3).

        Raises:
            UnreadablePicture: With the reason.
        """


class Frames(NamedTuple):
    """A folder of frames; make it with `Frames.of`.

    A data set has a million names, so those of a clip are one string.
    """

    folder: str
    joined: str

    @classmethod
    def of(cls, folder: str, names: Sequence[str]) -> "Frames":
        """From the frames' names in any order."""
        return cls(folder, "/".join(sorted(names, key=natural_key)))

    @property
    def names(self) -> list[str]:
        """In natural order: 2.jpg before 10.jpg."""
        return self.joined.split("/")

    @property
    def path(self) -> str:
        """The middle frame."""
        names = self.names
        return f"{self.folder}/{names[len(names) // 2]}"

    @property
    def files(self) -> list[str]:
        """All frames, the middle one first."""
        middle = self.path
        paths = [f"{self.folder}/{name}" for name in self.names]
        return [middle, *(path for path in paths if path != middle)]

    def content(self, base: Path) -> bytes:
        """The middle frame, and behind it the names of all and a digest of the others."""
        middle, *others = self.files
        digests = [sha256((base / path).read_bytes()).digest() for path in others]
        rest = sha256(b"".join(digests)).digest() if others else b""
        return (base / middle).read_bytes() + self.joined.encode() + rest

    def decode(self, base: Path, content: bytes) -> np.ndarray:
        """Decode the middle frame."""
        rest = sha256().digest_size if len(self.names) > 1 else 0
        return read_picture(content[: len(content) - len(self.joined.encode()) - rest])

    def frame_count(self, base: Path) -> int:
        """Number of files."""
        return self.joined.count("/") + 1

    def read_frames(self, base: Path, numbers: Sequence[int]) -> np.ndarray:
        """Decode the frames with these numbers, each file once."""
        names, decoded = self.names, {}
        for number in set(numbers):
            try:
                decoded[number] = read_picture(base / self.folder / names[number])
            except UnreadablePicture as error:
                raise UnreadablePicture(f"{names[number]}: {error}") from error
        if len({frame.shape for frame in decoded.values()}) > 1:
            raise UnreadablePicture("its frames have several sizes")
        return np.stack([decoded[number] for number in numbers])


class VideoFile(NamedTuple):
    """A video file."""

    path: str

    def content(self, base: Path) -> bytes:
        """The file."""
        return (base / self.path).read_bytes()

    def decode(self, base: Path, content: bytes) -> np.ndarray:
        """Decode the middle frame, from the file: videos are decoded by name."""
        frame: np.ndarray = self.read_frames(base, [self.frame_count(base) // 2])[0]
        return frame

    def frame_count(self, base: Path) -> int:
        """Number of frames that can be decoded."""
        return count_frames(base / self.path)

    def read_frames(self, base: Path, numbers: Sequence[int]) -> np.ndarray:
        """Decode the frames with these numbers, and those before them."""
        return read_video(base / self.path, numbers)


class Clips:
    """The clips below a folder: folders of frames, and video files, all at one depth.

    Frames are listed when their clip is taken, so those that nobody labelled cost nothing.

    Args:
        base: The folder.
        depth: How many levels below it clips are.
        follow_links: As in `Layout`.
    """

    def __init__(self, base: Path, depth: int, follow_links: bool) -> None:
        self.base, self._follow = base, follow_links
        self._folders, self._videos = scan_level(base, depth, VIDEO_SUFFIXES, follow_links)
        self._taken: set[str] = set()
        self._missing: list[Skipped] = []
        self._refused = list(self._folders.refused)

    @property
    def paths(self) -> list[str]:
        """All clips, in natural order."""
        return sorted(self._folders.files + self._videos.files, key=natural_key)

    @property
    def missing(self) -> tuple[Skipped, ...]:
        """Clips that were asked for and are not there, or have no frames."""
        return tuple(self._missing)

    @property
    def refused(self) -> tuple[Skipped, ...]:
        """Links that leave the folder."""
        return tuple(self._refused)

    @property
    def left(self) -> tuple[str, ...]:
        """Clips that were not taken."""
        return tuple(path for path in self.paths if path not in self._taken)

    def take(self, *names: str) -> ClipSource | None:
        """The clip with the first of these names (of videos: without suffix) that is there."""
        for name in names:
            folder = self._folders.find(name)
            if folder is not None:
                return self._frames(folder)
            for file in (name, *(name + suffix for suffix in VIDEO_SUFFIXES)):
                video = self._videos.find(file)
                if video is not None:
                    self._taken.add(video)
                    return VideoFile(video)
        self._missing.append(Skipped(names[0], "named by the label file, not there"))
        return None

    def _frames(self, folder: str) -> Frames | None:
        self._taken.add(folder)
        names, refused = files_in(self.base, folder, PICTURE_SUFFIXES, self._follow)
        self._refused += refused
        if not names:
            self._missing.append(Skipped(folder, "a clip without frames"))
            return None
        return Frames.of(folder, names)


def folder_of_clips(layout: Layout, names: Sequence[str]) -> Path:
    """The folder at or below the root with the first of these names; nested ones are seen through.

    Raises:
        UserError: If there is none, or if several could be meant.
    """
    parent = locate(
        layout.root,
        lambda folder: any((folder / name).is_dir() for name in names),
        f"expected a folder {' or '.join(names)}, as in {layout.expects}",
    )
    folder = next(parent / name for name in names if (parent / name).is_dir())
    while (folder / folder.name).is_dir():
        folder = folder / folder.name
    return folder


def split_lists(layout: Layout, names: Sequence[str], what: str) -> dict[Split, Path]:
    """The label files of train and test, in a folder at or below the root.

    They are named alike: one of the owners and one of a re-host count their labels from 1 and 0.

    Args:
        layout: For its root and for messages.
        names: Paths in that folder, with "{split}" in them; the first that fits is taken.
        what: The files in words, for messages.

    Raises:
        UserError: If there are none, or if several folders could be meant.
    """

    def named(folder: Path, split: Split) -> dict[str, Path]:
        paths = {name: folder / name.format(split=split) for name in names}
        return {name: path for name, path in paths.items() if path.is_file()}

    base = locate(
        layout.root,
        lambda folder: bool(named(folder, "train")),
        f"expected {what}, as in {layout.expects}",
    )
    train, test = named(base, "train"), named(base, "test")
    both = next((name for name in train if name in test), None)
    if both is None:
        raise layout.fail(
            f"{next(iter(train.values()))} has no list of the test split beside it, named alike."
        )
    return {"train": train[both], "test": test[both]}


def listed(text: str, origin: str, expected: str) -> Iterator[tuple[int, list[str], str]]:
    """Number of the line, parts of the clip's path, and label, of each line of a list of clips.

    `16,5` and `Action/Happy/0267 Happy` are the owners' lines. Re-hosts write the folder on their
    own machine and often the number of frames: `/data/DFEW/00016 144 4`.

    Raises:
        UserError: Naming the line that is something else.
    """
    for number, line in lines(text):
        fields = [field.strip(' "') for field in line.split(",")]
        if len(fields) == 1:
            fields = line.rsplit(maxsplit=2)
            if len(fields) == 3:
                counted = fields.pop(1)
                if not (counted.isascii() and counted.isdigit()):  # the folder has a space
                    fields = line.rsplit(maxsplit=1)
        if len(fields) != 2 or not all(fields):
            raise wrong_line(origin, number, line, expected)
        yield number, parts_of(fields[0]), fields[1]
