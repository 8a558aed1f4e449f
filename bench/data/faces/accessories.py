"""Glasses and the small objects that hide a part of the face."""

from __future__ import annotations

import math

import numpy as np

from bench.data.faces.face import Face
from bench.data.faces.shapes import (
    STROKE_POINTS,
    Fill,
    Points,
    Shape,
    Stroke,
    ellipse,
    shaded,
    squircle,
    through,
)

_FRAME_WIDTH = 0.036


def glasses(face: Face) -> list[Shape]:
    """Returns a pair of glasses, or nothing."""
    person = face.identity
    if not person.glasses:
        return []
    colour, y = person.glasses_colour, person.eye_height + 0.02
    radius_x, radius_y = person.eye_spacing - 0.07, 0.165
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        x = side * person.eye_spacing
        rim = squircle(x, y, radius_x, radius_y, person.glasses_squareness, 32)
        shapes.append(Fill(rim, (225.0, 235.0, 240.0), 0.10))
        shapes.extend(_closed(rim, colour))
        hinge = x + side * radius_x
        arm = through(
            (hinge, y - 0.05),
            (0.5 * (hinge + side * person.head_width), y - 0.055),
            (side * person.head_width * 0.985, y - 0.06),
        )
        shapes.append(Stroke(arm, colour, _FRAME_WIDTH))
    bridge = through(
        (radius_x - person.eye_spacing, y - 0.02),
        (0.0, y - 0.05),
        (person.eye_spacing - radius_x, y - 0.02),
    )
    shapes.append(Stroke(bridge, colour, _FRAME_WIDTH))
    return shapes


def _closed(path: Points, colour: tuple[float, float, float]) -> list[Shape]:
    """Returns strokes that run once around a closed path of 32 points."""
    ring = np.concatenate([path, path[:1]])
    step = STROKE_POINTS - 1
    return [
        Stroke(ring[start : start + STROKE_POINTS], colour, _FRAME_WIDTH)
        for start in range(0, len(path), step)
    ]


def occluder(face: Face) -> list[Shape]:
    """Returns the object before the face, or nothing."""
    thing = face.scene.occluder
    if thing is None:
        return []
    if thing.kind == "disc":
        rim = ellipse(thing.x, thing.y, thing.size, thing.size)
        inner = ellipse(thing.x - 0.03, thing.y - 0.03, 0.7 * thing.size, 0.7 * thing.size)
        return [Fill(rim, shaded(thing.colour, 0.8)), Fill(inner, thing.colour)]
    along = np.array((math.cos(thing.angle), math.sin(thing.angle)))
    across = along[::-1] * (-1.0, 1.0)
    centre = np.array((thing.x, thing.y))
    if thing.kind == "bar":
        return [_finger(centre, along, across, 3.0 * thing.size, 0.55 * thing.size, thing.colour)]
    # A hand: three fingers that come in from the nearer side.
    along = np.array((math.copysign(1.0, thing.x), 0.35))
    across = np.array((-along[1], along[0]))
    skin = shaded(face.identity.skin, 0.94)
    shapes: list[Shape] = []
    for number in (-1.0, 0.0, 1.0):
        middle = centre + across * (0.10 * number) + along * (0.30 - 0.05 * abs(number))
        shapes.append(_finger(middle, along, across, 0.36, 0.062, shaded(skin, 0.62)))
        shapes.append(_finger(middle, along, across, 0.345, 0.048, skin))
    return shapes


def _finger(
    centre: Points, along: Points, across: Points, reach: float, half_width: float,
    colour: tuple[float, float, float],
) -> Fill:  # fmt: skip
    """Returns a long rounded bar around a centre."""
    bar = squircle(0.0, 0.0, reach, half_width, 3.0, 24)
    return Fill(centre + bar[:, :1] * along + bar[:, 1:] * across, colour)
