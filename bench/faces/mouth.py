"""The mouth: lips, teeth, tongue and the creases of the chin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.faces.canvas import (
    Clipped,
    Fill,
    Points,
    Shape,
    Stroke,
    band,
    curve,
    ellipse,
    mixed,
    moved,
    shaded,
    span,
    through,
    tinted,
)
from bench.faces.face import Face
from bench.faces.head import crease
from bench.faces.identity import Colour

_POINTS = 17
_LEAST_GAP = 0.022
"""Lips closer than this are drawn closed."""


@dataclass(frozen=True, slots=True)
class Mouth:
    """The four edges of the lips, (17, 2) each, from the picture's left to its right.

    Attributes:
        outer_upper: Upper edge of the upper lip.
        inner_upper: Lower edge of the upper lip.
        inner_lower: Upper edge of the lower lip.
        outer_lower: Lower edge of the lower lip.
        gap: Height of the opening in the middle, head units.
    """

    outer_upper: Points
    inner_upper: Points
    inner_lower: Points
    outer_lower: Points
    gap: float


def mouth_of(face: Face) -> Mouth:
    """Returns the shape of the mouth under the action units of the lower face."""
    units, person, moment = face.action_units, face.identity, face.scene.asymmetry
    t = span(_POINTS)
    upper, lower = _openings(face)
    half = person.mouth_width * _widening(face)
    raised = 0.025 * units.au09 + 0.02 * units.au10 + 0.03 * units.au17
    centre = person.mouth_height + 0.02 * units.au26 + 0.045 * units.au12 - raised
    # The corners go down with the jaw, otherwise surprise smiles.
    corner = (
        centre
        + person.mouth_curve
        - 0.185 * units.au12
        + 0.125 * units.au15
        + 0.045 * units.au20
        + 0.11 * units.au26 * (1.0 - 0.6 * units.au12)
        + 0.03 * units.au10
    )
    middle = centre - 0.045 * units.au15
    arch = 1.0 - np.abs(t) ** (2.0 + 0.7 * units.au26 + 1.2 * units.au10 + 0.6 * units.au20)
    ends = corner + moment.mouth_slant * t
    inner_upper = ends + (middle - upper - ends) * arch
    inner_lower = ends + (max(middle + lower, middle - upper + 0.003) - ends) * arch
    fullness = person.lip_thickness * _fullness(face) * np.sqrt(1.0 - t * t)
    cupid = 1.0 - 0.20 * np.exp(-((t / 0.16) ** 2))
    x = half * t
    return Mouth(
        outer_upper=curve(x, inner_upper - 0.95 * fullness * cupid),
        inner_upper=curve(x, inner_upper),
        inner_lower=curve(x, inner_lower),
        outer_lower=curve(x, inner_lower + 1.25 * fullness),
        gap=float(inner_lower[_POINTS // 2] - inner_upper[_POINTS // 2]),
    )


def _openings(face: Face) -> tuple[float, float]:
    """Returns how far the upper lip is above and the lower lip below the middle of the mouth."""
    units, teeth = face.action_units, face.scene.asymmetry.teeth
    # A broad smile shows teeth, in some people more than in others.
    smile = units.au12 * max(0.0, min(1.0, (units.au12 - 0.25) * 2.0)) * (0.35 + 0.65 * teeth)
    upper = (
        0.02 * units.au25 + 0.085 * units.au10 + 0.035 * units.au09 + 0.02 * smile
        + 0.075 * units.au26 + 0.035 * units.au20
    )  # fmt: skip
    lower = (
        0.07 * units.au25 + 0.30 * units.au26 + 0.075 * units.au16 + 0.15 * smile
        + 0.045 * units.au20 - 0.02 * units.au17
    )  # fmt: skip
    closed = 1.0 - 0.9 * units.au23 * (1.0 - units.au26)
    return upper * closed, lower * closed


def _widening(face: Face) -> float:
    units = face.action_units
    rounded = 0.32 * units.au26 * (1.0 - min(1.0, 1.3 * units.au20)) * (1.0 - units.au12)
    return (
        1.0 + 0.36 * units.au12 + 0.38 * units.au20 - 0.16 * units.au23 - rounded
        - 0.05 * units.au15 + 0.05 * units.au10
    )  # fmt: skip


def _fullness(face: Face) -> float:
    units = face.action_units
    thinned = 0.62 * units.au23 + 0.22 * units.au12 + 0.25 * units.au20 + 0.15 * units.au10
    return max(0.3, 1.0 - thinned)


def lip_colour(face: Face) -> Colour:
    """Returns the RGB of the lips."""
    person = face.identity
    red = tinted(shaded(person.skin, 0.92), 1.08, 0.66, 0.68)
    return mixed(mixed(person.skin, red, 0.6), red, person.lip_redness)


def mouth(face: Face, shape: Mouth) -> list[Shape]:
    """Returns lips, the inside of the mouth and the creases around it."""
    skin, lips = face.identity.skin, lip_colour(face)
    arch = (1.0 - span(_POINTS) ** 2) * 0.075
    shadow = band(shape.outer_lower, shape.outer_lower + curve(0.0 * arch, arch))
    upper = band(shape.outer_upper, shape.inner_upper)
    shapes: list[Shape] = [
        Fill(shadow, shaded(skin, 0.70), 0.5, 0.035),
        Fill(band(shape.outer_upper, shape.outer_lower), lips),
        Fill(upper, shaded(lips, 0.84)),
    ]
    if shape.gap > _LEAST_GAP:
        opening = band(shape.inner_upper, shape.inner_lower)
        shapes.append(Clipped(opening, _inside(face, shape)))
        shapes.append(Stroke(shape.inner_upper[::2], shaded(lips, 0.55), 0.022, "tapered"))
    else:
        line = 0.5 * (shape.inner_upper + shape.inner_lower)[::2]
        shapes.append(Stroke(line, shaded(mixed(skin, lips, 0.5), 0.30), 0.034, "tapered"))
    return [*shapes, *_chin_creases(face, shape)]


def _inside(face: Face, shape: Mouth) -> list[Fill | Stroke]:
    """Returns cavity, tongue and teeth; they are clipped to the opening."""
    units = face.action_units
    everything = band(moved(shape.inner_upper, 0.0, -0.1), moved(shape.inner_lower, 0.0, 0.1))
    contents: list[Fill | Stroke] = [Fill(everything, (54.0, 18.0, 20.0))]
    middle = shape.inner_lower[_POINTS // 2]
    if shape.gap > 0.14:
        tongue = ellipse(float(middle[0]), float(middle[1]) + 0.02, 0.15, 0.35 * shape.gap)
        contents.append(Fill(tongue, (172.0, 76.0, 78.0)))
    height = min(0.07, 0.55 * shape.gap)
    teeth = (234.0, 228.0, 218.0)
    gums = moved(shape.inner_upper, 0.0, -0.05)
    contents.append(Fill(band(gums, moved(shape.inner_upper, 0.0, height)), teeth))
    if units.au16 > 0.3 or units.au20 > 0.4:
        gums = moved(shape.inner_lower, 0.0, 0.05)
        row = band(moved(shape.inner_lower, 0.0, -0.6 * height), gums)
        contents.append(Fill(row, shaded(teeth, 0.94)))
    return contents


def _chin_creases(face: Face, shape: Mouth) -> list[Shape]:
    units, skin, beard = face.action_units, face.identity.skin, face.identity.beard
    shapes: list[Shape] = []
    if beard == "full":
        return shapes
    for place, side in ((0, -1.0), (_POINTS - 1, 1.0)):
        x, y = shape.inner_upper[place].tolist()
        hanging = through(
            (x + side * 0.02, y - 0.01), (x + side * 0.045, y + 0.04), (x + side * 0.04, y + 0.10)
        )
        shapes.extend(crease(hanging, skin, units.au15, 0.026))
        dimple = through(
            (x + side * 0.035, y - 0.05), (x + side * 0.06, y), (x + side * 0.045, y + 0.05)
        )
        shapes.extend(crease(dimple, skin, max(units.au12, 0.8 * units.au20), 0.024))
    if beard == "goatee":
        return shapes
    low = min(0.86, float(shape.outer_lower[:, 1].max()) + 0.09)
    boss = through((-0.13, low + 0.025), (0.0, low - 0.01), (0.13, low + 0.025))
    depth = max(0.6 * units.au15, units.au17, 0.7 * units.au23)
    shapes.extend(crease(boss, skin, depth, 0.024))
    return shapes
