"""The full description of one drawn face, and how it is sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from bench.data.faces.action_units import (
    AU_NAMES,
    DIFFICULTIES,
    EXPRESSION_SETS,
    ActionUnits,
    Difficulty,
    sample_action_units,
)
from bench.data.faces.domains import DOMAINS, Domain
from bench.data.faces.identity import Identity, sample_identity
from bench.data.faces.randomness import Draws
from bench.data.faces.scene import Scene, sample_scene

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
    draws = Draws("drawn-faces", seed, population, "picture", index)
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
