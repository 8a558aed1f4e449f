"""A face as a picture: what is behind the head, its layers in order, its relief, light, camera."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.faces.action_units import Difficulty
from bench.faces.canvas import SIZE, Canvas, Image, Projection, Shape, fill_polygon, to_fixed
from bench.faces.drawing import DRAWING, DrawingStyle
from bench.faces.face import Face, Identity, sample_face
from bench.faces.features import (
    ageing,
    brows,
    cheeks,
    ears,
    eyes,
    face_lines,
    jaw_drop,
    mouth,
    mouth_of,
    nasal_fold,
    neck_and_clothes,
    nose,
    outline,
    skin_of_face,
)
from bench.faces.hair import (
    beard,
    behind_the_head,
    cap_of_hair,
    glasses,
    hairline,
    locks,
    occluder,
    scarf_front,
    temple_angle,
)
from bench.faces.randomness import bell_noise
from bench.faces.scene import Background, Camera, Domain

Grid = NDArray[np.float64]


@cache
def grid() -> tuple[Grid, Grid]:
    """Returns x (1, 64) and y (64, 1) of pixel centres from -1 to 1 (shared: do not write)."""
    axis = np.linspace(-1.0, 1.0, SIZE)
    axis.setflags(write=False)
    return axis[None, :], axis[:, None]


def paint_background(background: Background, size: int) -> Image:
    """Paints a background.

    Args:
        background: What to paint.
        size: Width and height of the result, pixels; a multiple of 64.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    x, y = grid()
    near, far = np.array(background.near), np.array(background.far)
    across = math.cos(background.angle) * x + math.sin(background.angle) * y
    if background.kind == "stripes":
        # A stripe every quarter of the picture, with edges one pixel soft.
        share = np.clip(0.5 + 8.0 * np.sin(4.0 * np.pi * across), 0.0, 1.0)
    else:
        share = 0.5 + across * (0.5 / math.sqrt(2.0))
    image = np.rint(near + (far - near) * share[..., None]).astype(np.uint8)
    for left, top, extent, colour in background.shapes:
        corner = (round(left * SIZE), round(top * SIZE))
        solid = tuple(round(channel) for channel in colour)
        if background.kind == "bokeh":
            cv2.circle(image, corner, round(0.4 * extent * SIZE), solid, -1, cv2.LINE_AA)
        else:
            opposite = (corner[0] + round(extent * SIZE), corner[1] + round(extent * 48))
            cv2.rectangle(image, corner, opposite, solid, cv2.FILLED)
    if background.softness > 1:
        image = np.asarray(cv2.blur(image, (background.softness,) * 2), np.uint8)
    return np.repeat(np.repeat(image, size // SIZE, 0), size // SIZE, 1)


# ------------------------------------------------------------------------------------------------
# Draws a face: paints its layers in order, lights them and takes the picture.


_SUPERSAMPLING = 3
"""Faces are painted this many times larger and then averaged down."""

_LEAST_BLUR_REACH = 2
"""Radius of the camera's blur kernel, pixels; a blur beyond one pixel reaches farther."""


def draw(face: Face) -> Image:
    """Draws a face.

    Args:
        face: The full description; nothing else influences the drawing.

    Returns:
        (64, 64, 3) uint8 RGB, the same bytes on every machine.
    """
    large = SIZE * _SUPERSAMPLING
    projection = Projection(face.scene.pose, face.identity.head_width, large)
    canvas = Canvas(paint_background(face.scene.background, large), projection)
    canvas.paint(layers(face))
    small = cv2.resize(canvas.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return _photograph(_lit(small.astype(np.float64), face), face.scene.camera)


def generate(
    seed: int,
    split: str,
    indices: Iterable[int],
    difficulty: str | Difficulty = "default",
    expressions: str = "basic",
    domain: str | Domain = "default",
    drawing: int | DrawingStyle = DRAWING,
) -> Image:
    """Samples and draws pictures of a split, one after the other.

    Args:
        seed: Seed of the data set.
        split: Name of the split.
        indices: Numbers of the pictures within the split.
        difficulty: A preset's name or a preset.
        expressions: A set of expressions.
        domain: A domain's name or a domain.
        drawing: A version's number or a drawing.

    Returns:
        (N, 64, 64, 3) uint8 RGB.
    """
    numbers = list(indices)
    images = np.empty((len(numbers), SIZE, SIZE, 3), np.uint8)
    for place, index in enumerate(numbers):
        face = sample_face(seed, split, index, difficulty, expressions, domain, drawing)
        images[place] = draw(face)
    return images


def layers(face: Face) -> list[Shape]:
    """Returns everything before the background, from back to front."""
    person = face.identity
    lips = mouth_of(face)
    covered = person.hair_style in ("long", "scarf")
    return [
        *behind_the_head(person),
        *neck_and_clothes(face),
        *scarf_front(person),
        *cap_of_hair(person),
        *([] if covered else ears(person)),
        *skin_of_face(face, hairline(person), temple_angle(person)),
        *cheeks(face),
        *face_lines(face),
        *nose(face),
        *beard(face, lips),
        *mouth(face, lips),
        *eyes(face),
        *locks(person),
        *brows(face),
        *glasses(face),
        *occluder(face),
    ]


def _lit(image: Grid, face: Face) -> Grid:
    """Shades head and room by the light; returns unrounded pixels."""
    light, pose = face.scene.light, face.scene.pose
    x, y = grid()
    toward_x, toward_y = math.cos(light.direction), math.sin(light.direction)
    room = 1.0 + 0.5 * light.contrast * (toward_x * x + toward_y * y)
    # The head is shaded as an ellipsoid, brightest where it faces the light.
    across = (x - 2.0 * pose.shift_x) / (2.2 * pose.scale * face.identity.head_width)
    down = (y - 2.0 * pose.shift_y) / (2.2 * pose.scale)
    facing = np.sqrt(np.maximum(0.0, 1.0 - across**2 - down**2))
    head = 0.86 + 0.20 * facing + light.contrast * (toward_x * across + toward_y * down)
    if face.drawing.modelled:
        projection = Projection(pose, face.identity.head_width, SIZE)
        head = (head - 0.14 * (1.0 - facing)) * shading(face, projection, SIZE)
    mask = _head_mask(face) / 255.0
    shade = light.brightness * (room + (head - room) * mask)
    lit: Grid = image * shade[..., None] * np.array(light.cast)
    return lit


def _head_mask(face: Face) -> NDArray[np.uint8]:
    """Returns (64, 64) uint8, 255 on the head, with a soft edge."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    person: Identity = face.identity
    projection = Projection(face.scene.pose, person.head_width, SIZE)
    edge = outline(person, jaw_drop(face.action_units), 0.0, 2.0 * math.pi)
    fill_polygon(mask, to_fixed(projection(edge * (1.04, 1.04))), 255)
    return np.asarray(cv2.blur(mask, (3, 3)), np.uint8)


def _photograph(image: Grid, camera: Camera) -> Image:
    """Exposes, blurs, adds grain and rounds, once."""
    image = _exposed(image, camera)
    if camera.blur > 0.0:
        image = _blurred(image, camera.blur)
    # Grain is that of the film or the sensor: one channel where there is no colour.
    depth = 1 if camera.grey else 3
    grain = bell_noise(camera.grain_key, (*image.shape[:2], depth))
    return np.rint(np.clip(image + camera.grain * grain, 0.0, 255.0)).astype(np.uint8)


def _exposed(image: Grid, camera: Camera) -> Grid:
    """Applies lens and film. What a camera does not do is left out, not multiplied by one."""
    if camera.grey:
        # Not a matrix product, whose last bit depends on the machine.
        red, green, blue = np.moveaxis(image, 2, 0)
        image = np.repeat((0.299 * red + 0.587 * green + 0.114 * blue)[..., None], 3, 2)
    if camera.vignette > 0.0:
        x, y = grid()
        image = image * (1.0 - 0.5 * camera.vignette * (x * x + y * y))[..., None]
    if camera.exposure != 1.0 or camera.balance != (1.0, 1.0, 1.0):
        image = image * (camera.exposure * np.array(camera.balance))
    if camera.contrast != 1.0:
        image = 127.5 + camera.contrast * (image - 127.5)
    return image


def _blurred(image: Grid, sigma: float) -> Grid:
    """Blurs by a Gaussian, rows and columns in turn, repeating the border."""
    reach = max(_LEAST_BLUR_REACH, math.ceil(2.0 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        width = [(0, 0)] * 3
        width[axis] = (reach, reach)
        padded = np.pad(image, width, mode="edge")
        length = image.shape[axis]
        parts = [padded.take(range(k, k + length), axis) * w for k, w in enumerate(kernel)]
        image = sum(parts[1:], parts[0])
    return image


# ------------------------------------------------------------------------------------------------
# The relief of a face, and how light falls on it. The head is an ellipsoid, which `_lit` shades;
# here is what stands out of it and what lies deeper (nose, brow ridge, sockets, cheeks, lips, chin,
# folds), and how the muscles move it. The relief is a sum of bumps, each a polynomial, so that it
# is the same on every machine.


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
