"""Everything about a picture that is not the person or the expression."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.data.faces.action_units import Difficulty
from bench.data.faces.domains import Domain
from bench.data.faces.identity import Colour
from bench.data.faces.randomness import Draws

BACKGROUNDS = ("plain", "gradient", "stripes", "blocks", "bokeh")
OCCLUDERS = ("disc", "bar", "hand")


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the head is and how it is turned.

    Attributes:
        yaw: Turn to the picture's right, radians.
        pitch: Nod downwards, radians.
        roll: Tilt clockwise in the image plane, radians.
        scale: Half height of the head as a share of the picture's height.
        shift_x: Displacement to the right, as a share of the picture's width.
        shift_y: Displacement downwards, as a share of the picture's height.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    shift_x: float
    shift_y: float


@dataclass(frozen=True, slots=True)
class Light:
    """How the scene is lit.

    Attributes:
        brightness: Factor on all pixels.
        direction: Where the light comes from, radians clockwise from the picture's right.
        contrast: How much brighter the lit side is, 0 for flat light.
        cast: Factors on red, green and blue.
    """

    brightness: float
    direction: float
    contrast: float
    cast: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Background:
    """What is behind the head.

    Attributes:
        kind: One of `BACKGROUNDS`.
        near: RGB at the start of the gradient.
        far: RGB at the end of the gradient.
        angle: Direction of gradient or stripes, radians.
        shapes: Coloured pieces: (x, y, size, RGB), lengths as shares of the picture.
        softness: Blur in pixels, an odd number.
    """

    kind: str
    near: Colour
    far: Colour
    angle: float
    shapes: tuple[tuple[float, float, float, Colour], ...]
    softness: int


@dataclass(frozen=True, slots=True)
class Occluder:
    """A small object before the face; position and size in head units, angle in radians."""

    kind: str
    x: float
    y: float
    size: float
    angle: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Camera:
    """What the camera adds.

    Attributes:
        blur: Standard deviation of the Gaussian blur, pixels; 0 for none.
        grain: Standard deviation of the sensor's grain, grey levels of 255.
        grain_key: Key of the grain's pattern.
        exposure: Factor on all pixels.
        balance: Factors on red, green and blue.
        grey: Whether the film has no colour.
        contrast: Factor on differences from mid-grey.
        vignette: Share of light lost in the corners.
    """

    blur: float
    grain: float
    grain_key: int
    exposure: float
    balance: tuple[float, float, float]
    grey: bool
    contrast: float
    vignette: float


@dataclass(frozen=True, slots=True)
class Asymmetry:
    """Small differences between the two halves of a face, and other moods of the moment.

    Attributes:
        eye_openings: Factors on the opening of the left and right eye of the picture.
        brow_lifts: Displacements of the left and right brow, head units.
        mouth_slant: How much the right mouth corner is lower than the middle, head units.
        teeth: How readily the teeth show, 0 to 1.
        gaze: Where the eyes look, -1 left to 1 right.
    """

    eye_openings: tuple[float, float]
    brow_lifts: tuple[float, float]
    mouth_slant: float
    teeth: float
    gaze: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Pose, light, background, clothes, occluder and camera of one picture."""

    pose: Pose
    light: Light
    background: Background
    clothes: Colour
    occluder: Occluder | None
    camera: Camera
    asymmetry: Asymmetry


def sample_scene(draws: Draws, difficulty: Difficulty, domain: Domain) -> Scene:
    """Samples everything about a picture that is not the person or the expression.

    Every domain consumes the same draws, so that two domains differ in their settings alone.
    """
    return Scene(
        pose=_sample_pose(draws, difficulty, domain),
        light=_sample_light(draws),
        background=_sample_background(draws),
        clothes=draws.colour(25.0, 225.0),
        occluder=_sample_occluder(draws, difficulty),
        camera=_sample_camera(draws, domain),
        asymmetry=Asymmetry(
            eye_openings=(1.0 + draws.normal(0.07), 1.0 + draws.normal(0.07)),
            brow_lifts=(draws.normal(0.010), draws.normal(0.010)),
            mouth_slant=draws.normal(0.010),
            teeth=draws.uniform(),
            gaze=draws.normal(0.4),
        ),
    )


def _sample_pose(draws: Draws, difficulty: Difficulty, domain: Domain) -> Pose:
    return Pose(
        yaw=draws.normal(difficulty.yaw_sd),
        pitch=draws.normal(difficulty.pitch_sd) + domain.tilt,
        roll=draws.normal(difficulty.roll_sd),
        scale=draws.uniform(difficulty.scale_low, difficulty.scale_high) * domain.zoom,
        shift_x=draws.normal(domain.shift_sd),
        shift_y=0.015 + draws.normal(domain.shift_sd),
    )


def _sample_camera(draws: Draws, domain: Domain) -> Camera:
    blur = draws.uniform(domain.blur_low, domain.blur_high)
    return Camera(
        blur=blur * draws.chance(domain.blur_probability),
        grain=draws.uniform(domain.grain_low, domain.grain_high),
        grain_key=int(draws.uniform() * 2**52),
        exposure=domain.exposure,
        balance=domain.balance,
        grey=domain.grey,
        contrast=domain.contrast,
        vignette=domain.vignette,
    )


def _sample_light(draws: Draws) -> Light:
    return Light(
        brightness=draws.uniform(0.65, 1.15),
        direction=draws.uniform(0.0, 2.0 * math.pi),
        contrast=draws.uniform(0.05, 0.45),
        cast=(1.0 + draws.normal(0.045), 1.0 + draws.normal(0.03), 1.0 + draws.normal(0.045)),
    )


def _sample_background(draws: Draws) -> Background:
    kind = draws.pick(BACKGROUNDS, (0.15, 0.25, 0.15, 0.25, 0.20))
    near = _muted(draws.colour(20.0, 235.0))
    far = near if kind == "plain" else _muted(draws.colour(20.0, 235.0))
    count = int(draws.uniform(3.0, 9.0)) if kind in ("blocks", "bokeh") else 0
    shapes = tuple(
        (draws.uniform(), draws.uniform(), draws.uniform(0.08, 0.4), draws.colour(20.0, 240.0))
        for _ in range(count)
    )
    angle = draws.uniform(0.0, 2.0 * math.pi)
    return Background(kind, near, far, angle, shapes, softness=draws.pick((1, 3, 5, 7)))


def _sample_occluder(draws: Draws, difficulty: Difficulty) -> Occluder | None:
    occluder = Occluder(
        kind=draws.pick(OCCLUDERS),
        x=draws.uniform(-0.6, 0.6),
        y=draws.uniform(-0.5, 0.8),
        size=draws.uniform(0.12, 0.20),
        angle=draws.uniform(0.0, 2.0 * math.pi),
        colour=draws.colour(20.0, 230.0),
    )
    return occluder if draws.chance(difficulty.occluder_probability) else None


def _muted(colour: Colour) -> Colour:
    """Halves the saturation: walls and streets are seldom of pure colours."""
    grey = sum(colour) / 3.0
    return (
        0.5 * (colour[0] + grey),
        0.5 * (colour[1] + grey),
        0.5 * (colour[2] + grey),
    )
