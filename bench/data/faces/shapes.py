"""What a face is drawn with: filled paths, strokes and clipped groups, in head coordinates.

The parts of the face are pure functions that return lists of these; nothing is projected or
painted until `canvas.Canvas.paint` receives the whole list, which keeps drawing fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.data.faces.identity import Colour

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
