"""What a face is drawn with: filled paths, strokes and clipped groups, in head coordinates.

The parts of the face are pure functions that return lists of these; nothing is projected or
painted until `canvas.Canvas.paint` receives the whole list, which keeps drawing fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.faces.randomness import Colour
from bench.faces.scene import Pose

Points: TypeAlias = NDArray[np.float64]
"""(N, 2) x and y in head units."""

STROKE_POINTS = 9
"""Every stroke has this many points, so that all strokes of a face are widened in one go."""


@dataclass(slots=True)
class Fill:
    """A filled closed path.

    Attributes:
        path: (N, 2) corners in head units.
        colour: RGB in [0, 255].
        opacity: 0 invisible to 1 solid.
        softness: Width of the soft edge, head units; 0 for a sharp edge.
    """

    path: Points
    colour: Colour
    opacity: float = 1.0
    softness: float = 0.0


@dataclass(slots=True)
class Stroke:
    """A line with a width.

    Attributes:
        path: (9, 2) points in head units.
        colour: RGB in [0, 255].
        width: Greatest width, head units.
        profile: How the width runs along the line, see `width_profile`.
    """

    path: Points
    colour: Colour
    width: float
    profile: str = "even"


@dataclass(slots=True)
class Clipped:
    """A group of shapes of which only what lies inside an outline is seen."""

    outline: Points
    contents: Sequence[Fill | Stroke]


Shape: TypeAlias = Fill | Stroke | Clipped


@cache
def span(count: int = STROKE_POINTS) -> NDArray[np.float64]:
    """Returns evenly spaced numbers from -1 to 1 (shared: do not write to it)."""
    numbers = np.linspace(-1.0, 1.0, count)
    numbers.setflags(write=False)
    return numbers


@cache
def _unit_circle(count: int) -> Points:
    angles = np.arange(count) * (2.0 * np.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


@cache
def _through_weights() -> Points:
    t = np.linspace(0.0, 1.0, STROKE_POINTS)
    return np.stack([(1 - t) * (1 - 2 * t), 4 * t * (1 - t), t * (2 * t - 1)], 1)


@cache
def width_profile(name: str) -> NDArray[np.float64]:
    """Returns the (9,) relative width along a stroke.

    Args:
        name: "even"; "tapered", thin at both ends; "brow", thick at the start, thin at the end.
    """
    if name == "even":
        return np.ones(STROKE_POINTS)
    if name == "tapered":
        return np.sqrt(np.clip(1.0 - np.abs(span()) ** 3, 0.0, 1.0)) * 0.85 + 0.15
    if name == "brow":
        return np.array([0.72, 0.95, 1.0, 1.0, 0.95, 0.86, 0.72, 0.55, 0.30])
    raise ValueError(f"unknown width profile {name!r}")


def ribbon(path: Points, width: float, profile: str) -> Points:
    """Returns the (18, 2) outline of a line of (9, 2) points with a width, see `width_profile`."""
    along = np.gradient(path, axis=0)
    lengths = np.sqrt((along**2).sum(1, keepdims=True)) + 1e-9
    across = (
        along[:, ::-1] * (-1.0, 1.0) / lengths * (0.5 * width * width_profile(profile))[:, None]
    )
    return band(path + across, path - across)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, count: int = 20) -> Points:
    """Returns the (count, 2) outline of an ellipse."""
    return _unit_circle(count) * (radius_x, radius_y) + (x, y)


def squircle(
    x: float, y: float, radius_x: float, radius_y: float, power: float, count: int = 32
) -> Points:
    """Returns the (count, 2) outline of a superellipse; power 2 is round, 4 nearly square."""
    circle = _unit_circle(count)
    return np.sign(circle) * np.abs(circle) ** (2.0 / power) * (radius_x, radius_y) + (x, y)


def through(start: ArrayLike, middle: ArrayLike, end: ArrayLike) -> Points:
    """Returns the (9, 2) parabola through three points."""
    return _through_weights() @ np.array((start, middle, end), dtype=np.float64)


def curve(x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    """Joins coordinates to an (N, 2) path."""
    return np.stack([x, y], 1)


def moved(path: Points, x: float, y: float) -> Points:
    """Shifts a path."""
    shifted: Points = path + np.array((x, y))
    return shifted


def band(upper: Points, lower: Points) -> Points:
    """Closes the region between two curves that run in the same direction."""
    return np.concatenate([upper, lower[::-1]])


def tinted(colour: Colour, red: float, green: float, blue: float) -> Colour:
    """Multiplies the channels of a colour, staying within [0, 255]."""
    return (
        min(255.0, colour[0] * red),
        min(255.0, colour[1] * green),
        min(255.0, colour[2] * blue),
    )


def shaded(colour: Colour, factor: float) -> Colour:
    """Darkens (factor < 1) or lightens a colour."""
    return tinted(colour, factor, factor, factor)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Mixes two colours; `share` is that of the second."""
    return (
        first[0] + (second[0] - first[0]) * share,
        first[1] + (second[1] - first[1]) * share,
        first[2] + (second[2] - first[2]) * share,
    )


