"""Head, ears, neck, clothes; eyes, lids, brows; the mouth; and the creases of the face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.faces.action_units import ActionUnits
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
    ribbon,
    shaded,
    span,
    through,
    tinted,
)
from bench.faces.face import Face, Identity
from bench.faces.randomness import Colour

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


def crease(face: Face, path: Points, depth: float, width: float = 0.022) -> list[Shape]:
    """Returns a line in the skin, darker and wider with depth in [0, 1], or nothing if faint."""
    if depth <= _LEAST_CREASE:
        return []
    skin, depth = face.identity.skin, min(1.0, depth)
    if face.drawing.modelled:
        fold = ribbon(path, width * (1.0 + 0.8 * depth), "tapered")
        return [Fill(fold, shaded(skin, 0.42), 0.25 + 0.55 * depth, 0.014)]
    colour = shaded(skin, 1.0 - 0.46 * depth)
    return [Stroke(path, colour, width * (0.7 + 0.6 * depth), "tapered")]


def ageing(face: Face) -> float:
    """Returns the depth of the lines of age, 0 none to 1 deep."""
    return face.drawing.ageing * face.identity.age_lines


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
    if face.drawing.modelled:
        blush = tinted(person.skin, 1.10, 0.98, 0.94)
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        x, y = side * person.head_width * 0.54, 0.24 - 0.08 * units.au06
        radius = 0.17 + 0.04 * units.au06
        shapes.append(
            Fill(ellipse(x, y, radius, 0.75 * radius), blush, 0.40 + 0.35 * units.au06, 0.06)
        )
        if units.au06 > 0.3 and not face.drawing.modelled:
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
    depth = max(0.9 * lifted, 0.55 * ageing(face))
    half = 0.32 if units.au02 > 0.2 or units.au01 < 0.1 else 0.19
    brow = person.eye_height - person.brow_height
    shapes: list[Shape] = []
    for level in (-0.15, -0.22):
        y = brow + level - 0.03 * lifted
        path = curve(half * span(), y + 0.02 * span() ** 2)
        shapes.extend(crease(face, path, depth, 0.020))
    return shapes


def _glabella_lines(face: Face) -> list[Shape]:
    units, person = face.action_units, face.identity
    y = person.eye_height
    eased = 1.0 - face.drawing.eased_frown * units.au01
    frown = max(units.au04 * eased, 0.6 * units.au09, 0.35 * ageing(face))
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        path = through((side * 0.06, y - 0.23), (side * 0.05, y - 0.15), (side * 0.065, y - 0.07))
        shapes.extend(crease(face, path, frown, 0.022))
        # AU9 gathers the skin of the nose into slanted folds; they carry disgust.
        for number in range(3):
            top = y - 0.02 + 0.07 * number
            reach = 0.11 + 0.018 * number
            path = through(
                (side * 0.02, top), (side * 0.6 * reach, top + 0.01), (side * reach, top + 0.065)
            )
            shapes.extend(crease(face, path, face.drawing.nose_folds * units.au09, 0.022))
    return shapes


def nasal_fold(face: Face, side: float) -> tuple[Points, float]:
    """Returns the fold from the nose to a corner of the mouth, and its depth in [0, 1]."""
    units, person = face.action_units, face.identity
    wing_x, wing_y = person.nose_width, person.eye_height + 0.10 + person.nose_length
    pulled = units.au12
    aged = 0.55 * ageing(face)
    depth = max(pulled, 1.1 * units.au09, units.au10, 0.45 * units.au15, aged)
    path = through(
        (side * (wing_x + 0.03), wing_y - 0.03 - 0.05 * units.au09),
        (side * (wing_x + 0.13 + 0.07 * pulled), wing_y + 0.08),
        (
            side * (person.mouth_width + 0.07 + 0.10 * pulled),
            person.mouth_height - 0.01 - 0.06 * pulled + 0.06 * units.au15,
        ),
    )
    return path, depth


def _folds(face: Face) -> list[Shape]:
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        path, depth = nasal_fold(face, side)
        shapes.extend(crease(face, path, depth, 0.028))
        if ageing(face) > 0.35:
            jowl = through((side * 0.30, 0.66), (side * 0.335, 0.74), (side * 0.32, 0.82))
            shapes.extend(crease(face, jowl, 0.5 * ageing(face), 0.022))
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
    if face.drawing.modelled:
        under_nose = ellipse(0.0, tip + 0.055, 0.95 * wing, 0.045)
        shapes = [Fill(under_nose, shaded(skin, 0.5), 0.40, 0.035)]
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


# ------------------------------------------------------------------------------------------------
# Eyes, lids and brows
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lids:
    """The two lid edges of an eye, (9, 2) each, from the picture's left to its right."""

    upper: Points
    lower: Points


