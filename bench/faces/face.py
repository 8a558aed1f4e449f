"""The full description of one drawn face, and how it is sampled."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from bench.faces.action_units import (
    AU_NAMES,
    DIFFICULTIES,
    EXPRESSION_SETS,
    ActionUnits,
    Difficulty,
    sample_action_units,
)
from bench.faces.identity import Identity, sample_identity
from bench.faces.randomness import RandomStream
from bench.faces.scene import DOMAINS, Domain, Scene, sample_scene

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
    """

    split: str
    index: int
    expression: str
    intensity: float
    action_units: ActionUnits
    identity: Identity
    scene: Scene

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
    draws = RandomStream("drawn-faces", seed, population, "picture", index)
    action_units, intensity = sample_action_units(draws, expression, preset)
    return Face(
        split=split,
        index=index,
        expression=expression,
        intensity=intensity,
        action_units=action_units,
        identity=sample_identity(seed, population, number),
        scene=sample_scene(draws, preset, named("domain", domain, DOMAINS)),
    )


def named(kind: str, value: str | T, known: Mapping[str, T]) -> T:
    """Returns the preset of that name, or the preset itself if one is given.

    Raises:
        ValueError: If there is no such name.
    """
    if not isinstance(value, str):
        return value
    if value not in known:
        raise ValueError(f"there is no {kind} {value!r} of drawn faces; known: {', '.join(known)}")
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
