"""What hides a part of a face: a patch, a mask, sunglasses, a hand.

The things are drawn where an aligned face has its parts. `eyes` and `mouth` are their heights in
the picture, as shares from the top; the face is centred between left and right. Lengths are in
units of the distance from the eyes down to the mouth, with the origin between the eyes: a pupil is
about 0.45 to the side, a cheek 0.95, the chin 1.6 below.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from bench.perturb.kernels.paint import (
    Colour,
    Points,
    Sketch,
    drawn_over,
    finger,
    picked,
    shaded,
    superellipse,
)
from bench.perturb.kernels.pictures import checked
from bench.perturb.kernels.words import uniforms

#: Constants at severities 1-5.
FACE: dict[str, tuple[dict[str, float], ...]] = {
    "patch": tuple({"share": share} for share in (0.1, 0.2, 0.3, 0.4, 0.5)),
    "mask": tuple({"raised": raised} for raised in (0.16, 0.32, 0.48, 0.64, 0.8)),
    "sunglasses": tuple(
        {"size": size, "opacity": opacity}
        for size, opacity in ((0.75, 0.5), (0.9, 0.65), (1.05, 0.8), (1.2, 0.95), (1.4, 1.0))
    ),
    "hand": tuple({"reach": reach} for reach in (0.2, 0.45, 0.7, 0.95, 1.2)),
}

_MASKS: tuple[Colour, ...] = (
    (150, 196, 222), (236, 238, 240), (38, 38, 42), (232, 182, 196), (168, 208, 178),
)  # fmt: skip
_LENSES: tuple[Colour, ...] = ((14, 14, 18), (52, 30, 18), (18, 28, 52), (24, 44, 30))
_SKINS: tuple[Colour, ...] = (
    (246, 214, 190), (230, 186, 150), (204, 152, 112), (164, 112, 76), (118, 76, 50), (78, 50, 36),
)  # fmt: skip

#: Fingers from the index to the little one: sideways at the root, fan angle, length, half width.
_FINGERS = (
    (-0.44, -0.10, 1.02, 0.15),
    (-0.15, -0.02, 1.14, 0.155),
    (0.15, 0.06, 1.05, 0.15),
    (0.43, 0.16, 0.82, 0.13),
)


def patch(pictures: np.ndarray, share: float, draws: Sequence[np.random.Generator]) -> np.ndarray:
    """One rectangle of a drawn colour, place and aspect.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        share: Its share of the picture's area, in [0, 1]; sides are rounded to whole pixels.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    _, height, width, _ = pictures.shape
    out = pictures.copy()
    for picture, generator in zip(out, draws, strict=True):
        stretch, down, right, *colour = uniforms(generator, 6)
        # Within a factor of two of the picture's own aspect, as far as it fits.
        tall = min(1.0, max(share, math.sqrt(share) * 2.0 ** (stretch - 0.5)))
        rows = round(height * tall)
        columns = min(width, round(share * height * width / max(rows, 1)))
        top, left = int(down * (height - rows + 1)), int(right * (width - columns + 1))
        picture[top : top + rows, left : left + columns] = np.array(colour) * 256
    return out


