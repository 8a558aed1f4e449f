"""What is behind the head."""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.faces.canvas import SIZE, Image
from bench.data.faces.scene import Background


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
