"""Eyes, lids and brows."""

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
)
from bench.faces.face import Face
from bench.faces.head import crease

_IRIS_RADIUS = 0.088


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
    ageing = 0.10 * person.age_lines
    above = opening * (
        1.0 + 1.0 * units.au05 - 0.35 * units.au07 - 0.28 * units.au06 - 0.38 * units.au09
        - frown - ageing
    )  # fmt: skip
    below = opening * (
        0.75 + 0.20 * units.au05 - 0.62 * units.au06 - 0.45 * units.au07 - 0.35 * units.au09
    )
    above, below = max(above, 0.018), max(below, -0.004)
    # Grief pulls the inner end of the upper lid up and lets the outer end sink.
    droop = 0.03 * units.au01 * units.au15
    t = span()
    slant = -(person.eye_tilt - droop) * t * side
    y = person.eye_height + slant
    x = side * person.eye_spacing + person.eye_width * t
    return Lids(
        upper=curve(x, y - above * (1.0 - np.abs(t) ** 2.2)),
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
    fold = moved(edge.upper, 0.0, -0.038 - 0.012 * units.au05)
    shapes: list[Shape] = [
        Fill(socket, shaded(skin, 0.80), 0.42, 0.05),
        Clipped(band(edge.upper, edge.lower), _eyeball(face, edge, centre_x, centre_y)),
        Stroke(edge.lower, shaded(skin, 0.52), 0.022),
        Stroke(edge.upper, mixed(shaded(skin, 0.20), (18.0, 12.0, 12.0), 0.5), 0.044, "tapered"),
        Stroke(fold, shaded(skin, 0.66), 0.022, "tapered"),
    ]
    bag = edge.lower[1:-1].mean(0) + (edge.lower - edge.lower.mean(0)) * (0.85, 1.0)
    bag_depth = max(units.au06, 0.5 * units.au07, 0.6 * person.age_lines)
    shapes.extend(crease(moved(bag, 0.0, 0.055), skin, bag_depth, 0.020))
    corner_x = centre_x + side * (person.eye_width + 0.045)
    crow_depth = max(1.1 * units.au06, 0.5 * person.age_lines)
    for lean in (-0.05, 0.01, 0.07):
        start = np.array((corner_x, centre_y + 0.3 * lean))
        end = moved(start, side * 0.09, lean)
        shapes.extend(crease(through(start, 0.5 * (start + end), end), skin, crow_depth, 0.018))
    return shapes


def _eyeball(face: Face, edge: Lids, centre_x: float, centre_y: float) -> list[Fill | Stroke]:
    """Returns white, iris, pupil, glint and the shadow of the upper lid."""
    person = face.identity
    x = centre_x + 0.03 * face.scene.asymmetry.gaze
    y = centre_y - 0.008
    radius = _IRIS_RADIUS
    white = (238.0, 235.0, 230.0)
    lid_shadow = band(moved(edge.upper, 0.0, -0.03), moved(edge.upper, 0.0, 0.025))
    return [
        Fill(band(moved(edge.upper, 0.0, -0.05), moved(edge.lower, 0.0, 0.05)), white),
        Fill(ellipse(x, y, radius, radius, 16), person.iris),
        Fill(ellipse(x, y, 0.5 * radius, 0.5 * radius, 10), (12.0, 9.0, 9.0)),
        Fill(lid_shadow, (30.0, 22.0, 22.0), 0.35),
        Fill(ellipse(x - 0.03, y - 0.03, 0.024, 0.024, 8), (250.0, 250.0, 250.0)),
    ]


def brows(face: Face) -> list[Shape]:
    """Returns both brows.

    AU1 lifts the inner end, AU2 the outer half; AU4 lowers the inner end and draws the brows
    together, less so where AU1 holds it up; AU9 lowers the whole brow.
    """
    units, person = face.action_units, face.identity
    colour = mixed(shaded(person.hair_colour, 0.72), shaded(person.skin, 0.45), 0.35)
    if person.hair_style == "scarf":
        colour = shaded(person.skin, 0.35)
    rest = person.eye_height - person.brow_height
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        lift = rest + face.scene.asymmetry.brow_lifts[0 if side < 0 else 1]
        lowered = 0.155 * units.au04 * (1.0 - 0.55 * units.au01)
        alone = max(0.0, 1.0 - 2.0 * units.au02)
        inner_y = lift - (0.105 + 0.03 * alone) * units.au01 + lowered
        middle_y = lift - 0.05 * units.au01 - 0.105 * units.au02
        outer_y = lift + 0.03 - 0.105 * units.au02 + 0.045 * units.au01 * alone
        inner_y += 0.06 * units.au09 + person.brow_slope
        middle_y += 0.070 * units.au04 * (1.0 - 0.5 * units.au02) * (1.0 - 0.4 * units.au01)
        middle_y += 0.05 * units.au09 - person.brow_arch
        outer_y += 0.01 * units.au09 - person.brow_slope - 0.025 * units.au04 * (1.0 - units.au01)
        centre = side * person.eye_spacing
        path = through(
            (centre - side * (0.92 * person.eye_width + 0.06 * units.au04), inner_y),
            (centre + side * 0.03, middle_y),
            (centre + side * 1.25 * person.eye_width, outer_y),
        )
        shapes.append(Stroke(path, colour, person.brow_thickness, "brow"))
    return shapes