def lids(face: Face, side: float) -> Lids:
    """Returns the lids of one eye.

    AU5 raises the upper lid, AU6 pushes the lower one up, AU7 tightens both, AU9 squeezes both.

    Args:
        face: The face.
        side: -1 for the eye on the picture's left, 1 for the right one.
    """
    units, person = face.action_units, face.identity
    opening = person.eye_opening * face.scene.asymmetry.eye_openings[0 if side < 0 else 1]
    frown = 0.22 * units.au04 * (1.0 - units.au05)
    sagging = 0.10 * ageing(face)
    above = opening * (
        1.0 + face.drawing.lid_raise * units.au05 - 0.35 * units.au07 - 0.28 * units.au06
        - 0.38 * units.au09 - frown - sagging
    )  # fmt: skip
    below = opening * (
        0.75 + 0.20 * units.au05 - 0.62 * units.au06 - 0.45 * units.au07 - 0.35 * units.au09
    )
    above, below = max(above, face.drawing.least_lid), max(below, -0.004)
    # Grief pulls the inner end of the upper lid up and lets the outer end sink.
    droop = 0.03 * units.au01 * units.au15
    t = span()
    height: float | NDArray[np.float64] = above
    if face.drawing.modelled:
        # A frown rests on the inner half of the lid, grief on the outer half.
        inner = 0.5 * (1.0 - t * side)
        frowning, grieving = units.au04 * (1.0 - units.au01), units.au01 * (1.0 - units.au05)
        height = above * (1.0 - 0.45 * frowning * inner - 0.35 * grieving * (1.0 - inner))
    slant = -(person.eye_tilt - droop) * t * side
    y = person.eye_height + slant
    x = side * person.eye_spacing + person.eye_width * t
    return Lids(
        upper=curve(x, y - height * (1.0 - np.abs(t) ** 2.2)),
        lower=curve(x, y + below * (1.0 - t * t)),
    )


def eyes(face: Face) -> list[Shape]:
    """Returns both eyes with sockets, lids and the creases around them."""
    return [shape for side in (-1.0, 1.0) for shape in _eye(face, side)]


def _eye(face: Face, side: float) -> list[Shape]:
    person, units = face.identity, face.action_units
    skin = person.skin
    edge = lids(face, side)
    centre_x, centre_y = side * person.eye_spacing, person.eye_height
    socket = ellipse(centre_x, centre_y - 0.04, 1.3 * person.eye_width, 0.12)
    # A lowered brow takes the light from the eye.
    shade = face.drawing.socket + face.drawing.overhang * units.au04 * (1.0 - units.au01)
    fold = moved(edge.upper, 0.0, -0.038 - 0.012 * units.au05)
    shapes: list[Shape] = [
        Fill(socket, shaded(skin, 0.80), shade, 0.05),
        Clipped(band(edge.upper, edge.lower), _eyeball(face, edge, centre_x, centre_y)),
        Stroke(edge.lower, shaded(skin, 0.52), 0.022),
        Stroke(edge.upper, mixed(shaded(skin, 0.20), (18.0, 12.0, 12.0), 0.5), 0.044, "tapered"),
        Stroke(fold, shaded(skin, 0.66), 0.022, "tapered"),
    ]
    bag = edge.lower[1:-1].mean(0) + (edge.lower - edge.lower.mean(0)) * (0.85, 1.0)
    raised = min(1.0, face.drawing.smile_folds) * units.au06
    bag_depth = max(raised, 0.5 * units.au07, 0.6 * ageing(face))
    shapes.extend(crease(face, moved(bag, 0.0, 0.055), bag_depth, 0.020))
    corner_x = centre_x + side * (person.eye_width + 0.045)
    crow_depth = max(face.drawing.smile_folds * units.au06, 0.5 * ageing(face))
    for lean in (-0.05, 0.01, 0.07):
        start = np.array((corner_x, centre_y + 0.3 * lean))
        end = moved(start, side * 0.09, lean)
        path = through(start, 0.5 * (start + end), end)
        shapes.extend(crease(face, path, crow_depth, 0.018))
    return shapes


