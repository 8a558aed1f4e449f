"""Corruptions of faces: what hides a part, what a detector framed badly, how a file was kept."""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from bench.perturb.corruptions import loops
from bench.perturb.corruptions.digital import jpeg_compression, resampled
from bench.perturb.corruptions.loops import checked, normals, uniforms

# ------------------------------------------------------------------------------------------------
# What hides a part of a face: a patch, a mask, sunglasses, a hand.
#
# The things are drawn where an aligned face has its parts. `eyes` and `mouth` are their heights in
# the picture, as shares from the top; the face is centred between left and right. Lengths are in
# units of the distance from the eyes down to the mouth, with the origin between the eyes: a pupil
# is about 0.45 to the side, a cheek 0.95, the chin 1.6 below.


# ------------------------------------------------------------------------------------------------
# Smooth-edged areas and lines on a picture of a face
# ------------------------------------------------------------------------------------------------

Colour = tuple[int, int, int]
Points = NDArray[np.float64]

_FRACTION = 6  # binary digits of a coordinate below one pixel


class Sketch:
    """Paints on a picture in units of the face.

    The origin lies between the eyes, x to the right, y down; 1 is the distance to the mouth.

    Args:
        picture: uint8 RGB (H, W, 3), painted in place.
        eyes: Height of the eyes, a share of the picture's height from the top.
        mouth: Height of the mouth, likewise.
    """

    def __init__(self, picture: np.ndarray, eyes: float, mouth: float) -> None:
        height, width, _ = picture.shape
        self.picture = picture
        self._unit = (mouth - eyes) * height
        self._origin = np.array((width / 2, eyes * height)) - 0.5

    def area(
        self, points: ArrayLike, colour: Colour, opacity: float, outline: Colour | None
    ) -> None:
        """Fill a polygon (M, 2), and draw its outline if that has a colour."""
        stencil = np.zeros(self.picture.shape[:2], np.uint8)
        cv2.fillPoly(stencil, [self._fixed(points)], 255, cv2.LINE_AA, _FRACTION)
        self._blend(stencil, colour, opacity)
        if outline is not None:
            closed = np.asarray(points, np.float64)
            self.line(np.concatenate([closed, closed[:1]]), outline, 0.03)

    def line(self, points: ArrayLike, colour: Colour, width: float) -> None:
        """Draw a path (M, 2) of a width in units of the face, at least one pixel."""
        stencil = np.zeros(self.picture.shape[:2], np.uint8)
        thickness = max(1, round(width * self._unit))
        path = [self._fixed(points)]
        cv2.polylines(stencil, path, False, 255, thickness, cv2.LINE_AA, _FRACTION)
        self._blend(stencil, colour, 1.0)

    def _fixed(self, points: ArrayLike) -> NDArray[np.int32]:
        pixels = self._origin + self._unit * np.asarray(points, np.float64)
        return np.rint(pixels * (1 << _FRACTION)).astype(np.int32)

    def _blend(self, stencil: NDArray[np.uint8], colour: Colour, opacity: float) -> None:
        left, top, width, height = cv2.boundingRect(stencil)
        part = slice(top, top + height), slice(left, left + width)
        weight = np.rint(stencil[part] * opacity).astype(np.int32)[..., None]
        below = self.picture[part].astype(np.int32)
        mixed = below * (255 - weight) + np.array(colour, np.int32) * weight
        self.picture[part] = (mixed + 127) // 255


def drawn_over(
    pictures: np.ndarray,
    draws: Sequence[np.random.Generator],
    eyes: float,
    mouth: float,
    paint: Callable[[Sketch, np.random.Generator], None],
) -> np.ndarray:
    """Copies of pictures (N, H, W, 3) with something painted on each by its own generator.

    Raises:
        ValueError: If the eyes are not above the mouth.
    """
    if not eyes < mouth:
        raise ValueError(f"the eyes, at {eyes}, must be above the mouth, at {mouth}")
    out = pictures.copy()
    for picture, generator in zip(out, draws, strict=True):
        paint(Sketch(picture, eyes, mouth), generator)
    return out


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made darker (below 1) or lighter."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def picked(colours: Sequence[Colour], share: float) -> Colour:
    """The colour at a share in [0, 1) of a list."""
    return colours[int(share * len(colours))]


