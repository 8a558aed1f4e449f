"""One drawn face: the person, and the full description of the drawing; how both are sampled."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from bench.faces.action_units import (
    AU_NAMES,
    DIFFICULTIES,
    EXPRESSION_SETS,
    ActionUnits,
    Difficulty,
    sample_action_units,
)
from bench.faces.canvas import mixed
from bench.faces.drawing import DRAWING, DRAWINGS, DrawingStyle
from bench.faces.randomness import Colour, RandomStream
from bench.faces.scene import DOMAINS, Domain, Scene, sample_scene

# ------------------------------------------------------------------------------------------------
# A person: the features that stay the same from one drawing to the next.


HAIR_STYLES = ("bald", "cropped", "parted", "fringe", "long", "curly", "bun", "scarf")
BEARDS = ("none", "stubble", "full", "goatee", "moustache")
HAIR_COLOURS: dict[str, Colour] = {
    "black": (30.0, 24.0, 22.0),
    "dark brown": (62.0, 40.0, 28.0),
    "brown": (104.0, 68.0, 40.0),
    "red": (142.0, 66.0, 34.0),
    "blond": (204.0, 166.0, 102.0),
    "grey": (164.0, 162.0, 160.0),
}

_SKIN_ANCHORS: tuple[Colour, ...] = (
    (250.0, 218.0, 194.0),
    (240.0, 201.0, 168.0),
    (222.0, 178.0, 138.0),
    (190.0, 140.0, 100.0),
    (152.0, 104.0, 72.0),
    (114.0, 76.0, 54.0),
    (88.0, 58.0, 43.0),
)
_IRIS_ANCHORS: tuple[Colour, ...] = (
    (42.0, 26.0, 18.0),
    (88.0, 58.0, 32.0),
    (72.0, 100.0, 72.0),
    (80.0, 120.0, 160.0),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """One person.

    Lengths are in head units: 1 is half the height of the head, y points down, the origin is the
    middle of the head.

    Attributes:
        name: Identity id, such as "train-00012".
        skin_level: Position on the scale of skin tones, 0 lightest, 1 darkest.
        age: Years.
        hair_style: One of `HAIR_STYLES`.
        hair_name: Key of `HAIR_COLOURS`.
        hair_colour: The hair's RGB, near that of its name.
        scarf_colour: RGB of the scarf, if one is worn.
        beard: One of `BEARDS`.
        glasses: Whether glasses are worn.
        glasses_colour: RGB of the frame.
        glasses_squareness: Exponent of the lens outline, 2 round to 4 square.
        head_width: Half width of the head.
        jaw_taper: Share of the width lost at the chin.
        jaw_power: Where the jaw narrows: large keeps it wide until the chin.
        hairline: Height (y) of the middle of the hairline.
        eye_spacing: x of an eye's centre.
        eye_height: y of the eyes.
        eye_width: Half width of an eye.
        eye_opening: Height of the upper lid over the eye's centre.
        eye_tilt: How much the outer corner is higher than the inner.
        iris: RGB of the iris.
        brow_height: Distance of the brows over the eyes.
        brow_thickness: Thickness of a brow.
        brow_slope: How much the inner end is lower than normal (a stern look).
        brow_arch: Extra height of a brow's middle.
        nose_length: From the eyes to the tip.
        nose_width: Half width of the nose.
        mouth_width: Half width of the mouth.
        mouth_height: y of the mouth.
        mouth_curve: How much the corners hang (positive) or rise at rest.
        lip_thickness: Thickness of the upper lip.
        lip_redness: 0 near the skin's colour, 1 strongly coloured.
    """

    name: str
    skin_level: float
    age: float
    hair_style: str
    hair_name: str
    hair_colour: Colour
    scarf_colour: Colour
    beard: str
    glasses: bool
    glasses_colour: Colour
    glasses_squareness: float
    head_width: float
    jaw_taper: float
    jaw_power: float
    hairline: float
    eye_spacing: float
    eye_height: float
    eye_width: float
    eye_opening: float
    eye_tilt: float
    iris: Colour
    brow_height: float
    brow_thickness: float
    brow_slope: float
    brow_arch: float
    nose_length: float
    nose_width: float
    mouth_width: float
    mouth_height: float
    mouth_curve: float
    lip_thickness: float
    lip_redness: float

    @property
    def skin(self) -> Colour:
        """RGB of the skin."""
        return _along(_SKIN_ANCHORS, self.skin_level)

    @property
    def skin_tone(self) -> str:
        """Group of the skin tone: light, medium, brown or dark."""
        return ("light", "medium", "brown", "dark")[min(3, int(self.skin_level * 4))]

    @property
    def age_group(self) -> str:
        """Group of the age, years."""
        return "18-34" if self.age < 35 else "35-54" if self.age < 55 else "55-80"

    @property
    def age_lines(self) -> float:
        """Depth of the lines of age, 0 none to 1 deep."""
        return min(1.0, max(0.0, (self.age - 32.0) / 45.0))


def sample_identity(seed: int, population: str, number: int) -> Identity:
    """Samples a person.

    Args:
        seed: Seed of the data set.
        population: Name of the population, such as "train"; each has persons of its own.
        number: Number of the person within the population.
    """
    draws = RandomStream("drawn-faces", seed, population, "identity", number)
    age = draws.uniform(18.0, 80.0)
    hair_style = _sample_hair_style(draws, age)
    hair_name, hair_colour = _sample_hair_colour(draws, age)
    lip_redness = draws.uniform(0.25, 0.95)
    beardless = hair_style == "scarf" or lip_redness > 0.62
    beard = draws.pick(BEARDS, (0.40, 0.17, 0.18, 0.10, 0.15))
    return Identity(
        name=f"{population}-{number:05d}",
        skin_level=draws.uniform(),
        age=age,
        hair_style=hair_style,
        hair_name=hair_name,
        hair_colour=hair_colour,
        scarf_colour=draws.colour(40.0, 215.0),
        beard="none" if beardless else beard,
        glasses=draws.chance(0.16),
        glasses_colour=draws.colour(10.0, 90.0),
        glasses_squareness=draws.uniform(2.0, 4.0),
        head_width=draws.uniform(0.69, 0.82),
        jaw_taper=draws.uniform(0.22, 0.33),
        jaw_power=draws.uniform(1.8, 3.0),
        hairline=draws.uniform(-0.70, -0.60),
        eye_spacing=draws.uniform(0.30, 0.36),
        eye_height=draws.uniform(-0.16, -0.09),
        eye_width=draws.uniform(0.140, 0.180),
        eye_opening=draws.uniform(0.060, 0.086),
        eye_tilt=draws.normal(0.015),
        iris=_along(_IRIS_ANCHORS, draws.uniform()),
        brow_height=draws.uniform(0.195, 0.250),
        brow_thickness=draws.uniform(0.045, 0.090),
        brow_slope=draws.normal(0.020),
        brow_arch=draws.uniform(0.0, 0.04),
        nose_length=draws.uniform(0.22, 0.31),
        nose_width=draws.uniform(0.095, 0.150),
        mouth_width=draws.uniform(0.24, 0.31),
        mouth_height=draws.uniform(0.50, 0.56),
        mouth_curve=draws.normal(0.025),
        lip_thickness=draws.uniform(0.045, 0.080),
        lip_redness=lip_redness,
    )


def _sample_hair_style(draws: RandomStream, age: float) -> str:
    bald_weight = 0.05 + 0.15 * max(0.0, age - 40.0) / 40.0
    return draws.pick(HAIR_STYLES, (bald_weight, 0.18, 0.18, 0.12, 0.20, 0.14, 0.08, 0.05))


def _sample_hair_colour(draws: RandomStream, age: float) -> tuple[str, Colour]:
    grey_weight = 0.02 + 2.0 * max(0.0, age - 48.0) / 32.0
    name = draws.pick(tuple(HAIR_COLOURS), (0.30, 0.24, 0.20, 0.10, 0.14, grey_weight))
    tint = draws.uniform(0.85, 1.15)
    red, green, blue = HAIR_COLOURS[name]
    return name, (red * tint, green * tint, blue * tint)


def _along(anchors: tuple[Colour, ...], position: float) -> Colour:
    """Interpolates between evenly spaced colours; position in [0, 1]."""
    place = position * (len(anchors) - 1)
    before = min(int(place), len(anchors) - 2)
    return mixed(anchors[before], anchors[before + 1], place - before)


# ------------------------------------------------------------------------------------------------
# The drawing: who, what the muscles do, and where; its groups for reports.


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Face:
    """Everything that determines a drawing, down to the key of the grain.

    Attributes:
        split: Name of the split.
        index: Number of the picture within its split.
        expression: One of a set in `EXPRESSION_SETS`.
        intensity: Strength of the expression, in [0, 1]; 0 for neutral.
        action_units: What the face's muscles do.
        identity: Who it is.
        scene: Pose, light, background, occluder and camera.
        drawing: How it is drawn.
    """

    split: str
    index: int
    expression: str
    intensity: float
    action_units: ActionUnits
    identity: Identity
    scene: Scene
    drawing: DrawingStyle

    def attributes(self) -> dict[str, str | float | int | bool]:
        """Returns flat columns for a table: angles in radians, sizes as shares of the picture."""
        person, scene = self.identity, self.scene
        columns: dict[str, str | float | int | bool] = {
            "split": self.split,
            "index": self.index,
            "expression": self.expression,
            "intensity": self.intensity,
            "identity": person.name,
            "skin_tone": person.skin_tone,
            "skin_level": person.skin_level,
            "age": person.age,
            "age_group": person.age_group,
            "age_lines": person.age_lines,
            "hair_style": person.hair_style,
            "hair_colour": person.hair_name,
            "beard": person.beard,
            "glasses": person.glasses,
            "yaw": scene.pose.yaw,
            "pitch": scene.pose.pitch,
            "roll": scene.pose.roll,
            "scale": scene.pose.scale,
            "light_brightness": scene.light.brightness,
            "light_direction": scene.light.direction,
            "light_contrast": scene.light.contrast,
            "light_cast_red": scene.light.cast[0],
            "light_cast_green": scene.light.cast[1],
            "light_cast_blue": scene.light.cast[2],
            "background": scene.background.kind,
            "occluder": "none" if scene.occluder is None else scene.occluder.kind,
            "blur": scene.camera.blur,
            "grain": scene.camera.grain,
        }
        columns.update({name: getattr(self.action_units, name) for name in AU_NAMES})
        return columns


def sample_face(
    seed: int,
    split: str,
    index: int,
    difficulty: str | Difficulty = "default",
    expressions: str = "basic",
    domain: str | Domain = "default",
    drawing: int | DrawingStyle = DRAWING,
) -> Face:
    """Samples the face of one picture; the same arguments always give the same face.

    Pictures show the expressions of their set in turn, and person `index // len(set)`, so every
    person shows every expression once, each time in another pose and light. Persons are addressed
    by (seed, population, number), and each split of each set of expressions has a population of
    its own: no person appears in two splits, nor under both basic and compound expressions. The
    domains share persons and action units picture by picture.

    Args:
        seed: Seed of the data set.
        split: Name of the split, such as "train"; any name will do.
        index: Number of the picture within the split, from 0.
        difficulty: A preset's name (a key of `DIFFICULTIES`) or a preset.
        expressions: A key of `EXPRESSION_SETS`.
        domain: A domain's name (a key of `DOMAINS`) or a domain.
        drawing: A version's number (a key of `DRAWINGS`) or a drawing. All versions share persons.

    Raises:
        ValueError: If the index is negative or a name is unknown.
    """
    if index < 0:
        raise ValueError(f"a picture's index starts at 0, got {index}")
    preset = named("difficulty", difficulty, DIFFICULTIES)
    shown = named("set of expressions", expressions, EXPRESSION_SETS)
    number, place = divmod(index, len(shown))
    expression = shown[place]
    population = split if expressions == "basic" else f"{expressions}-{split}"
    style = named("drawing", drawing, DRAWINGS)
    draws = RandomStream("drawn-faces", seed, population, "picture", index)
    action_units, intensity = sample_action_units(draws, expression, preset, style.modelled)
    person = sample_identity(seed, population, number)
    scene = sample_scene(draws, preset, named("domain", domain, DOMAINS))
    return styled(Face(split, index, expression, intensity, action_units, person, scene, style))


def styled(face: Face) -> Face:
    """The face with the proportions, frame and exposure of its drawing."""
    person, style = face.identity, face.drawing
    scene = _framed(face.scene, person, style)
    return replace(face, identity=_proportioned(person, style), scene=scene)


def _proportioned(person: Identity, style: DrawingStyle) -> Identity:
    """The same person with the proportions of photographs, if the drawing has them."""
    if not style.modelled:
        return person
    return replace(
        person,
        head_width=0.95 * person.head_width,
        jaw_taper=0.75 * person.jaw_taper,
        jaw_power=person.jaw_power + 0.5,
        brow_arch=0.4 * person.brow_arch,
        eye_opening=0.80 * person.eye_opening,
        brow_height=person.brow_height - 0.035,
        brow_thickness=1.05 * person.brow_thickness,
        nose_length=person.nose_length + 0.035,
        nose_width=1.25 * person.nose_width,
        mouth_height=person.mouth_height + 0.015,
        mouth_width=1.10 * person.mouth_width,
        lip_thickness=0.85 * person.lip_thickness,
        mouth_curve=0.5 * person.mouth_curve,
    )


_METERED = 135.0  # brightness of skin that no camera changes, of 255


def _framed(scene: Scene, person: Identity, style: DrawingStyle) -> Scene:
    """The same scene, cut and exposed as the drawing's pictures are."""
    pose, camera = scene.pose, scene.camera
    seen = scene.light.brightness * sum(person.skin) / 3.0
    exposure = (_METERED / seen) ** style.metering
    return replace(
        scene,
        pose=replace(pose, scale=pose.scale * style.zoom, shift_y=pose.shift_y - style.lift),
        camera=replace(camera, exposure=camera.exposure * exposure),
    )


