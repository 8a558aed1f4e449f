"""A face as a picture: what is behind the head, its layers in order, light and camera."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.faces.action_units import Difficulty
from bench.faces.canvas import SIZE, Canvas, Image, Projection, Shape, fill_polygon, to_fixed
from bench.faces.drawing import DRAWING, DrawingStyle
from bench.faces.face import Face, Identity, sample_face
from bench.faces.features import (
    brows,
    cheeks,
    ears,
    eyes,
    face_lines,
    jaw_drop,
    mouth,
    mouth_of,
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
from bench.faces.relief import shading
from bench.faces.scene import Background, Camera, Domain


@cache
def grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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


def _lit(image: NDArray[np.float64], face: Face) -> NDArray[np.float64]:
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
    lit: NDArray[np.float64] = image * shade[..., None] * np.array(light.cast)
    return lit


def _head_mask(face: Face) -> NDArray[np.uint8]:
    """Returns (64, 64) uint8, 255 on the head, with a soft edge."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    person: Identity = face.identity
    projection = Projection(face.scene.pose, person.head_width, SIZE)
    edge = outline(person, jaw_drop(face.action_units), 0.0, 2.0 * math.pi)
    fill_polygon(mask, to_fixed(projection(edge * (1.04, 1.04))), 255)
    return np.asarray(cv2.blur(mask, (3, 3)), np.uint8)


def _photograph(image: NDArray[np.float64], camera: Camera) -> Image:
    """Exposes, blurs, adds grain and rounds, once."""
    image = _exposed(image, camera)
    if camera.blur > 0.0:
        image = _blurred(image, camera.blur)
    # Grain is that of the film or the sensor: one channel where there is no colour.
    depth = 1 if camera.grey else 3
    grain = bell_noise(camera.grain_key, (*image.shape[:2], depth))
    return np.rint(np.clip(image + camera.grain * grain, 0.0, 255.0)).astype(np.uint8)


def _exposed(image: NDArray[np.float64], camera: Camera) -> NDArray[np.float64]:
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


def _blurred(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
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
