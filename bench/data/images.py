"""Files of pictures as upright 8-bit RGB, whatever they hold; one error for all that fails."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from bench.data.tree import stamp

#: Suffixes of files that readers take for pictures; compare with `path.suffix.lower()`.
PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"}
)

#: Larger pictures are refused: a run holds a hundred bytes and more for each of their pixels.
MAX_PIXELS = 25_000_000

#: Larger photographs are refused before they are decoded, also where only a box of them is used.
MAX_PHOTOGRAPH = 128_000_000

# By content, not by suffix: pictures from the web are often named .jpg whatever they are. Nothing
# else may be opened, since some of Pillow's formats run other programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")

_STRIP = 8_000_000  # pixels

_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 258, 262
_WHITE_IS_ZERO = 0
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadablePicture(Exception):
    """Why a file gives no picture, in words without its path; the reader knows the path."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the upright picture; it may stick out of it."""

    left: int
    top: int
    width: int
    height: int

    def within(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom (exclusive) of the part inside a picture of that size.

        Raises:
            UnreadablePicture: If no pixel is inside.
        """
        left, top = max(self.left, 0), max(self.top, 0)
        right = min(self.left + self.width, width)
        bottom = min(self.top + self.height, height)
        if left >= right or top >= bottom:
            raise UnreadablePicture(
                f"the box of {self.width}x{self.height} pixels at ({self.left}, {self.top}) has "
                f"none of the picture's {width}x{height}"
            )
        return left, top, right, bottom


def read_picture(file: Path | bytes, box: Box | None = None) -> np.ndarray:
    """Decode one file, upright, as uint8 RGB (H, W, 3), read-only.

    Grey, palette and CMYK become RGB, 16 bits are scaled to 8, transparency is dropped, and of an
    animation the first frame is taken.

    Args:
        file: The file, or its bytes; a suffix does not matter.
        box: Only this part of it; what sticks out of the picture is cut off.

    Raises:
        UnreadablePicture: If it cannot be decoded to the end, holds numbers without a fixed white,
            has more than `MAX_PIXELS` (inside the box) or nothing inside the box.
    """
    # Pillow and not OpenCV, which decodes a JPEG of 100x100 in half the time and to the same bytes:
    # it returns truncated files with their lower part grey, and lets no one know.
    with _opened(file) as image:
        orientation = _orientation(image)
        if box is None or box.width * box.height > MAX_PIXELS:
            _require_pixels(image.width * image.height, MAX_PIXELS)
        image.load()
        picture = _eight_bits(image)
        # Pillow turns TIFFs on its own.
        if orientation in _UPRIGHT and not isinstance(image, TiffImageFile):
            picture = picture.transpose(_UPRIGHT[orientation])
        if box is not None:
            picture = picture.crop(box.within(picture.height, picture.width))
        return _rgb(picture)


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Image.Image]:
    """The picture, not yet decoded; whatever fails inside becomes `UnreadablePicture`."""
    try:
        with warnings.catch_warnings():
            # Of large pictures, which are judged here, and of odd metadata, which do not matter.
            warnings.simplefilter("ignore")
            # A file and not its name, or Pillow maps it into memory, where turned TIFFs go wrong.
            opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
            with opened as file, Image.open(file, formats=_FORMATS) as image:
                _require_pixels(image.width * image.height, MAX_PHOTOGRAPH)
                yield image
    except UnreadablePicture:
        raise
    except FileNotFoundError:
        raise UnreadablePicture("there is no such file") from None
    except Image.DecompressionBombError:
        raise UnreadablePicture(f"it has more than {MAX_PHOTOGRAPH:,} pixels") from None
    except UnidentifiedImageError:
        if (len(source) if isinstance(source, bytes) else source.stat().st_size) == 0:
            raise UnreadablePicture("the file is empty") from None
        raise UnreadablePicture("it is no JPEG, PNG, BMP, GIF, WebP or TIFF") from None
    except Exception as error:  # decoders raise almost anything on bytes that are not what they say
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadablePicture(f"cannot be decoded: {reason}") from error


def _require_pixels(pixels: int, most: int) -> None:
    if not 0 < pixels <= most:
        raise UnreadablePicture(
            f"it has {pixels:,} pixels, not 1 to {most:,}; crop it to the face or save it smaller"
        )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, as it stands before the pixels; 1 if there is none."""
    try:
        # The method of PNG would decode the picture to look for EXIF behind it.
        value = Image.Image.getexif(image).get(_ORIENTATION)
    except Exception:  # broken metadata do not make a picture unreadable
        return 1
    return value if value in _UPRIGHT else 1


def _rgb(picture: Image.Image) -> np.ndarray:
    """uint8 RGB (H, W, 3), read-only; large ones in strips, for Pillow needs thrice the memory."""
    width, height = picture.size
    rows = max(1, _STRIP // width)
    if rows >= height:
        return np.asarray(picture.convert("RGB"))
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, width, bottom)).convert("RGB"))
    pixels.flags.writeable = False
    return pixels


def _eight_bits(image: Image.Image) -> Image.Image:
    """The decoded picture with 8 bits a channel: the upper ones, as Pillow does with 16-bit RGB."""
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise UnreadablePicture(
            "its pixels are 32-bit or signed numbers, of which none is known to be white; "
            "save it with 8 or 16 bits"
        )
    if not image.mode.startswith("I"):
        return image
    values, bits = np.asarray(image), 16
    if isinstance(image, TiffImageFile):
        bits = image.tag_v2[_BITS][0]
        if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # not minded by Pillow at 16 bits
            values = 2**bits - 1 - values
    return Image.fromarray((values >> (bits - 8)).astype(np.uint8))


# ------------------------------------------------------------------------------------------------
# Video files as frames by number, decoded from the first one on
#
# Seeking by time or number lands on different frames with different codecs and versions; counting
# frames from the beginning does not.
# ------------------------------------------------------------------------------------------------

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
    with _video(path) as video:
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
    with _video(path) as video:
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
def _video(path: Path) -> Iterator[cv2.VideoCapture]:
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