def _eyeball(face: Face, edge: Lids, centre_x: float, centre_y: float) -> list[Fill | Stroke]:
    """Returns white, iris, pupil, glint and the shadow of the upper lid."""
    person = face.identity
    x = centre_x + 0.03 * face.scene.asymmetry.gaze
    y = centre_y - 0.008
    radius, glint = face.drawing.iris_radius, face.drawing.glint
    white = mixed((238.0, 235.0, 230.0), shaded(person.skin, 0.75), face.drawing.eye_shade)
    lid_shadow = band(moved(edge.upper, 0.0, -0.03), moved(edge.upper, 0.0, 0.025))
    return [
        Fill(band(moved(edge.upper, 0.0, -0.05), moved(edge.lower, 0.0, 0.05)), white),
        Fill(ellipse(x, y, radius, radius, 16), person.iris),
        Fill(ellipse(x, y, 0.5 * radius, 0.5 * radius, 10), (12.0, 9.0, 9.0)),
        Fill(lid_shadow, (30.0, 22.0, 22.0), 0.35),
        Fill(ellipse(x - 0.03, y - 0.03, glint, glint, 8), (250.0, 250.0, 250.0)),
    ]


def brows(face: Face) -> list[Shape]:
    """Returns both brows.

    AU1 lifts the inner end, AU2 the outer half; AU4 lowers the inner end and draws the brows
    together, less so where AU1 holds it up; AU9 lowers the whole brow.
    """
    units, person = face.action_units, face.identity
    style = face.drawing
    dark = shaded(person.skin, 0.45)
    colour = mixed(shaded(person.hair_colour, 0.72), dark, style.brow_shade)
    if person.hair_style == "scarf":
        colour = shaded(person.skin, 0.35)
    rest = person.eye_height - person.brow_height
    drawn, (_, down, _) = style.brows_together, style.frown
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        lift = rest + face.scene.asymmetry.brow_lifts[0 if side < 0 else 1]
        lowered = style.frown[0] * units.au04 * (1.0 - style.brow_hold * units.au01)
        alone = max(0.0, 1.0 - 2.0 * units.au02)
        inner_y = lift - (0.105 + 0.03 * alone) * units.au01 + lowered
        middle_y = lift - 0.05 * units.au01 - 0.105 * units.au02
        outer_y = lift + 0.03 - 0.105 * units.au02 + 0.045 * units.au01 * alone
        inner_y += 0.06 * units.au09 + person.brow_slope + style.brow_bend
        middle_y += down * units.au04 * (1.0 - 0.5 * units.au02) * (1.0 - 0.4 * units.au01)
        middle_y += 0.05 * units.au09 - person.brow_arch - 0.5 * style.brow_bend
        raised = style.frown[2] * units.au04 * (1.0 - units.au01)
        outer_y += style.outer_sink * units.au09 - person.brow_slope - raised
        centre = side * person.eye_spacing
        path = through(
            (centre - side * (0.92 * person.eye_width + drawn * units.au04), inner_y),
            (centre + side * 0.03, middle_y),
            (centre + side * 1.25 * person.eye_width, outer_y),
        )
        if style.modelled:
            hair = ribbon(path, person.brow_thickness, "brow")
            shapes.append(Fill(hair, colour, 0.92, 0.010))
        else:
            shapes.append(Stroke(path, colour, person.brow_thickness, "brow"))
    return shapes


# ------------------------------------------------------------------------------------------------
# The mouth: lips, teeth, tongue and the creases of the chin
# ------------------------------------------------------------------------------------------------

_POINTS = 17
_LEAST_GAP = 0.022
"""Lips closer than this are drawn closed."""

TEETH: Colour = (234.0, 228.0, 218.0)
"""RGB of the teeth in full light."""


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
    style = face.drawing
    t = span(_POINTS)
    upper, lower = _openings(face)
    half = person.mouth_width * _widening(face)
    raised = 0.025 * units.au09 + style.sneer_rise * units.au10 + 0.03 * units.au17
    centre = person.mouth_height + 0.02 * units.au26 + style.smile_sink * units.au12 - raised
    # The corners go down with the jaw, otherwise surprise smiles.
    corner = (
        centre
        + person.mouth_curve
        - style.smile_rise * units.au12
        + style.corner_drop * units.au15
        + style.stretch_sink * units.au20
        + 0.11 * units.au26 * (1.0 - 0.6 * units.au12)
        + style.sneer_sink * units.au10
    )
    middle = centre - 0.045 * units.au15
    squareness = 2.0 + 0.7 * units.au26 + 1.2 * units.au10 + 0.6 * units.au20
    if style.modelled:
        squareness += 1.5 * units.au16 * units.au10
    arch = 1.0 - np.abs(t) ** squareness
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


def teeth_visible(face: Face) -> bool:
    """Whether teeth are drawn between the lips; an occluder may still hide them."""
    return mouth_of(face).gap > _LEAST_GAP


