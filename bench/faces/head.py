"""Head, ears, neck, clothes and the lines of the face that belong to no single feature."""

from __future__ import annotations

import math

import numpy as np

from bench.faces.action_units import ActionUnits
from bench.faces.canvas import (
    Fill,
    Points,
    Shape,
    Stroke,
    curve,
    ellipse,
    mixed,
    shaded,
    span,
    through,
    tinted,
)
from bench.faces.face import Face
from bench.faces.identity import Colour, Identity

_LEAST_CREASE = 0.12
"""Creases fainter than this are not drawn: they would only be speckle at 64 pixels."""


def jaw_drop(units: ActionUnits) -> float:
    """Returns by which share the lower half of the face is lengthened by the open jaw."""
    return 0.16 * units.au26 + 0.03 * units.au25


def outline(person: Identity, drop: float, start: float, end: float, count: int = 44) -> Points:
    """Returns part of the head's outline.

    Args:
        person: Whose head.
        drop: Lengthening of the lower half by the open jaw.
        start: Angle of the first point, radians; 0 is the right temple, pi / 2 the chin.
        end: Angle of the last point.
        count: Number of points.
    """
    angles = np.linspace(start, end, count)
    x, y = np.cos(angles), np.sin(angles)
    below = np.maximum(y, 0.0)
    x = x * (1.0 - person.jaw_taper * below**person.jaw_power) * person.head_width
    return curve(x, y * (1.0 + drop * (y > 0.0)) * 0.98)


def crease(path: Points, skin: Colour, depth: float, width: float = 0.022) -> list[Shape]:
    """Returns a line in the skin, darker and wider with depth in [0, 1], or nothing if faint."""
    if depth <= _LEAST_CREASE:
        return []
    colour = shaded(skin, 1.0 - 0.46 * min(1.0, depth))
    return [Stroke(path, colour, width * (0.7 + 0.6 * min(1.0, depth)), "tapered")]


def neck_and_clothes(face: Face) -> list[Shape]:
    """Returns the neck, its shadow and a pullover."""
    skin, clothes = face.identity.skin, face.scene.clothes
    chin = 0.98 * (1.0 + jaw_drop(face.action_units))
    collar = through((-0.42, 1.16), (0.0, 1.34), (0.42, 1.16))
    shoulders = np.concatenate(
        [[(-1.6, 2.2), (-1.35, 1.36), (-0.8, 1.2)], collar, [(0.8, 1.2), (1.35, 1.36), (1.6, 2.2)]]
    )
    neck = np.array([(-0.38, 0.4), (0.38, 0.4), (0.42, 1.3), (0.0, 1.45), (-0.42, 1.3)])
    under_chin = ellipse(0.0, chin - 0.05, 0.42, 0.2)
    return [
        Fill(neck, shaded(skin, 0.82)),
        Fill(under_chin, shaded(skin, 0.55), 0.6, 0.08),
        Fill(shoulders, clothes),
        Stroke(collar, shaded(clothes, 0.7), 0.05),
    ]


def ears(person: Identity) -> list[Shape]:
    """Returns both ears."""
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        x = side * person.head_width
        shapes.append(Fill(ellipse(x * 1.0, 0.02, 0.085, 0.17), shaded(person.skin, 0.88)))
        inner = through((x * 1.04, -0.08), (x * 1.08, 0.02), (x * 1.03, 0.1))
        shapes.append(Stroke(inner, shaded(person.skin, 0.66), 0.03, "tapered"))
    return shapes


def skin_of_face(face: Face, hairline: Points, temple: float) -> list[Shape]:
    """Returns the face below the hairline.

    The upper edge is the hairline itself, so hair can never stick out over the head.

    Args:
        face: The face.
        hairline: Path from the left to the right temple.
        temple: Angle above the horizontal at which the hairline meets the outline, radians.
    """
    drop = jaw_drop(face.action_units)
    edge = outline(face.identity, drop, -temple, math.pi + temple)
    return [Fill(np.concatenate([edge, hairline]), face.identity.skin)]


def cheeks(face: Face) -> list[Shape]:
    """Returns the colour of the cheeks, which AU6 lifts and rounds, and their shadow."""
    units, person = face.action_units, face.identity
    blush = tinted(person.skin, 1.03, 0.84, 0.82)
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        x, y = side * person.head_width * 0.54, 0.24 - 0.08 * units.au06
        radius = 0.17 + 0.04 * units.au06
        shapes.append(
            Fill(ellipse(x, y, radius, 0.75 * radius), blush, 0.40 + 0.35 * units.au06, 0.06)
        )
        if units.au06 > 0.3:
            glow = shaded(person.skin, 1.14)
            top = ellipse(x, y - 0.05, 0.6 * radius, 0.3 * radius)
            shapes.append(Fill(top, glow, 0.5 * units.au06, 0.05))
    return shapes