def named(kind: str, value: str | int | T, known: Mapping[Any, T]) -> T:
    """Returns the preset of that name or number, or the preset itself if one is given.

    Raises:
        ValueError: If there is no such name.
    """
    if not isinstance(value, str | int):
        return value
    if value not in known:
        names = ", ".join(map(str, known))
        raise ValueError(f"there is no {kind} {value!r} of drawn faces; known: {names}")
    return known[value]


# ------------------------------------------------------------------------------------------------
# Groups of drawn faces, for results group by group: few, coarse, in words people use.
#
# Cut points are quantiles of the law that faces are sampled from, or near them, chosen before any
# result was seen and the same for every difficulty:
#
# | group attribute | cut points | share of each value (default difficulty) |
# |---|---|---|
# | skin tone | quartiles of the scale of skin tones | 25 % each |
# | age | 35 and 55 years | 27, 32, 40 % |
# | glasses | | 16 % with |
# | facial hair | stubble counts | 30 % with |
# | head pose | turned from 7 degrees of yaw on | 35 % turned |
# | light | terciles of the brightness | 33 % each |
# | intensity | 2/3 and 5/6: terciles of the strength; none for a neutral face | 33 % each |
#
# The first four belong to a person, so that all pictures of a person share them: 72 persons stand
# behind 504 pictures of the seven basic expressions. `light` is that of the room, whatever a
# domain's
# camera makes of it, and a clip is in the groups of its middle frame. An occluder is no group: at
# 4 % of the faces it has too few.


GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "skin tone": ("light", "medium", "brown", "dark"),
        "age": ("18-34", "35-54", "55-80"),
        "glasses": ("no glasses", "glasses"),
        "facial hair": ("no facial hair", "facial hair"),
        "head pose": ("frontal", "turned"),
        "light": ("dim", "normal", "bright"),
        "intensity": ("weak", "medium", "strong"),
    }
)
"""Group attributes and their values, in table order."""

_TURNED = 7.0  # degrees; 0.94 standard deviations of the default difficulty
_BRIGHTNESS = (0.65 + 0.5 / 3, 0.65 + 1.0 / 3)  # terciles of [0.65, 1.15)
_STRENGTH = (2 / 3, 5 / 6)  # terciles of [0.5, 1)


def groups_of(face: Face) -> dict[str, str]:
    """The value of each group attribute; `intensity` is left out where there is no expression."""
    person, scene = face.identity, face.scene
    groups = {
        "skin tone": person.skin_tone,
        "age": person.age_group,
        "glasses": GROUPS["glasses"][person.glasses],
        "facial hair": GROUPS["facial hair"][person.beard != "none"],
        "head pose": GROUPS["head pose"][abs(math.degrees(scene.pose.yaw)) >= _TURNED],
        "light": GROUPS["light"][bisect(_BRIGHTNESS, scene.light.brightness)],
    }
    if face.intensity > 0.0:
        groups["intensity"] = GROUPS["intensity"][bisect(_STRENGTH, face.intensity)]
    return groups