def superellipse(x: float, y: float, half_width: float, half_height: float, power: float) -> Points:
    """An ellipse at power 2, a rounded rectangle above it, (40, 2)."""
    turn = np.linspace(0.0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    shape = np.sign(circle) * np.abs(circle) ** (2.0 / power)
    return np.array((x, y)) + shape * (half_width, half_height)


def finger(x: float, y: float, angle: float, length: float, half_width: float) -> Points:
    """A rounded bar from (x, y), at `angle` (radians) from straight along y, (11, 2)."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 9)
    end = np.stack([np.sin(turn), np.cos(turn) - 1.0], axis=-1) * half_width + (0.0, length)
    bar = np.concatenate([[(-half_width, 0.0)], end, [(half_width, 0.0)]])
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array((x, y)) + bar @ np.array([[cosine, -sine], [sine, cosine]])


# ------------------------------------------------------------------------------------------------
# What hides a face, and how it is framed and kept
# ------------------------------------------------------------------------------------------------

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


# ------------------------------------------------------------------------------------------------
# A face that the detector framed badly: turned, shifted, too small, too large.
#
# What lies outside the picture repeats its edge. Pixels are interpolated bilinearly and rounded.


#: Constants at severities 1-5.
FRAMING: dict[str, tuple[dict[str, float], ...]] = {
    "misaligned_rotation": tuple({"degrees": angle} for angle in (8, 16, 24, 32, 40)),
    "misaligned_shift": tuple({"share": share} for share in (0.06, 0.12, 0.18, 0.24, 0.3)),
    "misaligned_scale": tuple({"size": size} for size in (0.9, 0.8, 0.7, 0.6, 0.5)),
    "head_crop": tuple({"zoom": zoom} for zoom in (1.12, 1.24, 1.38, 1.54, 1.72)),
}


def misaligned_rotation(
    pictures: np.ndarray, degrees: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Turn about the centre, to a drawn side.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        degrees: By how much.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    angles = [np.copysign(np.radians(degrees), uniforms(one, 1)[0] - 0.5) for one in draws]
    return _framed(pictures, [np.exp(1j * angle) for angle in angles], [0j] * len(pictures))


def misaligned_shift(
    pictures: np.ndarray, share: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Move in a drawn direction.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        share: How far, as a share of the shorter side.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    far = share * min(pictures.shape[1:3])
    shifts = [far * np.exp(2j * np.pi * uniforms(one, 1)[0]) for one in draws]
    return _framed(pictures, [1.0 + 0j] * len(pictures), shifts)


def misaligned_scale(pictures: np.ndarray, size: float) -> np.ndarray:
    """Make the face smaller, as when the detector's box is too large.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        size: Size of the face, 1 being as it was.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    return _framed(pictures, [1.0 / size + 0j] * len(pictures), [0j] * len(pictures))


def head_crop(pictures: np.ndarray, zoom: float) -> np.ndarray:
    """Enlarge the middle, as when the detector's box is too small.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        zoom: Size of the face, 1 being as it was.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    return _framed(pictures, [1.0 / zoom + 0j] * len(pictures), [0j] * len(pictures))


def _framed(
    pictures: np.ndarray, factors: Sequence[complex], shifts: Sequence[complex]
) -> np.ndarray:
    """Give the pixel at z from the centre what was at factor x z + shift, z being x + iy."""
    _, height, width, _ = pictures.shape
    centre = complex((width - 1) / 2, (height - 1) / 2)
    y, x = np.indices((height, width))
    place = x + 1j * y
    out = np.empty(pictures.shape, np.uint8)
    for picture, factor, shift, result in zip(pictures, factors, shifts, out, strict=True):
        source = centre + factor * (place - centre) + shift
        down = (source.imag.clip(0, height - 1) - y).astype(np.float32)
        right = (source.real.clip(0, width - 1) - x).astype(np.float32)
        loops.warp(picture, down, right, 0.5, result)
    return out


# ------------------------------------------------------------------------------------------------
# How a face was taken and kept: in low light, from far away, saved again and again.


#: Constants at severities 1-5. The sides of `low_resolution` are those of a face of 100 px.
CAPTURE: dict[str, tuple[dict[str, float], ...]] = {
    "low_light": tuple(
        {"gamma": 2.2, "gain": gain, "photons": 300, "read_noise": 0.004}
        for gain in (0.45, 0.27, 0.16, 0.1, 0.06)
    ),
    "low_resolution": tuple({"share": share} for share in (0.48, 0.32, 0.22, 0.16, 0.12)),
    "jpeg_resave": tuple(
        {"quality": quality, "times": times}
        for quality, times in ((50, 2), (35, 3), (25, 4), (18, 5), (13, 6))
    ),
}

_STEPS = 4096  # of light between black and full scale


def low_light(
    pictures: np.ndarray,
    gamma: float,
    gain: float,
    photons: float,
    read_noise: float,
    draws: Sequence[np.random.Generator],
) -> np.ndarray:
    """Less light on the sensor, with the noise of photons and of reading it out.

    Pixels are decoded to light (x ** gamma), multiplied by `gain`, given normal noise of variance
    light / photons + read_noise ** 2, and encoded again.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        gamma: Exponent from pixel values to light.
        gain: Share of the light that is left.
        photons: Photons of a pixel at full scale.
        read_noise: Standard deviation of the read-out, full scale being 1.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures, draws)
    light = gain * (np.arange(256) / 255.0) ** gamma
    spread = np.sqrt(light / photons + read_noise**2).astype(np.float32) * np.float32(_STEPS)
    level = light.astype(np.float32) * np.float32(_STEPS) + np.float32(0.5)
    codes = np.rint(255.0 * (np.arange(_STEPS + 1) / _STEPS) ** (1.0 / gamma)).astype(np.uint8)
    out = np.empty(pictures.shape, np.uint8)
    for picture, generator, result in zip(pictures, draws, out, strict=True):
        noise = normals(generator, picture.size).reshape(picture.shape)
        steps = level[picture] + spread[picture] * noise
        result[:] = codes[steps.clip(0, _STEPS).astype(np.int32)]
    return out


def low_resolution(pictures: np.ndarray, share: float) -> np.ndarray:
    """Shrink with antialiasing, and enlarge to the old size (Pillow's BILINEAR, then BICUBIC).

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        share: Size of the small picture's sides, in (0, 1]; at least one pixel.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    _, height, width, _ = pictures.shape
    small = max(1, round(width * share)), max(1, round(height * share))
    return resampled(pictures, small, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


def jpeg_resave(pictures: np.ndarray, quality: int, times: int) -> np.ndarray:
    """Save as JPEG several times, the grid of blocks lying elsewhere each time.

    So it happens to pictures that are cropped and sent on; saved on the same grid again, they
    would hardly change.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        quality: 1-95, as in libjpeg.
        times: How often.

    Returns:
        uint8 (N, H, W, 3).
    """
    pictures = checked(pictures)
    for number in range(times):
        edge = 3 * number % 8
        wider = np.pad(pictures, ((0, 0), (edge, 0), (edge, 0), (0, 0)), mode="edge")
        pictures = jpeg_compression(wider, quality)[:, edge:, edge:]
    return pictures
