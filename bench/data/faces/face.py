"""The full description of one drawn face, and how it is sampled."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.faces.action_units import (
    AU_NAMES,
    DIFFICULTIES,
    EXPRESSIONS,
    ActionUnits,
    Difficulty,
    sample_action_units,
)
from bench.data.faces.identity import Identity, sample_identity
from bench.data.faces.randomness import Draws
from bench.data.faces.scene import Scene, sample_scene


@dataclass(frozen=True, slots=True)
class Face:
    """Everything that determines a drawing, down to the key of the grain.

    Attributes:
        split: Name of the split.
        index: Number of the picture within its split.
        expression: One of `EXPRESSIONS`.
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
    seed: int, split: str, index: int, difficulty: str | Difficulty = "default"
) -> Face:
    """Samples the face of one picture; the same arguments always give the same face.

    Picture `index` shows expression `EXPRESSIONS[index % 7]` on person `index // 7` of its split,
    so every person shows every expression once, each time in another pose and light. Persons are
    addressed by (seed, split, number): no person appears in two splits.

    Args:
        seed: Seed of the data set.
        split: Name of the split, such as "train"; any name will do.
        index: Number of the picture within the split, from 0.
        difficulty: A preset's name (a key of `DIFFICULTIES`) or a preset.

    Raises:
        ValueError: If the index is negative or there is no such difficulty.
    """
    if index < 0:
        raise ValueError(f"a picture's index starts at 0, got {index}")
    preset = _preset(difficulty)
    number, place = divmod(index, len(EXPRESSIONS))
    expression = EXPRESSIONS[place]
    draws = Draws("drawn-faces", seed, split, "picture", index)
    action_units, intensity = sample_action_units(draws, expression, preset)
    return Face(
        split=split,
        index=index,
        expression=expression,
        intensity=intensity,
        action_units=action_units,
        identity=sample_identity(seed, split, number),
        scene=sample_scene(draws, preset),
    )


def _preset(difficulty: str | Difficulty) -> Difficulty:
    if isinstance(difficulty, Difficulty):
        return difficulty
    if difficulty not in DIFFICULTIES:
        known = ", ".join(DIFFICULTIES)
        raise ValueError(f"there is no difficulty {difficulty!r} of drawn faces; known: {known}")
    return DIFFICULTIES[difficulty]