# ------------------------------------------------------------------------------------------------
# The canvas: projects head coordinates to pixels and paints shapes.
#
# Geometry is computed in float64 and handed to OpenCV as fixed-point integers; blending is integer
# arithmetic. So the same shapes give the same bytes on any processor.


SIZE = 64
"""Width and height of a finished picture, pixels."""

_FRACTION_BITS = 4
_ONE_PIXEL = 1 << _FRACTION_BITS

Image = NDArray[np.uint8]


class Projection:
    """Maps head coordinates to pixels.

    The face lies on an ellipsoid, which is turned by yaw and pitch, seen from far away, tilted
    by roll, scaled and shifted.

    Args:
        pose: Where the head is and how it is turned.
        head_width: Half width of the head, head units.
        size: Width and height of the picture, pixels.
    """

    def __init__(self, pose: Pose, head_width: float, size: int) -> None:
        self.unit = pose.scale * size
        self.centre_x = (0.5 + pose.shift_x) * size - 0.5
        self.centre_y = (0.5 + pose.shift_y) * size - 0.5
        self._radii = (1.25 * head_width, 1.6)
        self._yaw, self._pitch = pose.yaw, pose.pitch
        cos, sin = math.cos(pose.roll) * self.unit, math.sin(pose.roll) * self.unit
        self._tilt = np.array([[cos, sin], [-sin, cos]])

    def __call__(self, points: Points) -> Points:
        """Projects (N, 2) head coordinates to (N, 2) pixel coordinates."""
        radial = ((points / self._radii) ** 2).sum(1)
        depth = 0.6 * np.sqrt(np.maximum(0.0, 1.0 - radial))
        turned = points * (math.cos(self._yaw), math.cos(self._pitch))
        # The head turns about an axis behind the face, so that its outline stays in place.
        turned[:, 0] += (depth - 0.15) * math.sin(self._yaw)
        turned[:, 1] += (depth - 0.15) * math.sin(self._pitch)
        pixels: Points = turned @ self._tilt + (self.centre_x, self.centre_y)
        return pixels

    def inverse(self, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns the head coordinates of the pixels of a picture, x and y, (size, size) each."""
        across, down = np.meshgrid(np.arange(size) - self.centre_x, np.arange(size) - self.centre_y)
        (cos, sin), _ = self._tilt / self.unit**2
        turned_x, turned_y = cos * across + sin * down, cos * down - sin * across
        x, y = turned_x, turned_y
        for _ in range(2):  # converges fast: depth changes little from one pixel to the next
            radial = (x / self._radii[0]) ** 2 + (y / self._radii[1]) ** 2
            depth = 0.6 * np.sqrt(np.maximum(0.0, 1.0 - radial)) - 0.15
            x = (turned_x - depth * math.sin(self._yaw)) / math.cos(self._yaw)
            y = (turned_y - depth * math.sin(self._pitch)) / math.cos(self._pitch)
        return x, y


class Canvas:
    """A picture on which shapes are painted, one over the other.

    Args:
        image: (S, S, 3) uint8 background; painted in place.
        projection: The mapping from head coordinates to this picture's pixels.
    """

    def __init__(self, image: Image, projection: Projection) -> None:
        self.image = image
        self._projection = projection
        self._mask = np.zeros(image.shape[:2], np.uint8)

    def paint(self, shapes: Sequence[Shape]) -> None:
        """Paints shapes in order."""
        corners = iter(self._corners(shapes))
        for shape in shapes:
            if isinstance(shape, Clipped):
                outline = next(corners)
                beneath = self.image.copy()
                for content in shape.contents:
                    self._paint_one(content, next(corners))
                self._restore_outside(outline, beneath)
            else:
                self._paint_one(shape, next(corners))

    def _corners(self, shapes: Sequence[Shape]) -> list[NDArray[np.int32]]:
        """Projects all paths at once; returns fixed-point polygons in painting order."""
        paths: list[Points] = []
        strokes: dict[int, Stroke] = {}
        for shape in shapes:
            paths.append(shape.outline if isinstance(shape, Clipped) else shape.path)
            if isinstance(shape, Stroke):
                strokes[len(paths) - 1] = shape
            if isinstance(shape, Clipped):
                for content in shape.contents:
                    paths.append(content.path)
                    if isinstance(content, Stroke):
                        strokes[len(paths) - 1] = content
        ends = np.cumsum([len(path) for path in paths]).tolist()
        pixels = self._projection(np.concatenate(paths))
        fixed = to_fixed(pixels)
        polygons = [fixed[end - len(path) : end] for path, end in zip(paths, ends, strict=True)]
        if strokes:
            starts = np.array([ends[number] - STROKE_POINTS for number in strokes])
            lines = pixels[starts[:, None] + np.arange(STROKE_POINTS)]
            for number, ribbon in zip(strokes, self._widen(lines, strokes), strict=True):
                polygons[number] = ribbon
        return polygons

    def _widen(self, lines: NDArray[np.float64], strokes: dict[int, Stroke]) -> NDArray[np.int32]:
        """Turns (K, 9, 2) centre lines into (K, 18, 2) fixed-point ribbons."""
        widths = np.array([stroke.width for stroke in strokes.values()]) * self._projection.unit
        profiles = np.stack([width_profile(stroke.profile) for stroke in strokes.values()])
        # A polygon's antialiased edge adds about half a pixel on either side.
        halves = np.maximum(widths[:, None] * profiles * 0.5 - 0.4, 0.05)[..., None]
        along = np.empty_like(lines)
        along[:, 1:-1] = lines[:, 2:] - lines[:, :-2]
        along[:, 0] = lines[:, 1] - lines[:, 0]
        along[:, -1] = lines[:, -1] - lines[:, -2]
        lengths = np.sqrt((along**2).sum(2, keepdims=True)) + 1e-9
        across = along[..., ::-1] * (-1.0, 1.0) / lengths * halves
        ribbons = np.concatenate([lines + across, (lines - across)[:, ::-1]], 1)
        return to_fixed(ribbons)

    def _paint_one(self, shape: Fill | Stroke, corners: NDArray[np.int32]) -> None:
        if isinstance(shape, Stroke) or (shape.opacity == 1.0 and shape.softness == 0.0):
            fill_polygon(self.image, corners, shape.colour)
            return
        softness = int(shape.softness * self._projection.unit)
        region = self._region(corners, softness)
        if region is None:
            return
        mask = self._mask[region]
        cv2.fillPoly(self._mask, [corners], round(255 * shape.opacity), cv2.LINE_AA, _FRACTION_BITS)
        # An odd width makes every mean of a box either exact or clear of a rounding tie.
        soft = cv2.blur(mask, (2 * softness + 1,) * 2) if softness else mask.copy()
        mask[:] = 0
        colour = np.array([round(channel) for channel in shape.colour], np.uint16)
        self.image[region] = _blend(self.image[region], colour, soft)

    def _restore_outside(self, outline: NDArray[np.int32], beneath: Image) -> None:
        """Puts back what was there before, except inside an outline."""
        region = self._region(outline, 0)
        if region is not None:
            mask = self._mask[region]
            cv2.fillPoly(self._mask, [outline], 255, cv2.LINE_AA, _FRACTION_BITS)
            inside = self.image[region].astype(np.uint16)
            beneath[region] = _blend(beneath[region], inside, mask)
            mask[:] = 0
        self.image[:] = beneath

    def _region(self, corners: NDArray[np.int32], margin: int) -> tuple[slice, slice] | None:
        """Returns the rows and columns that a polygon can touch, or None if it is out of view."""
        x_low, y_low = (int(low) >> _FRACTION_BITS for low in corners.min(0))
        x_high, y_high = (int(high) >> _FRACTION_BITS for high in corners.max(0))
        # Two pixels for the antialiased edge.
        rows = slice(max(0, y_low - margin - 2), max(0, y_high + margin + 3))
        columns = slice(max(0, x_low - margin - 2), max(0, x_high + margin + 3))
        size = len(self._mask)
        seen = rows.start < min(rows.stop, size) and columns.start < min(columns.stop, size)
        return (rows, columns) if seen else None


def fill_polygon(image: Image, corners: NDArray[np.int32], colour: Colour | int) -> None:
    """Fills a polygon given in fixed-point pixels, antialiased, in place."""
    solid = colour if isinstance(colour, int) else tuple(round(channel) for channel in colour)
    cv2.fillPoly(image, [corners], solid, cv2.LINE_AA, _FRACTION_BITS)


def to_fixed(pixels: Points) -> NDArray[np.int32]:
    """Rounds pixel coordinates to the fixed-point integers that `fill_polygon` takes."""
    fixed: NDArray[np.int32] = np.rint(pixels * _ONE_PIXEL).astype(np.int32)
    return fixed


def _blend(below: Image, above: NDArray[np.uint16], mask: Image) -> Image:
    """Mixes two pictures by a mask of 0 to 255, rounded exactly, in 16-bit integers."""
    weight = mask[..., None].astype(np.uint16)
    total = below * (255 - weight) + above * weight + np.uint16(128)
    return ((total + (total >> 8)) >> 8).astype(np.uint8)
