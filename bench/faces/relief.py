"""The relief of a face, and how light falls on it.

The head is an ellipsoid, which `render` shades. Here is what stands out of it and what lies
deeper (nose, brow ridge, sockets, cheeks, lips, chin, folds) and how the muscles move it. The
relief is a sum of bumps, each a polynomial, so that it is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.faces.canvas import Projection
from bench.faces.face import Face
from bench.faces.features import ageing, jaw_drop, nasal_fold

Grid = NDArray[np.float64]


class Bump(NamedTuple):
    """A round hill, or a hollow where its height is negative; lengths in head units."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    height: float


def shading(face: Face, projection: Projection, size: int) -> Grid:
    """Returns the factor on the light of each pixel, (size, size): 1 where the face is smooth."""
    x, y = projection.inverse(size)
    height = np.zeros((size, size))
    found = list(bumps(face))
    centres = projection(np.array([(bump.x, bump.y) for bump in found]))
    for bump, centre in zip(found, centres.tolist(), strict=True):
        # Heads are tilted: the longer radius is the surest reach.
        reach = max(bump.radius_x, bump.radius_y) * projection.unit + 2.0
        part = tuple(
            slice(max(0, int(middle - reach)), max(0, int(middle + reach) + 2))
            for middle in reversed(centre)
        )
        distance = ((x[part] - bump.x) / bump.radius_x) ** 2
        distance += ((y[part] - bump.y) / bump.radius_y) ** 2
        share = np.maximum(0.0, 1.0 - distance)
        height[part] += bump.height * share * share
    down, across = np.gradient(height * projection.unit)
    light = face.scene.light
    # Most light comes from above, whatever else does.
    side = 0.12 + 0.5 * light.contrast
    toward_x = side * math.cos(light.direction)
    toward_y = side * math.sin(light.direction) - 0.42
    toward_us = math.sqrt(max(0.2, 1.0 - toward_x**2 - toward_y**2))
    facing = (toward_us - across * toward_x - down * toward_y) / (
        toward_us * np.sqrt(1.0 + across**2 + down**2)
    )
    shade: Grid = 0.30 + 0.70 * np.clip(facing, 0.0, 1.45)
    return shade


def bumps(face: Face) -> Iterator[Bump]:
    """What stands out of the head, and what lies deeper."""
    yield from _brow_and_eyes(face)
    yield from _nose(face)
    yield from _cheeks(face)
    yield from _mouth_and_chin(face)


def _brow_and_eyes(face: Face) -> Iterator[Bump]:
    units, person = face.action_units, face.identity
    eye, brow = person.eye_height, person.eye_height - person.brow_height
    lowered = 0.07 * units.au04 * (1.0 - 0.6 * units.au01) + 0.04 * units.au09
    lifted = 0.05 * max(units.au01, units.au02)
    # The skin between the brows is pushed together.
    yield Bump(0.0, brow + 0.02 + lowered, 0.15, 0.14, 0.025 + 0.05 * max(units.au04, units.au09))
    for side in (-1.0, 1.0):
        x = side * person.eye_spacing
        yield Bump(0.95 * x, brow - 0.01 + lowered - lifted, 0.30, 0.12, 0.030)
        depth = 0.035 + 0.02 * ageing(face) + 0.05 * units.au04 * (1.0 - units.au01)
        yield Bump(0.98 * x, eye - 0.05, 0.25, 0.15, -depth)
        yield Bump(0.62 * x, eye - 0.06, 0.12, 0.12, -0.025)
        yield Bump(x, eye, 0.16, 0.11, 0.045)
        yield Bump(x, eye + 0.13 - 0.03 * units.au06, 0.20, 0.05, -0.012 - 0.02 * ageing(face))
        frown = max(units.au04 * (1.0 - 0.5 * units.au01), 0.5 * units.au09)
        yield Bump(side * 0.055, brow + 0.05 + lowered, 0.030, 0.11, -0.030 * frown)


def _nose(face: Face) -> Iterator[Bump]:
    units, person = face.action_units, face.identity
    eye = person.eye_height
    lifted = 0.055 * units.au09 + 0.015 * units.au10
    tip = eye + 0.10 + person.nose_length - lifted
    wing = person.nose_width * (1.0 + 0.20 * units.au09 + 0.08 * units.au10)
    yield Bump(0.0, 0.5 * (eye - 0.10 + tip), 0.16, 0.5 * (tip - eye) + 0.20, 0.075)
    yield Bump(0.0, tip - 0.02, 0.90 * wing, 0.12, 0.075)
    for side in (-1.0, 1.0):
        yield Bump(side * 0.80 * wing, tip + 0.005, 0.42 * wing, 0.065, 0.055)
        yield Bump(side * 1.35 * wing, tip, 0.07, 0.09, -0.02 - 0.03 * units.au09)
    for number in range(3):
        y = eye - 0.04 + 0.065 * number
        yield Bump(0.0, y, 0.13, 0.026, -0.024 * units.au09)


def _cheeks(face: Face) -> Iterator[Bump]:
    units, person = face.action_units, face.identity
    width = person.head_width
    raised = max(units.au06, 0.7 * units.au12)
    sneer = max(units.au09, 0.8 * units.au10)
    for side in (-1.0, 1.0):
        yield Bump(side * 0.48 * width, 0.22 - 0.09 * raised, 0.30, 0.30, 0.035 + 0.075 * raised)
        yield Bump(side * (person.nose_width + 0.12), 0.13 - 0.03 * sneer, 0.13, 0.15, 0.07 * sneer)
        yield Bump(side * 0.62 * width, 0.50, 0.24, 0.34, -0.015)
        path, depth = nasal_fold(face, side)
        for x, y in path[:-1]:
            yield Bump(x, y, 0.065, 0.075, -0.005 - 0.022 * depth)


def _mouth_and_chin(face: Face) -> Iterator[Bump]:
    units, person = face.action_units, face.identity
    y = person.mouth_height
    drop = jaw_drop(units)
    yield Bump(0.0, y, 0.36, 0.26, 0.075)
    yield Bump(0.0, y - 0.12, 0.035, 0.09, -0.018)
    yield Bump(0.0, y + 0.05 + 0.3 * units.au26, 0.18, 0.07, 0.03)
    yield Bump(0.0, y + 0.14 + 0.3 * units.au26, 0.20, 0.055, -0.03)
    chin = 0.82 * (1.0 + drop) - 0.03 * units.au17
    yield Bump(0.0, chin, 0.24, 0.16, 0.06 + 0.05 * units.au17)
    for side in (-1.0, 1.0):
        pouch = max(units.au15, 0.5 * units.au20)
        yield Bump(side * 1.1 * person.mouth_width, y + 0.08, 0.09, 0.10, -0.035 * pouch)
        yield Bump(side * 0.30, 0.74, 0.14, 0.18, -0.02 - 0.02 * ageing(face))