def mask(
    pictures: np.ndarray,
    raised: float,
    draws: Sequence[np.random.Generator],
    eyes: float = 0.38,
    mouth: float = 0.75,
) -> np.ndarray:
    """A surgical mask from the chin up, its colour drawn.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        raised: Height of its upper edge between the mouth (0) and the eyes (1).
        draws: One generator per picture.
        eyes: Height of the eyes, a share of the picture's height from the top.
        mouth: Height of the mouth, likewise.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)

    def wear(sketch: Sketch, generator: np.random.Generator) -> None:
        colour = picked(_MASKS, uniforms(generator, 1)[0])
        crease = shaded(colour, 0.82)
        top, side = 1.0 - raised, 1.0 - 0.72 * raised
        for ear in (-1.0, 1.0):
            sketch.line([(0.88 * ear, side + 0.05), (1.12 * ear, 0.1)], shaded(colour, 0.9), 0.05)
            sketch.line([(0.74 * ear, 1.3), (1.1 * ear, 0.45)], shaded(colour, 0.9), 0.05)
        edge = [(-0.92, side), (-0.5, side - 0.07), (-0.2, top + 0.04), (0.0, top)]
        jaw = [(0.9, 1.08), (0.72, 1.38), (0.42, 1.62), (0.0, 1.7)]
        half = [*edge, *((-x, y) for x, y in edge[-2::-1]), *jaw]
        sketch.area([*half, *((-x, y) for x, y in jaw[-2::-1])], colour, 1.0, crease)
        for fold in (0.3, 0.52, 0.74):
            y = top + fold * (1.7 - top)
            bow = [(-0.8, y - 0.08), (-0.4, y), (0.0, y + 0.03), (0.4, y), (0.8, y - 0.08)]
            sketch.line(bow, crease, 0.03)

    return drawn_over(pictures, draws, eyes, mouth, wear)


def sunglasses(
    pictures: np.ndarray,
    size: float,
    opacity: float,
    draws: Sequence[np.random.Generator],
    eyes: float = 0.38,
    mouth: float = 0.75,
) -> np.ndarray:
    """Sunglasses over the eyes, their colour and the shape of their lenses drawn.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        size: Size of the lenses; at 1 each is 0.76 wide and 0.56 high (units: see the module).
        opacity: Of the lenses, in [0, 1].
        draws: One generator per picture.
        eyes: Height of the eyes, a share of the picture's height from the top.
        mouth: Height of the mouth, likewise.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)

    def wear(sketch: Sketch, generator: np.random.Generator) -> None:
        which, roundness = uniforms(generator, 2)
        colour = picked(_LENSES, which)
        frame = shaded(colour, 0.6)
        half = min(0.38 * size, 0.45)
        sketch.line([(-0.15, -0.06), (0.15, -0.06)], frame, 0.08)
        for side in (-1.0, 1.0):
            centre = 0.46 * side + 0.02 * side * size
            sketch.line([(centre + 0.8 * half * side, -0.1), (1.1 * side, -0.12)], frame, 0.08)
            lens = superellipse(centre, 0.02, half, 0.28 * size, 2.2 + 2.3 * roundness)
            sketch.area(lens, colour, opacity, frame)
            glint = superellipse(centre - 0.4 * half, -0.1 * size, 0.2 * half, 0.07 * size, 2.0)
            sketch.area(glint, (235, 240, 245), 0.35, None)

    return drawn_over(pictures, draws, eyes, mouth, wear)


def hand(
    pictures: np.ndarray,
    reach: float,
    draws: Sequence[np.random.Generator],
    eyes: float = 0.38,
    mouth: float = 0.75,
) -> np.ndarray:
    """A hand that comes in from one side below; side, slant and skin are drawn.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        reach: How far its fingertips come: at 0 to the edge of the face, at 1.2 the palm covers the
            mouth (units: see the module).
        draws: One generator per picture.
        eyes: Height of the eyes, a share of the picture's height from the top.
        mouth: Height of the mouth, likewise.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)

    def cover(sketch: Sketch, generator: np.random.Generator) -> None:
        side, slant, which = uniforms(generator, 3)
        skin = picked(_SKINS, which)
        flip = 1.0 if side < 0.5 else -1.0
        angle = math.radians(30.0 + 25.0 * slant)  # of the fingers above the horizontal
        ahead = np.array((math.cos(angle), -math.sin(angle)))
        across = np.array((math.sin(angle), math.cos(angle)))
        tip = np.array((-0.75, 0.75)) + reach * ahead
        knuckles = tip - 1.14 * ahead

        def placed(points: Points) -> Points:
            """From (sideways, ahead) of the knuckles to the face."""
            where = knuckles + points[:, :1] * across + points[:, 1:] * ahead
            return where * (flip, 1.0)

        _hand(sketch, placed, skin)

    return drawn_over(pictures, draws, eyes, mouth, cover)


def _hand(sketch: Sketch, placed: Callable[[Points], Points], skin: Colour) -> None:
    line, nail = shaded(skin, 0.6), shaded(skin, 1.12)
    sketch.area(placed(finger(-0.42, -0.85, -0.75, 0.95, 0.17)), skin, 1.0, line)
    wrist = np.array([(-0.42, -1.2), (-0.48, -3.5), (0.48, -3.5), (0.42, -1.2)])
    sketch.area(placed(wrist), skin, 1.0, line)
    palm = superellipse(0.0, -0.6, 0.6, 0.78, 3.0)
    sketch.area(placed(palm), skin, 1.0, line)
    for root, fan, length, half in _FINGERS:
        sketch.area(placed(finger(root, -0.1, fan, length + 0.1, half)), skin, 1.0, line)
        end = np.array((root, -0.1)) + (length - 0.02) * np.array((math.sin(fan), math.cos(fan)))
        sketch.area(placed(superellipse(end[0], end[1], 0.55 * half, 0.09, 2.5)), nail, 1.0, None)
    # The palm's inside hides the outlines where fingers begin.
    sketch.area(placed(superellipse(0.0, -0.55, 0.53, 0.7, 3.0)), skin, 1.0, None)
