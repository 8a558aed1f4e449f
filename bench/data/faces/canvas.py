"""The canvas: projects head coordinates to pixels and paints shapes.

Geometry is computed in float64 and handed to OpenCV as fixed-point integers; blending is integer
arithmetic. So the same shapes give the same bytes on any processor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.faces.identity import Colour
from bench.data.faces.scene import Pose
from bench.data.faces.shapes import (
    STROKE_POINTS,
    Clipped,
    Fill,
    Points,
    Shape,
    Stroke,
    width_profile,
)

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