def face_lines(face: Face) -> list[Shape]:
    """Returns the creases of forehead, glabella, nose root and nose-to-mouth folds."""
    return [*_forehead_lines(face), *_glabella_lines(face), *_folds(face)]


def _forehead_lines(face: Face) -> list[Shape]:
    units, person = face.action_units, face.identity
    lifted = max(units.au01, units.au02)
    depth = max(0.9 * lifted, 0.55 * person.age_lines)
    half = 0.32 if units.au02 > 0.2 or units.au01 < 0.1 else 0.19
    brow = person.eye_height - person.brow_height
    shapes: list[Shape] = []
    for level in (-0.15, -0.22):
        y = brow + level - 0.03 * lifted
        path = curve(half * span(), y + 0.02 * span() ** 2)
        shapes.extend(crease(path, person.skin, depth, 0.020))
    return shapes


def _glabella_lines(face: Face) -> list[Shape]:
    units, person = face.action_units, face.identity
    y = person.eye_height
    frown = max(units.au04, 0.6 * units.au09, 0.35 * person.age_lines)
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        path = through((side * 0.06, y - 0.23), (side * 0.05, y - 0.15), (side * 0.065, y - 0.07))
        shapes.extend(crease(path, person.skin, frown, 0.022))
        # AU9 gathers the skin of the nose into slanted folds; they carry disgust.
        for number in range(3):
            top = y - 0.02 + 0.07 * number
            reach = 0.11 + 0.018 * number
            path = through(
                (side * 0.02, top), (side * 0.6 * reach, top + 0.01), (side * reach, top + 0.065)
            )
            shapes.extend(crease(path, person.skin, 1.1 * units.au09, 0.022))
    return shapes


def _folds(face: Face) -> list[Shape]:
    units, person = face.action_units, face.identity
    wing_x, wing_y = person.nose_width, person.eye_height + 0.10 + person.nose_length
    pulled = units.au12
    depth = max(pulled, 1.1 * units.au09, units.au10, 0.45 * units.au15, 0.55 * person.age_lines)
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        path = through(
            (side * (wing_x + 0.03), wing_y - 0.03 - 0.05 * units.au09),
            (side * (wing_x + 0.13 + 0.07 * pulled), wing_y + 0.08),
            (
                side * (person.mouth_width + 0.07 + 0.10 * pulled),
                person.mouth_height - 0.01 - 0.06 * pulled + 0.06 * units.au15,
            ),
        )
        shapes.extend(crease(path, person.skin, depth, 0.028))
        if person.age_lines > 0.35:
            jowl = through((side * 0.30, 0.66), (side * 0.335, 0.74), (side * 0.32, 0.82))
            shapes.extend(crease(jowl, person.skin, 0.5 * person.age_lines, 0.022))
    return shapes


def nose(face: Face) -> list[Shape]:
    """Returns the bridge, wings and nostrils; AU9 lifts and widens them, AU12 widens them."""
    units, person = face.action_units, face.identity
    skin = person.skin
    top = person.eye_height
    tip = top + 0.10 + person.nose_length - 0.055 * units.au09
    wing = person.nose_width * (1.0 + 0.20 * units.au09 + 0.08 * units.au10 + 0.06 * units.au12)
    bridge = np.array(
        [(-0.045, top), (0.045, top), (0.6 * wing, tip - 0.05), (0.0, tip + 0.02),
         (-0.6 * wing, tip - 0.05)]
    )  # fmt: skip
    # The bridge is outlined on the side that the head is turned to.
    dim = -1.0 if face.scene.pose.yaw > 0 else 1.0
    shapes: list[Shape] = [
        Fill(ellipse(0.0, tip + 0.03, 1.1 * wing, 0.06), shaded(skin, 0.74), 0.55, 0.05),
        Fill(bridge, shaded(skin, 1.13), 0.5, 0.05),
        Stroke(
            through((dim * 0.06, top + 0.02), (dim * 0.07, top + 0.14), (dim * 0.085, tip - 0.08)),
            shaded(skin, 0.80),
            0.026,
            "tapered",
        ),
    ]
    for side in (-1.0, 1.0):
        ala = through(
            (side * 0.82 * wing, tip - 0.06),
            (side * 1.12 * wing, tip),
            (side * 0.80 * wing, tip + 0.04),
        )
        shapes.append(Stroke(ala, shaded(skin, 0.58), 0.03, "tapered"))
        nostril = ellipse(side * 0.46 * wing, tip + 0.03, 0.036, 0.018, 10)
        shapes.append(Fill(nostril, mixed(shaded(skin, 0.32), (60.0, 20.0, 16.0), 0.3)))
    under = through((-0.4 * wing, tip + 0.05), (0.0, tip + 0.065), (0.4 * wing, tip + 0.05))
    shapes.append(Stroke(under, shaded(skin, 0.62), 0.024, "tapered"))
    return shapes