def _openings(face: Face) -> tuple[float, float]:
    """Returns how far the upper lip is above and the lower lip below the middle of the mouth."""
    units, teeth = face.action_units, face.scene.asymmetry.teeth
    # A broad smile shows teeth, in some people more than in others.
    smile_upper, smile_lower = face.drawing.smile_gap
    smile = units.au12 * max(0.0, min(1.0, (units.au12 - 0.25) * 2.0)) * (0.35 + 0.65 * teeth)
    upper = (
        0.02 * units.au25 + face.drawing.sneer_gap * units.au10 + 0.035 * units.au09
        + smile_upper * smile + 0.075 * units.au26 + 0.035 * units.au20
    )  # fmt: skip
    lower = (
        0.07 * units.au25 + 0.30 * units.au26 + 0.075 * units.au16 + smile_lower * smile
        + 0.045 * units.au20 - 0.02 * units.au17
    )  # fmt: skip
    closed = 1.0 - 0.9 * units.au23 * (1.0 - units.au26)
    if face.drawing.modelled:
        closed *= 1.0 - 0.9 * units.au17 * (1.0 - units.au26)
    return upper * closed, lower * closed


def _widening(face: Face) -> float:
    units = face.action_units
    rounded = (
        face.drawing.rounding * units.au26 * (1.0 - min(1.0, 1.3 * units.au20)) * (1.0 - units.au12)
    )
    if face.drawing.modelled:
        rounded *= 1.0 - 0.8 * units.au16
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
    colour = mixed(mixed(person.skin, red, 0.6), red, person.lip_redness)
    return mixed(colour, person.skin, face.drawing.pale_lips)


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
    if face.drawing.modelled:
        return [*contents, *_rows_of_teeth(face, shape)]
    gums = moved(shape.inner_upper, 0.0, -0.05)
    contents.append(Fill(band(gums, moved(shape.inner_upper, 0.0, height)), TEETH))
    if units.au16 > 0.3 or units.au20 > 0.4:
        gums = moved(shape.inner_lower, 0.0, 0.05)
        row = band(moved(shape.inner_lower, 0.0, -0.6 * height), gums)
        contents.append(Fill(row, shaded(TEETH, 0.94)))
    return contents


def _rows_of_teeth(face: Face, shape: Mouth) -> list[Fill | Stroke]:
    """Returns both rows as they stand in the jaws: straight edges, dark towards the corners."""
    units, gap = face.action_units, shape.gap
    x, arc = shape.inner_upper[:, 0], 0.035 * span(_POINTS) ** 2
    top, bottom = shape.inner_upper[_POINTS // 2, 1], shape.inner_lower[_POINTS // 2, 1]
    teeth = shaded(TEETH, 0.91)
    edge = top + min(0.085, 0.035 + 0.5 * gap)
    rows: list[Fill | Stroke] = [
        Fill(band(curve(x, 0.0 * x + top - 0.3), curve(x, edge - arc)), teeth)
    ]
    if units.au16 > 0.3 or units.au20 > 0.4:
        edge = bottom - min(0.05, 0.3 * gap)
        row = band(curve(x, edge + arc), curve(x, 0.0 * x + bottom + 0.3))
        rows.append(Fill(row, shaded(teeth, 0.88)))
    for place in (0, _POINTS - 1):
        corner_x, corner_y = shape.inner_upper[place].tolist()
        corner = ellipse(corner_x, corner_y, 0.09, 0.10, 12)
        rows.append(Fill(corner, (50.0, 20.0, 20.0), 0.75, 0.03))
    return rows


def _chin_creases(face: Face, shape: Mouth) -> list[Shape]:
    units, beard = face.action_units, face.identity.beard
    shapes: list[Shape] = []
    if beard == "full":
        return shapes
    for place, side in ((0, -1.0), (_POINTS - 1, 1.0)):
        x, y = shape.inner_upper[place].tolist()
        hanging = through(
            (x + side * 0.02, y - 0.01), (x + side * 0.045, y + 0.04), (x + side * 0.04, y + 0.10)
        )
        shapes.extend(crease(face, hanging, units.au15, 0.026))
        dimple = through(
            (x + side * 0.035, y - 0.05), (x + side * 0.06, y), (x + side * 0.045, y + 0.05)
        )
        shapes.extend(crease(face, dimple, max(units.au12, 0.8 * units.au20), 0.024))
    if beard == "goatee":
        return shapes
    low = min(0.86, float(shape.outer_lower[:, 1].max()) + 0.09)
    boss = through((-0.13, low + 0.025), (0.0, low - 0.01), (0.13, low + 0.025))
    depth = max(0.6 * units.au15, units.au17, face.drawing.pressed_fold * units.au23)
    shapes.extend(crease(face, boss, depth, 0.024))
    return shapes
