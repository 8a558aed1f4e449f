"""Hair, scarf and beard; glasses and what else hides a part of the face."""

from __future__ import annotations

import math

import numpy as np

from bench.faces.canvas import (
    STROKE_POINTS,
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
    squircle,
    through,
)
from bench.faces.face import Face, Identity
from bench.faces.features import Mouth, jaw_drop, outline
from bench.faces.randomness import Colour

_CAP_POINTS = 91
"""Points along the outer edge of the hair; enough for the bumps of curls."""

_TEMPLES = {
    "bald": 0.05,
    "cropped": 0.40,
    "parted": 0.34,
    "fringe": 0.34,
    "long": 0.30,
    "curly": 0.32,
    "bun": 0.42,
    "scarf": 0.30,
}
"""Angle over the horizontal at which each style's hairline meets the outline, radians."""


def temple_angle(person: Identity) -> float:
    """Returns the angle over the horizontal at which the hairline meets the outline."""
    return _TEMPLES[person.hair_style]


def hairline(person: Identity) -> Points:
    """Returns the (21, 2) edge of the hair over the face, from the left to the right temple."""
    temple = temple_angle(person)
    if person.hair_style == "bald":
        return outline(person, 0.0, math.pi + temple, 2.0 * math.pi - temple, 21)
    t = span(21)
    x = t * person.head_width * math.cos(temple)
    end = -0.98 * math.sin(temple)
    middle = person.hairline
    if person.hair_style == "parted":
        # The parting is on the left: the hair falls from there to the right.
        rise = 1.0 - np.abs((t + 0.35) / np.where(t < -0.35, 0.65, 1.35)) ** 2.2
    elif person.hair_style == "fringe":
        middle = max(middle, -0.62) + 0.06
        rise = 1.0 - np.abs(t) ** 5
    elif person.hair_style in ("long", "scarf"):
        rise = 1.0 - np.abs(t) ** 2.4
    else:
        rise = 1.0 - np.abs(t) ** 3.2
    return curve(x, end + (middle - end) * rise)


def behind_the_head(person: Identity) -> list[Shape]:
    """Returns the hair or scarf that hangs behind neck and head."""
    width, colour = person.head_width, shaded(person.hair_colour, 0.72)
    if person.hair_style == "long":
        path = squircle(0.0, 0.12, width * 1.24, 1.22, 2.7)
        return [Fill(path, colour)]
    if person.hair_style == "scarf":
        path = squircle(0.0, 0.25, width * 1.26, 1.42, 2.4)
        return [Fill(path, shaded(person.scarf_colour, 0.8))]
    if person.hair_style == "bun":
        return [Fill(ellipse(0.0, -1.12, 0.3, 0.24), shaded(person.hair_colour, 0.85))]
    return []


def scarf_front(person: Identity) -> list[Shape]:
    """Returns the part of a scarf that covers neck and shoulders."""
    if person.hair_style != "scarf":
        return []
    colour = person.scarf_colour
    path = np.array(
        [(-0.86, 0.2), (0.86, 0.2), (0.9, 0.9), (1.2, 1.4), (1.2, 2.2), (-1.2, 2.2), (-1.2, 1.4),
         (-0.9, 0.9)]
    ) * (person.head_width / 0.75, 1.0)  # fmt: skip
    fold = through((-0.7, 0.75), (0.1, 1.25), (0.8, 1.2))
    return [Fill(path, colour), Stroke(fold, shaded(colour, 0.7), 0.05, "tapered")]


def cap_of_hair(person: Identity) -> list[Shape]:
    """Returns the hair on the skull; the face is painted over its lower edge."""
    style = person.hair_style
    if style == "bald":
        return []
    colour = person.scarf_colour if style == "scarf" else person.hair_colour
    # How far the hair stands off the skull, and how far below the horizontal it grows (radians).
    volume = {"cropped": 0.055, "bun": 0.045, "curly": 0.17, "scarf": 0.10}.get(style, 0.09)
    reach = {"cropped": 0.02, "curly": 0.28}.get(style, 0.16)
    start, end = math.pi - reach, 2.0 * math.pi + reach
    angles = np.linspace(start, end, _CAP_POINTS)
    fading = np.sqrt(np.sin(np.linspace(0.0, math.pi, _CAP_POINTS)).clip(0.0, 1.0))
    growth = volume * fading
    if style == "curly":
        growth = growth + 0.055 * np.abs(np.sin(angles * 7.0)) * fading
    edge = outline(person, 0.0, start, end, _CAP_POINTS)
    radial = curve(np.cos(angles), np.sin(angles))
    return [Fill(edge + radial * growth[:, None], colour)]


def locks(person: Identity) -> list[Shape]:
    """Returns strands, the gloss of the hair and its shadow on the forehead."""
    style = person.hair_style
    if style == "bald":
        return []
    line = hairline(person)
    shadow = band(line, moved(line, 0.0, 0.07))[1:-1]
    shapes: list[Shape] = [Fill(shadow, shaded(person.skin, 0.66), 0.55, 0.04)]
    colour = person.scarf_colour if style == "scarf" else person.hair_colour
    if style in ("long", "scarf"):
        shapes.extend(_curtains(person, colour))
    if style == "curly":
        shapes.extend(_curls(person, colour))
    elif style != "scarf":
        shapes.extend(_strands(person, line, colour))
    if style in ("cropped", "parted", "fringe", "curly"):
        shapes.extend(_sideburns(person, colour))
    gloss = through((-0.42, -0.78), (-0.12, -0.93), (0.22, -0.90))
    lit = mixed(colour, (255.0, 245.0, 230.0), 0.30)
    shapes.append(Fill(band(gloss, moved(gloss, 0.02, 0.07)), lit, 0.55, 0.05))
    return shapes


