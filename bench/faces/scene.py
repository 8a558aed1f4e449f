"""What is around a face: pose, light, background, occluder, camera; and other rooms and cameras."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bench.faces.action_units import Difficulty
from bench.faces.randomness import Colour, RandomStream

# ------------------------------------------------------------------------------------------------
# Domains: other rooms and other cameras for the same faces, for tests across data sets.
#
# A domain changes scene and camera only. Picture `index` of a split shows the same person with the
# same action units in every domain, so that a difference between two domains is theirs alone.


@dataclass(frozen=True, slots=True)
class Domain:
    """The settings of scene and camera that pictures are sampled with.

    Attributes:
        name: The name of the domain.
        zoom: Factor on the size of the head; above 1 the field of view is narrower.
        shift_sd: Standard deviation of the head's displacement, shares of the picture.
        tilt: Added to every nod, radians: where the camera stands, positive for above.
        blur_low: Least standard deviation of the blur where there is one, pixels.
        blur_high: Greatest.
        blur_probability: Share of blurred pictures.
        grain_low: Least standard deviation of the grain, grey levels of 255.
        grain_high: Greatest.
        exposure: Factor on all pixels.
        balance: Factors on red, green and blue.
        grey: Whether the film has no colour.
        contrast: Factor on differences from mid-grey.
        vignette: Share of light lost in the corners.
    """

    name: str
    zoom: float = 1.0
    shift_sd: float = 0.012
    tilt: float = 0.0
    blur_low: float = 0.3
    blur_high: float = 1.0
    blur_probability: float = 0.4
    grain_low: float = 1.0
    grain_high: float = 7.0
    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    grey: bool = False
    contrast: float = 1.0
    vignette: float = 0.0


DOMAINS: Mapping[str, Domain] = MappingProxyType(
    {
        "default": Domain(name="default"),
        # A laptop in a dim room: a small sensor, a screen's light, a face that leans into view.
        "webcam": Domain(
            name="webcam",
            zoom=1.10,
            shift_sd=0.035,
            tilt=-0.10,
            blur_low=0.6,
            blur_high=1.1,
            blur_probability=0.9,
            grain_low=5.0,
            grain_high=11.0,
            exposure=0.80,
            balance=(0.86, 1.0, 1.16),
        ),
        # Grey film under an old lens.
        "archive": Domain(
            name="archive",
            blur_low=0.4,
            blur_high=0.8,
            blur_probability=0.8,
            grain_low=6.0,
            grain_high=12.0,
            exposure=1.25,
            grey=True,
            contrast=0.9,
            vignette=0.5,
        ),
    }
)


# ------------------------------------------------------------------------------------------------
# Everything about a picture that is not the person or the expression.


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


def sample_scene(draws: RandomStream, difficulty: Difficulty, domain: Domain) -> Scene:
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


def _sample_pose(draws: RandomStream, difficulty: Difficulty, domain: Domain) -> Pose:
    return Pose(
        yaw=draws.normal(difficulty.yaw_sd),
        pitch=draws.normal(difficulty.pitch_sd) + domain.tilt,
        roll=draws.normal(difficulty.roll_sd),
        scale=draws.uniform(difficulty.scale_low, difficulty.scale_high) * domain.zoom,
        shift_x=draws.normal(domain.shift_sd),
        shift_y=0.015 + draws.normal(domain.shift_sd),
    )


def _sample_camera(draws: RandomStream, domain: Domain) -> Camera:
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


def _sample_light(draws: RandomStream) -> Light:
    return Light(
        brightness=draws.uniform(0.65, 1.15),
        direction=draws.uniform(0.0, 2.0 * math.pi),
        contrast=draws.uniform(0.05, 0.45),
        cast=(1.0 + draws.normal(0.045), 1.0 + draws.normal(0.03), 1.0 + draws.normal(0.045)),
    )


def _sample_background(draws: RandomStream) -> Background:
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


def _sample_occluder(draws: RandomStream, difficulty: Difficulty) -> Occluder | None:
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
