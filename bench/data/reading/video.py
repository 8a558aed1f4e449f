"""Video files as frames by number, decoded from the first one on.

Seeking by time or number lands on different frames with different codecs and versions; counting
frames from the beginning does not.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from bench.data.reading.images import MAX_PIXELS, UnreadablePicture
from bench.data.reading.tree import stamp

#: Suffixes of files that readers take for clips; compare with `path.suffix.lower()`.
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".webm")

# What goes wrong is told by `UnreadablePicture`; FFmpeg would write to the terminal as well.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# Containers that estimate their number of frames from the duration may be a little off.
_SLACK_FRAMES, _SLACK_SHARE = 2, 0.05


def count_frames(path: Path) -> int:
    """How many frames of a video can be decoded; counted once per process and state of the file.

    Raises:
        UnreadablePicture: If there are none, or clearly fewer than its header announces.
    """
    return _count(path, stamp(str(path.parent), path.name))


def read_video(path: Path, numbers: Sequence[int]) -> np.ndarray:
    """Decode the frames with these numbers (from 0, in any order), uint8 RGB (T, H, W, 3), upright.

    Raises:
        UnreadablePicture: If the video cannot be decoded that far.
    """
    wanted, decoded = set(numbers), {}
    with _opened(path) as video:
        for number in range(max(wanted) + 1):
            if not video.grab():
                raise UnreadablePicture(f"ends after {number} frames")
            if number in wanted:
                found, frame = video.retrieve()
                if not found:
                    raise UnreadablePicture(f"its frame {number} cannot be decoded")
                decoded[number] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    if len({frame.shape for frame in decoded.values()}) > 1:
        raise UnreadablePicture("its frames have several sizes")
    return np.stack([decoded[number] for number in numbers])


@lru_cache(maxsize=1 << 16)
def _count(path: Path, state: tuple[int, ...]) -> int:
    """The file's `stamp` is part of the key only."""
    with _opened(path) as video:
        announced = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        count = 0
        while video.grab():
            count += 1
    if count == 0:
        raise UnreadablePicture("none of its frames can be decoded")
    if announced - count > max(_SLACK_FRAMES, _SLACK_SHARE * announced):
        raise UnreadablePicture(f"{count} of {announced} frames can be decoded; it is cut off")
    return count


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise UnreadablePicture(error.strerror or "cannot be opened") from error
    if not _is_container(start):
        # FFmpeg guesses formats by content, and some of them are lists of other files.
        raise UnreadablePicture("it is no MP4, MOV, AVI or WebM")
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not video.isOpened():
            raise UnreadablePicture("cannot be decoded: it is damaged or its codec is unknown")
        width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if not 0 < width * height <= MAX_PIXELS:
            raise UnreadablePicture(f"its frames have {width * height:,.0f} pixels")
        yield video
    except cv2.error as error:
        raise UnreadablePicture(f"cannot be decoded: {error.err}") from error
    finally:
        video.release()


def _is_container(start: bytes) -> bool:
    iso = start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
    avi = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    return iso or avi or start[:4] == b"\x1a\x45\xdf\xa3"