def _curtains(person: Identity, colour: Colour) -> list[Shape]:
    """Returns what hangs over the sides of the face."""
    width = person.head_width
    low = 0.95 if person.hair_style == "long" else 0.7
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        inner = through(
            (side * width * 0.74, -0.50),
            (side * width * 0.92, 0.14),
            (side * width * 0.88, low),
        )
        outer = through(
            (side * width * 0.95, -0.60),
            (side * width * 1.20, 0.2),
            (side * width * 1.10, low + 0.1),
        )
        shapes.append(Fill(band(inner, outer), colour))
        shapes.append(Stroke(inner, shaded(colour, 0.72), 0.03, "tapered"))
    return shapes


def _sideburns(person: Identity, colour: Colour) -> list[Shape]:
    """Returns hair before the ears, from the temples down to a point."""
    right = outline(person, 0.0, -temple_angle(person) - 0.06, 0.04, STROKE_POINTS)
    thickness = 0.02 + 0.075 * np.linspace(1.0, 0.0, STROKE_POINTS)
    inner = right - curve(thickness, 0.0 * thickness)
    wedge = band(inner, moved(right, 0.015, 0.0))
    return [Fill(wedge, colour), Fill(wedge * (-1.0, 1.0), colour)]


def _curls(person: Identity, colour: Colour) -> list[Shape]:
    """Returns dark and light tufts over the skull."""
    shapes: list[Shape] = []
    for number in range(12):
        angle = math.pi * (1.0 + (number + 0.5) / 12.0)
        radius = 0.98 if number % 2 else 0.86
        x, y = radius * math.cos(angle) * person.head_width, radius * math.sin(angle)
        tuft = ellipse(x, y, 0.075, 0.06, 12)
        shapes.append(Fill(tuft, shaded(colour, 0.78 if number % 2 else 1.14), 0.7))
    return shapes


def _strands(person: Identity, line: Points, colour: Colour) -> list[Shape]:
    """Returns a few dark strands from the crown to the hairline."""
    crown = (-0.35 * person.head_width, -0.98) if person.hair_style == "parted" else (0.0, -0.98)
    shapes: list[Shape] = []
    for place in (3, 7, 10, 13, 17):
        end = moved(line[place], 0.0, -0.02)
        bend = (0.5 * (crown[0] + end[0]) * 1.15, 0.5 * (crown[1] + end[1]) - 0.05)
        shapes.append(Stroke(through(crown, bend, end), shaded(colour, 0.86), 0.026, "tapered"))
    return shapes


def beard(face: Face, mouth: Mouth) -> list[Shape]:
    """Returns the beard, clipped to the face; the mouth is painted over it."""
    person = face.identity
    if person.beard == "none":
        return []
    drop = jaw_drop(face.action_units)
    stubble = person.beard == "stubble"
    colour = mixed(shaded(person.skin, 0.62), person.hair_colour, 0.35 if stubble else 0.88)
    opacity = 0.42 if stubble else 0.88
    contents: list[Fill | Stroke] = []
    if person.beard in ("stubble", "full"):
        contents.append(Fill(_full_beard(person, drop), colour, opacity, 0.04))
    if person.beard == "goatee":
        chin = squircle(0.0, 0.82 * (1.0 + drop), 0.24, 0.24, 2.6)
        contents.append(Fill(chin, colour, opacity, 0.03))
    contents.append(Fill(_moustache(mouth), colour, opacity, 0.015))
    return [Clipped(outline(person, drop, 0.0, 2.0 * math.pi, 60), contents)]


def _full_beard(person: Identity, drop: float) -> Points:
    """Returns the region of jaw, chin and cheeks that a full beard covers."""
    width, low = person.head_width, 1.05 * (1.0 + drop)
    half = [(1.05, 0.06), (0.86, 0.10), (0.74, 0.40), (0.56, 0.62), (0.36, 0.66)]
    right = [(x * width, y * (1.0 + 0.6 * drop)) for x, y in half]
    left = [(-x, y) for x, y in reversed(right)]
    ends = [(-width, low), (width, low)]
    below_lip = [(0.0, person.mouth_height + 0.16 + 0.6 * drop)]
    return np.array([*right, *below_lip, *left, *ends])


def _moustache(mouth: Mouth) -> Points:
    """Returns a moustache that rides on the upper lip."""
    edge = mouth.outer_upper * (1.06, 1.0)
    t = span(len(edge))
    thickness = 0.055 + 0.055 * (1.0 - t * t)
    return band(edge - curve(0.0 * t, thickness), moved(edge, 0.0, 0.012))


# ------------------------------------------------------------------------------------------------
# Glasses and the small objects that hide a part of the face.


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
