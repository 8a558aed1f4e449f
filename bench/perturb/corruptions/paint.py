"""Smooth-edged areas and lines on a picture of a face."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = tuple[int, int, int]
Points = NDArray[np.float64]

_FRACTION = 6  # binary digits of a coordinate below one pixel


class Sketch:
    """Paints on a picture in units of the face.

    The origin lies between the eyes, x to the right, y down; 1 is the distance to the mouth.

    Args:
        picture: uint8 RGB (H, W, 3), painted in place.
        eyes: Height of the eyes, a share of the picture's height from the top.
        mouth: Height of the mouth, likewise.
    """

    def __init__(self, picture: np.ndarray, eyes: float, mouth: float) -> None:
        height, width, _ = picture.shape
        self.picture = picture
        self._unit = (mouth - eyes) * height
        self._origin = np.array((width / 2, eyes * height)) - 0.5

    def area(
        self, points: ArrayLike, colour: Colour, opacity: float, outline: Colour | None
    ) -> None:
        """Fill a polygon (M, 2), and draw its outline if that has a colour."""
        stencil = np.zeros(self.picture.shape[:2], np.uint8)
        cv2.fillPoly(stencil, [self._fixed(points)], 255, cv2.LINE_AA, _FRACTION)
        self._blend(stencil, colour, opacity)
        if outline is not None:
            closed = np.asarray(points, np.float64)
            self.line(np.concatenate([closed, closed[:1]]), outline, 0.03)

    def line(self, points: ArrayLike, colour: Colour, width: float) -> None:
        """Draw a path (M, 2) of a width in units of the face, at least one pixel."""
        stencil = np.zeros(self.picture.shape[:2], np.uint8)
        thickness = max(1, round(width * self._unit))
        path = [self._fixed(points)]
        cv2.polylines(stencil, path, False, 255, thickness, cv2.LINE_AA, _FRACTION)
        self._blend(stencil, colour, 1.0)

    def _fixed(self, points: ArrayLike) -> NDArray[np.int32]:
        pixels = self._origin + self._unit * np.asarray(points, np.float64)
        return np.rint(pixels * (1 << _FRACTION)).astype(np.int32)

    def _blend(self, stencil: NDArray[np.uint8], colour: Colour, opacity: float) -> None:
        left, top, width, height = cv2.boundingRect(stencil)
        part = slice(top, top + height), slice(left, left + width)
        weight = np.rint(stencil[part] * opacity).astype(np.int32)[..., None]
        below = self.picture[part].astype(np.int32)
        mixed = below * (255 - weight) + np.array(colour, np.int32) * weight
        self.picture[part] = (mixed + 127) // 255


def drawn_over(
    pictures: np.ndarray,
    draws: Sequence[np.random.Generator],
    eyes: float,
    mouth: float,
    paint: Callable[[Sketch, np.random.Generator], None],
) -> np.ndarray:
    """Copies of pictures (N, H, W, 3) with something painted on each by its own generator.

    Raises:
        ValueError: If the eyes are not above the mouth.
    """
    if not eyes < mouth:
        raise ValueError(f"the eyes, at {eyes}, must be above the mouth, at {mouth}")
    out = pictures.copy()
    for picture, generator in zip(out, draws, strict=True):
        paint(Sketch(picture, eyes, mouth), generator)
    return out


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made darker (below 1) or lighter."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def picked(colours: Sequence[Colour], share: float) -> Colour:
    """The colour at a share in [0, 1) of a list."""
    return colours[int(share * len(colours))]


def superellipse(x: float, y: float, half_width: float, half_height: float, power: float) -> Points:
    """An ellipse at power 2, a rounded rectangle above it, (40, 2)."""
    turn = np.linspace(0.0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    shape = np.sign(circle) * np.abs(circle) ** (2.0 / power)
    return np.array((x, y)) + shape * (half_width, half_height)


def finger(x: float, y: float, angle: float, length: float, half_width: float) -> Points:
    """A rounded bar from (x, y), at `angle` (radians) from straight along y, (11, 2)."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 9)
    end = np.stack([np.sin(turn), np.cos(turn) - 1.0], axis=-1) * half_width + (0.0, length)
    bar = np.concatenate([[(-half_width, 0.0)], end, [(half_width, 0.0)]])
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array((x, y)) + bar @ np.array([[cosine, -sine], [sine, cosine]])
